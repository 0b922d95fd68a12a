// Verifies the peer's certificate against a TrustStore (RFC 5280). For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/tls/tls_labels.h"
#include "gateway/tls/trust_store.h"

namespace starling {

struct TrustStore::Impl {
  bssl::UniquePtr<X509_STORE> store;
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names;  // the authorities' names, sent to clients
  bool check_crl = false;
  uint32_t depth = 0;
  std::string digest;
  std::vector<std::string> warnings;
};

// A client's identity by its certificate. Name and issuer are set only if the certificate
// was verified, and may be empty even then.
struct PeerIdentity {
  ClientCertificateResult result = ClientCertificateResult::kFailed;
  std::string name;
  std::string issuer;
};

enum class TrustPurpose : uint8_t { kClient, kServer };

// The octets of certificates that the peer of `ssl` sent; 0 if it sent none.
size_t ChainSize(const SSL* ssl);

// Verifies the chain that the peer of `ssl` sent, or that it sent when a resumed session
// was new. `host`: the name or address that a server's certificate must cover; empty:
// any. If it returns false, `alert` is the alert to send.
bool VerifyPeer(const SSL* ssl, const TrustStore& trust, TrustPurpose purpose,
                std::string_view host, uint8_t& alert);

// The identity of a client; `verified` is the result of VerifyPeer.
PeerIdentity IdentityOf(const SSL* ssl, bool verified);

}  // namespace starling
