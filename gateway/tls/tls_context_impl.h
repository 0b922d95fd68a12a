// The inside of a TlsContext: the library's context and everything that its callbacks
// read. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "gateway/tls/certificate_compression.h"
#include "gateway/tls/credential_index.h"
#include "gateway/tls/policy.h"
#include "gateway/tls/tickets.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_engine.h"

namespace starling {

struct TlsContext::Impl : TlsEngine {
  Impl(const TlsPolicy& from, CompiledPolicy compiled)
      : index(from.certificates),
        alpn(from.alpn),
        second_alpn(from.second_alpn),
        alpn_strict(from.alpn_strict),
        sni_strict(from.sni_strict),
        policy(std::move(compiled)),
        client_certificate(from.client_certificate),
        trust(from.client_trust),
        tickets(from.tickets) {}

  // Call before Init. The error names the certificate whose key no signature algorithm of
  // the policy fits.
  absl::Status RestrictCredentials();
  // False when memory ran out.
  bool Init();

  // The context that made `ssl`.
  static Impl& Of(const SSL* ssl);

  // Calls `add` with each credential of an index list, restricted to the policy's
  // signature algorithms. Stops and returns false when `add` returns false.
  template <typename Add>
  bool OfferCredentials(size_t list, Add add) const {
    for (const Credential* credential : index->At(list)) {
      if (!add(Offered(credential))) return false;
    }
    return true;
  }
  SSL_CREDENTIAL* Offered(const Credential* credential) const {
    if (policy.all_signatures) return credential->ssl.get();
    return restricted.at(credential).get();
  }

  const std::shared_ptr<const CredentialIndex> index;
  const std::string alpn;
  const std::string second_alpn;
  const bool alpn_strict;
  const bool sni_strict;
  const CompiledPolicy policy;
  const ClientCertificateMode client_certificate;
  const std::shared_ptr<const TrustStore> trust;
  // Copies of the credentials that sign only with algorithms of the policy. Empty when
  // the policy allows all algorithms.
  std::map<const Credential*, bssl::UniquePtr<SSL_CREDENTIAL>> restricted;
  TicketSealer tickets;
  CompressedCertificates compressed;
};

}  // namespace starling
