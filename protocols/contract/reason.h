// Why a session ends, which attacks the gateway refused, and which signs of a downgrade it
// saw. These lists are an interface: their names are metric labels and log fields. The
// whole program uses one list, so that no layer has to translate another's. Each dialogue
// uses the rows that concern it.
//
// Not for: how each is counted (gateway/metrics) or answered (each protocol).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace starling {

// X(enumerator, label, what it means)
#define STARLING_END_REASONS(X)                                                                    \
  X(kNone, "none", "not ended")                                                                    \
  X(kClientClosed, "client_closed", "the client ended an established session")                     \
  X(kBackendClosed, "backend_closed", "the backend ended an established session")                  \
  X(kGoodbye, "goodbye", "the client said goodbye to the gateway itself (QUIT, LOGOUT)")           \
  X(kClientLeftEarly, "client_left_early", "the client closed before it was established")          \
  X(kClientTruncated, "client_truncated", "TCP end without close_notify from the client")          \
  X(kClientBareEnd, "client_bare_end", "the client ended TCP alone, which ended an upload")        \
  X(kClientReset, "client_reset", "the client's connection was reset")                             \
  X(kBackendTruncated, "backend_truncated", "the backend ended TCP without ending TLS")            \
  X(kBackendReset, "backend_reset", "the backend's connection was reset")                          \
  X(kPlaintextInjection, "plaintext_injection", "octets after the upgrade command")                \
  X(kTlsOnPlainPort, "tls_on_plain_port", "a TLS record where a command was expected")             \
  X(kPlainOnTlsPort, "plain_on_tls_port", "plaintext where a TLS record was expected")             \
  X(kCrossProtocol, "cross_protocol", "another protocol's request, such as HTTP's")                \
  X(kLineTooLong, "line_too_long", "a line or literal over its limit")                             \
  X(kBadOctet, "bad_octet", "NUL, a bare LF, 8-bit octets, malformed BER, HTTP or XML")            \
  X(kTooManyErrors, "too_many_errors", "too many commands without an upgrade")                     \
  X(kTlsRequired, "tls_required", "the client wants something else than the required upgrade")     \
  X(kProxyHeaderBad, "proxy_header_bad", "a malformed or missing PROXY header")                    \
  X(kProxyHeaderUntrusted, "proxy_header_untrusted", "a source that may not send PROXY headers")   \
  X(kHandshakeFailed, "handshake_failed", "the TLS handshake failed")                              \
  X(kTlsError, "tls_error", "a TLS error or fatal alert after the handshake")                      \
  X(kPreRelayDeadline, "pre_relay_deadline", "no command, or no TLS, came in time")                \
  X(kPreRelaySilence, "pre_relay_silence", "silent for too long after a command, before relaying") \
  X(kPreRelayTotal, "pre_relay_total", "all that comes before relaying took too long")             \
  X(kPreRelayCrowded, "pre_relay_crowded", "the session table was too full to wait any longer")    \
  X(kProxyHeaderDeadline, "proxy_header_deadline", "the PROXY header did not arrive in time")      \
  X(kHandshakeDeadline, "handshake_deadline", "the handshake took too long")                       \
  X(kConnectDeadline, "connect_deadline", "no server accepted in time")                            \
  X(kGreetingDeadline, "greeting_deadline",                                                        \
    "the backend's greeting or answer did not come in time")                                       \
  X(kRecordDeadline, "record_deadline", "a TLS record was begun and not finished in time")         \
  X(kIdleDeadline, "idle_deadline", "nothing was exchanged for too long")                          \
  X(kClientStalled, "client_stalled", "the client took too little of what waited for it")          \
  X(kBackendStalled, "backend_stalled", "the server took too little of what waited for it")        \
  X(kMemoryPressure, "memory_pressure", "memory ran short, and the session's peer took nothing")   \
  X(kDrainDeadline, "drain_deadline", "the gateway is stopping")                                   \
  X(kBackendUnavailable, "backend_unavailable", "every server of the backend failed")              \
  X(kBackendRefused, "backend_refused", "the backend's greeting was not a success")                \
  X(kBackendProtocol, "backend_protocol", "the backend broke the protocol before relaying")        \
  X(kBackendTooLong, "backend_too_long", "the backend's greeting exceeds the gateway's limit")     \
  X(kBackendPreauth, "backend_preauth", "the backend greeted as already authenticated")            \
  X(kSessionLimit, "session_limit", "the session table is full")                                   \
  X(kCrowdedOut, "crowded_out", "it made room in a full session table before it was established")  \
  X(kSourceSessions, "source_sessions", "the client's source has as many sessions as it may")      \
  X(kSourceConnections, "source_connections", "the client's source connects too often")            \
  X(kSourceHandshakes, "source_handshakes", "the client's source begins too many handshakes")      \
  X(kSourceFailures, "source_failures", "too much of what the client's source began has failed")   \
  X(kDenied, "denied", "the client's address is on a deny list")                                   \
  X(kHandshakeLimit, "handshake_limit", "too many handshakes wait: this one had to give way")      \
  X(kHandshakeLate, "handshake_late", "so many wait that this handshake would miss its deadline")  \
  X(kPregreet, "pregreet", "the client spoke before the greeting")                                 \
  X(kBufferLimit, "buffer_limit", "no buffer could be had")                                        \
  X(kMemoryLimit, "memory_limit", "memory is too short for another session")                       \
  X(kStopped, "stopped", "the gateway was told to stop at once")                                   \
  X(kProbe, "probe", "a health check that is over, and reached no server")                         \
  X(kDataDropped, "data_dropped", "the control connection had no use for the data channel")

enum class EndReason : uint8_t {
#define X(name, label, text) name,
  STARLING_END_REASONS(X)
#undef X
};

// Refused because it is an attack, or looks like one.
#define STARLING_ATTACKS(X)                                                                    \
  X(kPlaintextInjection, "plaintext_injection", "octets pipelined behind the upgrade command") \
  X(kBackendInjection, "backend_injection", "octets from the backend where none may be")       \
  X(kTlsOnPlainPort, "tls_on_plain_port", "a TLS record in plaintext")                         \
  X(kPlainOnTlsPort, "plain_on_tls_port", "plaintext on a TLS port")                           \
  X(kCrossProtocol, "cross_protocol", "another protocol's request")                            \
  X(kOverlongLine, "overlong_line", "a line or literal over its limit")                        \
  X(kBadOctet, "bad_octet", "NUL, bare LF, 8-bit octets, malformed BER, HTTP or XML")          \
  X(kIdentityClaim, "identity_claim", "XCLIENT, XFORWARD or another claim of identity")        \
  X(kPlaintextAuth, "plaintext_auth", "log-in attempted in plaintext")                         \
  X(kUpgradeInTransaction, "upgrade_in_transaction", "upgrade amid a transaction")             \
  X(kPreauth, "preauth", "a backend that greets as authenticated before TLS")                  \
  X(kUntrustedProxy, "untrusted_proxy", "PROXY header from an untrusted source")               \
  X(kBadProxy, "bad_proxy", "malformed PROXY header from a trusted source")                    \
  X(kPregreet, "pregreet", "octets before the greeting was complete")                          \
  X(kDataStranger, "data_stranger", "a data connection of another host")

enum class Attack : uint8_t {
#define X(name, label, text) name,
  STARLING_ATTACKS(X)
#undef X
};

// Signs of a downgrade that the server's side can see.
#define STARLING_SIGNALS(X)                                                                    \
  X(kNotTaken, "not_taken", "the upgrade was offered and the client went on in plaintext")     \
  X(kMangledCommand, "mangled_command", "a verb that looks like the upgrade command, damaged") \
  X(kEhloRefused, "ehlo_refused", "EHLO was answered with success and HELO came after it")     \
  X(kOfferThenClose, "offer_then_close", "closed after the offer without a further command")

enum class Signal : uint8_t {
#define X(name, label, text) name,
  STARLING_SIGNALS(X)
#undef X
};

#define X(name, label, text) +1
inline constexpr size_t kEndReasonCount = 0 STARLING_END_REASONS(X);
inline constexpr size_t kAttackCount = 0 STARLING_ATTACKS(X);
inline constexpr size_t kSignalCount = 0 STARLING_SIGNALS(X);
#undef X

#define X(name, label, text) std::string_view(label),
inline constexpr std::string_view kEndReasonLabels[] = {STARLING_END_REASONS(X)};
inline constexpr std::string_view kAttackLabels[] = {STARLING_ATTACKS(X)};
inline constexpr std::string_view kSignalLabels[] = {STARLING_SIGNALS(X)};
#undef X

constexpr std::string_view Label(EndReason r) { return kEndReasonLabels[static_cast<size_t>(r)]; }
constexpr std::string_view Label(Attack a) { return kAttackLabels[static_cast<size_t>(a)]; }
constexpr std::string_view Label(Signal s) { return kSignalLabels[static_cast<size_t>(s)]; }

}  // namespace starling
