// Reads the host names that a certificate is valid for (RFC 9525). For tls/ only.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

namespace starling {

struct CertificateNames {
  std::string text;              // CertificateInfo::names
  std::vector<std::string> dns;  // CertificateMaterial::dns_names
  bool unusable = false;  // `dns` lacks names that are not host names or whole-label wildcards
};

// Reads the subject alternative names, or the common name if the certificate has none.
// False if the extension is damaged.
bool ReadNames(const X509* leaf, CertificateNames& out);

}  // namespace starling
