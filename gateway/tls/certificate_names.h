// For which hosts a certificate is (RFC 9525). For tls/ only.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

namespace starling {

struct CertificateNames {
  std::string text;              // CertificateInfo::names
  std::vector<std::string> dns;  // CertificateMaterial::dns_names
  bool unusable = false;         // some are no host names, or partial wildcards: left out of `dns`
};

// Subject alternative names; the common name only where there are none. False if they
// are damaged.
bool ReadNames(const X509* leaf, CertificateNames& out);

}  // namespace starling
