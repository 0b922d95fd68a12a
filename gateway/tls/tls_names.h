// Names of what a TLS policy may allow, as configurations write them. Plain
// data, so that the option table can list them.
//
// Not for: what metrics and log call what was negotiated (tls_labels.h).
#pragma once

#include <string_view>

namespace starling {

inline constexpr std::string_view kTlsVersionNames[] = {"TLSv1.2", "TLSv1.3"};
// Forward secrecy and authenticated encryption only (RFC 9325 section 4.2).
inline constexpr std::string_view kTlsSuiteNames[] = {
    "TLS_AES_128_GCM_SHA256",       "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",  "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305"};
inline constexpr std::string_view kTlsGroupNames[] = {"X25519MLKEM768", "X25519", "P-256", "P-384",
                                                      "P-521"};
// RFC 8446 section 4.2.3; SHA-1 is left out (RFC 9155).
inline constexpr std::string_view kTlsSignatureNames[] = {
    "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512", "ed25519",
    "rsa_pss_rsae_sha256",    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",    "rsa_pkcs1_sha256",
    "rsa_pkcs1_sha384",       "rsa_pkcs1_sha512"};

}  // namespace starling
