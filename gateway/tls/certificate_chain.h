// Puts the certificates of a file into the order TLS wants them in: leaf first,
// each followed by its issuer (RFC 8446 section 4.4.2). For tls/ only.
//
// Not for: trust. Signatures are the clients' to verify; one is looked at only
// where several certificates might be the issuer.
#pragma once

#include <openssl/x509.h>

#include <cstddef>
#include <string>
#include <vector>

namespace starling {

using Chain = std::vector<bssl::UniquePtr<X509>>;

struct OrderedChain {
  Chain sent;
  std::string text;  // CertificateInfo::chain
  // Of what was changed, and of weak signatures; without the path.
  std::vector<std::string> warnings;
  std::string note;  // of a root that is sent for nothing; empty: none
};

// `leaf` is its position in `certificates`.
OrderedChain OrderChain(Chain certificates, size_t leaf);

// A UTC date for messages, "2026-03-01".
std::string DateText(int64_t unix_seconds);

// The common name, else the last part there is, printable; never empty.
std::string DisplayName(const X509_NAME* name);

}  // namespace starling
