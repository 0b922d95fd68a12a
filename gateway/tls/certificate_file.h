// From the text of a certificate file and a key file to what TLS needs of them.
// For tls/ only.
//
// Not for: what the day or the file system decides (credential_store.cc).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gateway/tls/credential.h"

namespace starling {

// The paths are for messages; they are the same for a file of both. An error begins
// with the path of the file that is to blame, and holds nothing of a key.
absl::StatusOr<std::shared_ptr<const CertificateMaterial>> ParseCertificate(
    const std::string& cert_file, std::string_view cert_pem, const std::string& key_file,
    std::string_view key_pem);

// `ocsp` (DER) is sent to clients that ask; empty: none. Null on lack of memory, or if
// the chain cannot be used for TLS.
bssl::UniquePtr<SSL_CREDENTIAL> MakeSslCredential(const CertificateMaterial& material,
                                                  std::span<const uint8_t> ocsp);

// Whether there is a certificate, or a private key, to be looked for in the text.
bool HoldsCertificate(std::string_view pem);
bool HoldsKey(std::string_view pem);

}  // namespace starling
