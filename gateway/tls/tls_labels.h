// Names of what TLS can negotiate and of how it can fail: label values of
// metrics and fields of the log. Plain data, so that metrics and log stay
// leaves.
//
// Not for: which of these a listener allows (tls_context.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace starling {

// Why a handshake or a connection failed: labels of
// starling_tls_handshake_failures_total.
#define STARLING_TLS_FAILURES(X)                       \
  X(kNone, "none")                                     \
  X(kNoSharedVersion, "no_shared_version")             \
  X(kNoSharedCipher, "no_shared_cipher")               \
  X(kNoSharedGroup, "no_shared_group")                 \
  X(kNoApplicationProtocol, "no_application_protocol") \
  X(kNoCertificate, "no_certificate")                  \
  X(kNotTls, "not_tls")                                \
  X(kClientAlert, "client_alert")                      \
  X(kCertificateRejected, "certificate_rejected")      \
  X(kInappropriateFallback, "inappropriate_fallback")  \
  X(kRecordOverflow, "record_overflow")                \
  X(kBadRecord, "bad_record")                          \
  X(kProtocol, "protocol")                             \
  X(kClosed, "closed")                                 \
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

// Label values of starling_tls_negotiated_total and starling_tls_group_total;
// what is not in the list is counted as the last, "other".
inline constexpr std::string_view kTlsVersionLabels[] = {"TLSv1.2", "TLSv1.3"};
inline constexpr std::string_view kTlsCipherLabels[] = {
    "TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",  "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",   "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",   "other"};
inline constexpr std::string_view kTlsGroupLabels[] = {"X25519MLKEM768", "X25519", "P-256",
                                                       "other"};

}  // namespace starling
