// Parses the text of a certificate file and a key file into the material for TLS. For
// tls/ only.
//
// Not for: checks that depend on the date or the file system (credential_store.cc).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gateway/tls/credential.h"

namespace starling {

// The paths appear in messages only; they are equal if one file holds both. An error
// begins with the path of the file at fault and contains nothing of a key.
absl::StatusOr<std::shared_ptr<const CertificateMaterial>> ParseCertificate(
    const std::string& cert_file, std::string_view cert_pem, const std::string& key_file,
    std::string_view key_pem);

// `ocsp` is the response (DER) for clients that ask for one; it may be empty. Null if
// memory ran out or the library does not accept the chain.
bssl::UniquePtr<SSL_CREDENTIAL> MakeSslCredential(const CertificateMaterial& material,
                                                  std::span<const uint8_t> ocsp);

// Whether the text seems to hold a certificate or a private key.
bool HoldsCertificate(std::string_view pem);
bool HoldsKey(std::string_view pem);

}  // namespace starling
