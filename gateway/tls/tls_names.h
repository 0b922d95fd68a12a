// The names of versions, ciphers, groups and signature algorithms that a configuration
// can use. Plain data, so that the option table can list them.
//
// Not for: the names of negotiated parameters in metrics and log (tls_labels.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace starling {

// Whether to ask clients for a certificate, and whether to refuse those without one.
enum class ClientCertificateMode : uint8_t { kNone, kOptional, kRequire };

inline constexpr std::string_view kTlsVersionNames[] = {"TLSv1.2", "TLSv1.3"};
// Only suites with forward secrecy and authenticated encryption (RFC 9325 section 4.2).
inline constexpr std::string_view kTlsSuiteNames[] = {
    "TLS_AES_128_GCM_SHA256",       "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",  "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305"};
inline constexpr std::string_view kTlsGroupNames[] = {"X25519MLKEM768", "X25519", "P-256", "P-384",
                                                      "P-521"};
// RFC 8446 section 4.2.3, without SHA-1 (RFC 9155).
inline constexpr std::string_view kTlsSignatureNames[] = {
    "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512", "ed25519",
    "rsa_pss_rsae_sha256",    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",    "rsa_pkcs1_sha256",
    "rsa_pkcs1_sha384",       "rsa_pkcs1_sha512"};

}  // namespace starling
