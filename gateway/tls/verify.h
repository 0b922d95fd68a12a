// Verification of the other side's certificate against a TrustStore. For tls/ only.
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
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names;  // of the authorities, for clients to choose by
  bool check_crl = false;
  uint32_t depth = 0;
  std::string digest;
  std::vector<std::string> warnings;
};

// What is known of a client that sent a certificate. Name and issuer are set only if
// the certificate was verified, and even then not all certificates have them.
struct PeerIdentity {
  ClientCertificateResult result = ClientCertificateResult::kFailed;
  std::string name;
  std::string issuer;
};

enum class TrustPurpose : uint8_t { kClient, kServer };

// The most octets of certificates that are looked at, and kept in a ticket: a client sends
// that back in a hello, whose size has limits of its own.
inline constexpr size_t kMaxChainSize = 16 * 1'024;
// What the other side of `ssl` sent; 0: nothing.
size_t ChainSize(const SSL* ssl);

// Verifies the chain that the other side of `ssl` sent, or had sent when the resumed
// session was new. `host`: the name or address that a server's certificate must be
// for; empty: any. True, or `alert` says what to tell it.
bool VerifyPeer(const SSL* ssl, const TrustStore& trust, TrustPurpose purpose,
                std::string_view host, uint8_t& alert);

// The identity of a client whose certificate `verified`, or not.
PeerIdentity IdentityOf(const SSL* ssl, bool verified);

}  // namespace starling
