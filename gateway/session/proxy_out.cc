#include "gateway/session/proxy_out.h"

#include "protocols/proxy/proxy_header.h"

namespace starling {

bool WriteProxyHeader(WorkerContext& ctx, Session& session, const BackendConfig& backend) {
  if (backend.proxy == ProxyOut::kNone) return true;
  const std::span<uint8_t> room = session.server.OutRoom(ctx, kMaxProxyV2Out);
  if (room.empty()) return false;
  ProxyInfo info{.source = session.peer, .destination = session.local};
  TlsFacts facts;
  if (session.tls_up()) {
    facts = session.client.tls->session.Facts();
    info.tls = ProxyTls{
        .version = kTlsVersionLabels[facts.version],
        .cipher = kTlsCipherLabels[facts.cipher],
        .key_algorithm = kTlsKeyLabels[facts.key],
        .signature = facts.resumed ? std::string_view() : kTlsSignatureLabels[facts.signature],
        .client_certificate = facts.client_certificate >= ClientCertificateResult::kVerified,
        .resumed = facts.resumed,
        .verified = facts.client_certificate == ClientCertificateResult::kVerified,
        .common_name = facts.client_name,
        .issuer = facts.client_issuer};
    info.alpn = facts.alpn;
    info.sni = facts.sni;
  }
  uint64_t unique[2] = {ctx.run, session.id};
  info.unique_id = {reinterpret_cast<const char*>(unique), sizeof unique};
  Writer writer(room);
  const bool written = backend.proxy == ProxyOut::kV1 ? WriteProxyV1(info, writer)
                                                      : WriteProxyV2(info, backend.tlvs, writer);
  session.server.out.Append(writer.size());
  return written;
}

}  // namespace starling
