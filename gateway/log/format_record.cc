// A session's record as a line: only the fields that apply to it.
#include <string>

#include "gateway/log/format.h"
#include "gateway/log/log.h"
#include "gateway/log/messages.h"

namespace starling {
namespace {

// Ids come from workers; one without a name shows itself.
std::string NameOf(const std::vector<std::string>& names, uint32_t id) {
  return id < names.size() ? names[id] : "#" + std::to_string(id);
}

std::string HexId(uint64_t id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < text.size(); ++i) text[text.size() - 1 - i] = kDigits[id >> (4 * i) & 15];
  return text;
}

template <size_t n>
std::string_view At(const std::string_view (&labels)[n], uint8_t index) {
  return labels[index < n ? index : n - 1];
}

// Only who was verified is named.
void AddClient(const SessionRecord& record, LogLine& line) {
  const ClientCertificateResult result = record.client_certificate;
  if (result == ClientCertificateResult::kNotAsked || result == ClientCertificateResult::kNone) {
    return;
  }
  line.Add("client_cert", kClientCertificateLabels[static_cast<size_t>(result)]);
  if (record.client_name.length > 0) line.Add("client_name", record.client_name.view());
  if (record.client_issuer.length > 0) line.Add("client_issuer", record.client_issuer.view());
}

void AddAlert(std::string_view key, uint8_t description, LogLine& line) {
  if (description != kNoAlert) line.Add(key, AlertLabel(AlertIndex(description)));
}

void AddTls(const SessionRecord& record, LogLine& line) {
  if (record.sni.length > 0) line.Add("sni", record.sni.view());
  if (record.tls) {
    line.Add("tls_version", At(kTlsVersionLabels, record.tls_version));
    line.Add("cipher", At(kTlsCipherLabels, record.tls_cipher));
    line.Add("group", At(kTlsGroupLabels, record.tls_group));
    if (!record.resumed) line.Add("signature", At(kTlsSignatureLabels, record.tls_signature));
    line.AddBool("resumed", record.resumed);
    AddClient(record, line);
    line.AddMillis("handshake_ms", record.handshake_us);
  }
  if (record.tls_failure == TlsFailure::kNone) return;
  line.Add("tls_failure", Label(record.tls_failure));
  if (record.tls_offered != 0) line.Add("tls_offered", At(kTlsOfferedLabels, record.tls_offered));
  AddAlert("alert_sent", record.alert_sent, line);
  AddAlert("alert_received", record.alert_received, line);
}

void AddUpstream(const SessionRecord& record, const Log::Options& options, LogLine& line) {
  if (record.server == UINT32_MAX) return;
  if (record.server < options.servers.size()) {
    line.Add("backend", options.servers[record.server].backend);
    line.Add("server", options.servers[record.server].server);
  } else {
    line.Add("server", "#" + std::to_string(record.server));
  }
  if (record.upstream_port != 0) line.AddNumber("upstream_port", record.upstream_port);
}

void AddUpstreamTls(const UpstreamTlsOutcome& tls, LogLine& line) {
  if (tls.up) {
    line.Add("upstream_tls_version", At(kTlsVersionLabels, tls.version));
    line.Add("upstream_cipher", At(kTlsCipherLabels, tls.cipher));
    line.AddBool("upstream_resumed", tls.resumed);
  }
  if (tls.failure != TlsFailure::kNone) line.Add("upstream_tls_failure", Label(tls.failure));
}

LogMessage MessageOf(LogEvent event) {
  switch (event) {
    case LogEvent::kPregreet:
      return LogMessage::kPregreet;
    case LogEvent::kEstablished:
      return LogMessage::kSessionEstablished;
    case LogEvent::kEnded:
      break;
  }
  return LogMessage::kSessionEnded;
}

}  // namespace

std::string FormatRecord(const SessionRecord& record, const Log::Options& options) {
  const bool ended = record.event == LogEvent::kEnded;
  const LogMessageRow& row = RowOf(MessageOf(record.event));
  LogLine line(record.at, NameOf(row.level), row.text);
  line.Add("session", HexId(record.session));
  line.Add("listener", NameOf(options.listeners, record.listener));
  line.Add("protocol", NameOf(options.protocols, record.listener));
  if (record.peer.family != Endpoint::Family::kNone) line.Add("peer", ToString(record.peer));
  if (record.local.family != Endpoint::Family::kNone) line.Add("local", ToString(record.local));
  AddTls(record, line);
  if (record.plaintext_leg) line.AddBool("plaintext", true);
  AddUpstream(record, options, line);
  AddUpstreamTls(record.upstream_tls, line);
  line.AddMillis("duration_ms", record.duration_us);
  if (ended) {
    line.AddNumber("downstream_in", record.downstream_in);
    line.AddNumber("downstream_out", record.downstream_out);
    line.AddNumber("upstream_in", record.upstream_in);
    line.AddNumber("upstream_out", record.upstream_out);
    line.Add("reason", Label(record.reason));
    if (record.reply != 0) line.AddNumber("reply", record.reply);
  }
  return options.format == LogFormat::kJson ? line.Json() : line.Logfmt();
}

}  // namespace starling
