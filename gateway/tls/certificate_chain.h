// Puts the certificates of a file into the order that TLS requires: the leaf first, each
// certificate followed by its issuer (RFC 8446 section 4.4.2). For tls/ only.
//
// Not for: trust. Clients verify the signatures; OrderChain checks one only to choose
// among several possible issuers.
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
  // About changes to the chain and weak signatures; without the file's path.
  std::vector<std::string> warnings;
  std::string note;  // about an unnecessary root; may be empty
};

// `leaf` is the position of the leaf in `certificates`.
OrderedChain OrderChain(Chain certificates, size_t leaf);

// The UTC date for messages, such as "2026-03-01".
std::string DateText(int64_t unix_seconds);

// The common name, or else the last part of the name, in printable form; never empty.
std::string DisplayName(const X509_NAME* name);

}  // namespace starling
