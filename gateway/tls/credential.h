// What the public header keeps opaque: one parsed key and chain. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/tls/tls_context.h"

namespace starling {

enum class KeyKind : uint8_t { kEc, kRsa, kEd25519 };

// Immutable once made. A copy shares the parsed key and chain.
class Credential {
 public:
  Credential() = default;
  Credential(const Credential& other)
      : ssl(bssl::UpRef(other.ssl)),
        info(other.info),
        dns_names(other.dns_names),
        chain_warnings(other.chain_warnings),
        kind(other.kind),
        digest(other.digest) {}
  Credential& operator=(const Credential&) = delete;

  bssl::UniquePtr<SSL_CREDENTIAL> ssl;
  CertificateInfo info;
  std::vector<std::string> dns_names;       // lower-case; "*.example.org" for wildcards
  std::vector<std::string> chain_warnings;  // those that neither day nor file mode changes
  KeyKind kind = KeyKind::kEc;
  std::array<uint8_t, 32> digest = {};  // of the two files' content
};

}  // namespace starling
