// The names of negotiated TLS parameters and of failures: label values of metrics and
// fields of the log. Plain data, so that metrics and log need not depend on the TLS
// library.
//
// Not for: the names that configurations use (tls_names.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace starling {

// Why a handshake or a connection failed: labels of
// starling_tls_handshake_failures_total.
#define STARLING_TLS_FAILURES(X)                             \
  X(kNone, "none")                                           \
  X(kNoSharedVersion, "no_shared_version")                   \
  X(kNoSharedCipher, "no_shared_cipher")                     \
  X(kNoSharedGroup, "no_shared_group")                       \
  X(kNoApplicationProtocol, "no_application_protocol")       \
  X(kNoCertificate, "no_certificate")                        \
  X(kSniUnknown, "sni_unknown")                              \
  X(kClientCertificateMissing, "client_certificate_missing") \
  X(kClientCertificateInvalid, "client_certificate_invalid") \
  X(kServerCertificateInvalid, "server_certificate_invalid") \
  X(kNotTls, "not_tls")                                      \
  X(kPeerAlert, "peer_alert")                                \
  X(kCertificateRejected, "certificate_rejected")            \
  X(kInappropriateFallback, "inappropriate_fallback")        \
  X(kRecordOverflow, "record_overflow")                      \
  X(kMessageTooLarge, "message_too_large")                   \
  X(kBadRecord, "bad_record")                                \
  X(kProtocol, "protocol")                                   \
  X(kClosed, "closed")                                       \
  X(kReset, "reset")                                         \
  X(kTimeout, "timeout")

enum class TlsFailure : uint8_t {
#define X(name, label) name,
  STARLING_TLS_FAILURES(X)
#undef X
};
#define X(name, label) +1
inline constexpr size_t kTlsFailureCount = 0 STARLING_TLS_FAILURES(X);
#undef X
#define X(name, label) std::string_view(label),
inline constexpr std::string_view kTlsFailureLabels[] = {STARLING_TLS_FAILURES(X)};
#undef X
constexpr std::string_view Label(TlsFailure failure) {
  return kTlsFailureLabels[static_cast<size_t>(failure)];
}

// The outcome of TLS with a backend's server, for the log. Numbers are indices into the
// lists below.
struct UpstreamTlsOutcome {
  bool up = false;  // TLS is established, and the next three members are set
  bool resumed = false;
  uint8_t version = 0, cipher = 0;
  TlsFailure failure = TlsFailure::kNone;  // of the last server where it failed
};

// Label values of starling_tls_negotiated_total and starling_tls_group_total. The last
// one, "other", counts everything that the list lacks.
inline constexpr std::string_view kTlsVersionLabels[] = {"TLSv1.2", "TLSv1.3"};
inline constexpr std::string_view kTlsCipherLabels[] = {
    "TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",  "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",   "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",   "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",          "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",          "other"};
inline constexpr std::string_view kTlsGroupLabels[] = {"X25519MLKEM768", "X25519", "P-256",
                                                       "P-384",          "P-521",  "other"};
// The signature algorithm of the server: kTlsSignatureNames, and "resumed" for a resumed
// session, where the server does not sign.
inline constexpr std::string_view kTlsSignatureLabels[] = {"ecdsa_secp256r1_sha256",
                                                           "ecdsa_secp384r1_sha384",
                                                           "ecdsa_secp521r1_sha512",
                                                           "ed25519",
                                                           "rsa_pss_rsae_sha256",
                                                           "rsa_pss_rsae_sha384",
                                                           "rsa_pss_rsae_sha512",
                                                           "rsa_pkcs1_sha256",
                                                           "rsa_pkcs1_sha384",
                                                           "rsa_pkcs1_sha512",
                                                           "resumed"};
// The highest version that a ClientHello offered; "unknown" if it offered no known
// version.
inline constexpr std::string_view kTlsOfferedLabels[] = {"unknown", "SSLv3",   "TLSv1.0",
                                                         "TLSv1.1", "TLSv1.2", "TLSv1.3"};
// Types of the gateway's key, as the PROXY header writes them. Empty for another type,
// and for a resumed session, which uses no key.
inline constexpr std::string_view kTlsKeyLabels[] = {"EC256",   "EC384",   "EC521",   "RSA2048",
                                                     "RSA3072", "RSA4096", "ED25519", ""};

// The result of checking a client's certificate.
inline constexpr std::string_view kClientCertificateLabels[] = {"not_asked", "absent", "verified",
                                                                "failed"};
enum class ClientCertificateResult : uint8_t { kNotAsked, kNone, kVerified, kFailed };

// Alerts (RFC 8446 section 6, RFC 5246 section 7.2) by description. One more label,
// "other", counts everything that the list lacks.
struct TlsAlertRow {
  uint8_t description;
  std::string_view label;
};
inline constexpr TlsAlertRow kTlsAlerts[] = {{0, "close_notify"},
                                             {10, "unexpected_message"},
                                             {20, "bad_record_mac"},
                                             {22, "record_overflow"},
                                             {40, "handshake_failure"},
                                             {42, "bad_certificate"},
                                             {43, "unsupported_certificate"},
                                             {44, "certificate_revoked"},
                                             {45, "certificate_expired"},
                                             {46, "certificate_unknown"},
                                             {47, "illegal_parameter"},
                                             {48, "unknown_ca"},
                                             {49, "access_denied"},
                                             {50, "decode_error"},
                                             {51, "decrypt_error"},
                                             {70, "protocol_version"},
                                             {71, "insufficient_security"},
                                             {80, "internal_error"},
                                             {86, "inappropriate_fallback"},
                                             {90, "user_canceled"},
                                             {100, "no_renegotiation"},
                                             {109, "missing_extension"},
                                             {110, "unsupported_extension"},
                                             {112, "unrecognized_name"},
                                             {116, "certificate_required"},
                                             {120, "no_application_protocol"}};
inline constexpr size_t kTlsAlertCount = sizeof(kTlsAlerts) / sizeof(kTlsAlerts[0]) + 1;
// Not the description of an alert: there was no alert.
inline constexpr uint8_t kNoAlert = 255;
constexpr size_t AlertIndex(uint8_t description) {
  size_t i = 0;
  while (i + 1 < kTlsAlertCount && kTlsAlerts[i].description != description) ++i;
  return i;
}
constexpr std::string_view AlertLabel(size_t index) {
  return index + 1 < kTlsAlertCount ? kTlsAlerts[index].label : std::string_view("other");
}

}  // namespace starling
