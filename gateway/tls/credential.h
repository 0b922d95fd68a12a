// One parsed key and chain, which credential_store.h keeps opaque. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/tls/credential_store.h"

namespace starling {

// In the order of preference for clients that support several.
enum class KeyKind : uint8_t { kEc, kEd25519, kRsa };
inline constexpr size_t kKeyKindCount = 3;

using Sha256 = std::array<uint8_t, 32>;

// Identifies the certificate that an OCSP response must be about (RFC 6960 section
// 4.1.1).
struct OcspSubject {
  std::string serial;       // content octets of the DER INTEGER
  std::string issuer_name;  // DER
  std::string issuer_key;   // content octets of the BIT STRING; empty: unknown
};

// Everything that follows from the content of certificate and key alone. Immutable once
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
  std::vector<Issuer> issuers;         // the chain without the leaf
  std::vector<std::string> warnings;   // each begins with a path
  std::string note;                    // may be empty
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
  Sha256 ocsp_digest = {};  // of `ocsp`; zeros without a response
  std::string ocsp;         // the response to send, DER; may be empty
  int64_t ocsp_until = 0;   // Unix seconds: when `ocsp` expires
  int64_t reload_at = 0;    // as CertificateSet::reload_at
};

}  // namespace starling
