// What the public header keeps opaque: one parsed key and chain. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/tls/credential_store.h"

namespace starling {

// In the order of preference for clients that can verify several.
enum class KeyKind : uint8_t { kEc, kEd25519, kRsa };
inline constexpr size_t kKeyKindCount = 3;

using Sha256 = std::array<uint8_t, 32>;

// What an OCSP response must be about.
struct OcspSubject {
  std::string serial;       // content of the DER INTEGER
  std::string issuer_name;  // DER
  std::string issuer_key;   // content of the BIT STRING; empty: not known
};

// All that follows from the content of certificate and key alone. Immutable once
// made.
struct CertificateMaterial {
  struct Issuer {
    std::string name;
    int64_t not_after = 0;
  };

  bssl::UniquePtr<EVP_PKEY> key;
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> chain;  // as it is sent
  KeyKind kind = KeyKind::kEc;
  CertificateInfo info;                // without warnings and OCSP
  std::vector<std::string> dns_names;  // lower-case A-labels; "*.example.org" for wildcards
  std::vector<Issuer> issuers;         // of the chain
  std::vector<std::string> warnings;   // each begins with a path
  std::string note;                    // empty: nothing to say
  OcspSubject subject;
  Sha256 fingerprint = {};  // of the leaf
};

// Immutable once made.
class Credential {
 public:
  bssl::UniquePtr<SSL_CREDENTIAL> ssl;
  CertificateInfo info;
  std::shared_ptr<const CertificateMaterial> material;
  Sha256 digest = {};       // of the content of certificate and key
  Sha256 ocsp_digest = {};  // of the response that is sent; zeros: none
  std::string ocsp;         // that response
  int64_t ocsp_until = 0;   // and the end of its validity
  int64_t reload_at = 0;    // as CertificateSet::reload_at
};

}  // namespace starling
