// The list of metrics: one row a family. Names and labels are an interface.
//
// Not for: counting (metrics.h), or what is known without counting, such as the
// age of certificates (exporter.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "gateway/tls/tls_labels.h"
#include "protocols/contract/reason.h"

namespace starling {

// Sessions are counted by these phases (gauge starling_sessions).
enum class SessionPhase : uint8_t { kNegotiate, kHandshake, kUpstream, kRelay, kDrain };
inline constexpr std::string_view kSessionPhaseLabels[] = {"negotiate", "handshake", "upstream",
                                                           "relay", "drain"};
inline constexpr std::string_view kDirectionLabels[] = {"downstream_in", "downstream_out",
                                                        "upstream_in", "upstream_out"};
enum class Direction : uint8_t { kDownstreamIn, kDownstreamOut, kUpstreamIn, kUpstreamOut };
inline constexpr std::string_view kRefusedLabels[] = {"session_limit", "buffer_limit"};
enum class Refused : uint8_t { kSessionLimit, kBufferLimit };
inline constexpr std::string_view kResumedLabels[] = {"no", "yes"};
inline constexpr std::string_view kConnectFailureLabels[] = {
    "refused",        "timeout",    "backlog_full", "unreachable",
    "no_such_socket", "permission", "other",        "tls"};
enum class ConnectFailure : uint8_t {
  kRefused,
  kTimeout,
  kBacklogFull,
  kUnreachable,
  kNoSuchSocket,
  kPermission,
  kOther,
  kTls,
};
// `error` is an errno, positive.
ConnectFailure ConnectFailureOf(int error);
inline constexpr std::string_view kLimitLabels[] = {"sessions",
                                                    "refusals",
                                                    "handshakes_in_flight",
                                                    "handshake_queue",
                                                    "key_operations_per_turn",
                                                    "output_buffers",
                                                    "receive_buffers",
                                                    "log_records",
                                                    "descriptors",
                                                    "data_listeners"};
enum class Limit : uint8_t {
  kSessions,
  kRefusals,
  kHandshakesInFlight,
  kHandshakeQueue,
  kKeyOperations,
  kOutputBuffers,
  kReceiveBuffers,
  kLogRecords,
  kDescriptors,  // or memory, that an accept could not get
  kDataListeners,
};
inline constexpr std::string_view kNoLabel[] = {""};
inline constexpr std::string_view kAlertDirectionLabels[] = {"sent", "received"};
enum class AlertDirection : uint8_t { kSent, kReceived };
inline constexpr auto kAlertLabels = [] {
  std::array<std::string_view, kTlsAlertCount> labels{};
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = AlertLabel(i);
  return labels;
}();

enum class MetricType : uint8_t { kCounter, kGauge };

// Families by listener: X(enumerator, name, type, row label, its values,
// column label, its values, with protocol label, help)
#define STARLING_LISTENER_FAMILIES(X)                                                              \
  X(kAccepted, "starling_connections_accepted_total", kCounter, "", kNoLabel, "", kNoLabel, false, \
    "Connections accepted.")                                                                       \
  X(kRefused, "starling_connections_refused_total", kCounter, "reason", kRefusedLabels, "",        \
    kNoLabel, false, "Connections refused by the gateway itself.")                                 \
  X(kSessions, "starling_sessions", kGauge, "phase", kSessionPhaseLabels, "", kNoLabel, false,     \
    "Sessions now, by phase.")                                                                     \
  X(kEnded, "starling_sessions_ended_total", kCounter, "reason", kEndReasonLabels, "", kNoLabel,   \
    false, "Sessions ended, by reason.")                                                           \
  X(kHandshakes, "starling_tls_handshakes_total", kCounter, "version", kTlsVersionLabels,          \
    "resumed", kResumedLabels, false, "TLS handshakes completed.")                                 \
  X(kHandshakeFailures, "starling_tls_handshake_failures_total", kCounter, "reason",               \
    kTlsFailureLabels, "", kNoLabel, false, "TLS handshakes that failed.")                         \
  X(kCipher, "starling_tls_negotiated_total", kCounter, "cipher", kTlsCipherLabels, "", kNoLabel,  \
    false, "Handshakes by negotiated cipher suite.")                                               \
  X(kGroup, "starling_tls_group_total", kCounter, "group", kTlsGroupLabels, "", kNoLabel, false,   \
    "Handshakes by key exchange group.")                                                           \
  X(kOffered, "starling_starttls_offered_total", kCounter, "", kNoLabel, "", kNoLabel, true,       \
    "Sessions that were offered the upgrade.")                                                     \
  X(kUpgrades, "starling_starttls_upgrades_total", kCounter, "", kNoLabel, "", kNoLabel, true,     \
    "Sessions that took the upgrade.")                                                             \
  X(kPlaintext, "starling_plaintext_sessions_total", kCounter, "", kNoLabel, "", kNoLabel, true,   \
    "Sessions that opened a plaintext leg.")                                                       \
  X(kSignals, "starling_downgrade_signals_total", kCounter, "signal", kSignalLabels, "", kNoLabel, \
    true, "Signs of a TLS downgrade.")                                                             \
  X(kAttacks, "starling_attacks_refused_total", kCounter, "kind", kAttackLabels, "", kNoLabel,     \
    true, "What was refused because it is, or looks like, an attack.")                             \
  X(kBytes, "starling_bytes_total", kCounter, "direction", kDirectionLabels, "", kNoLabel, false,  \
    "Octets on the sockets of each side.")                                                         \
  X(kFailedOffers, "starling_tls_failed_offers_total", kCounter, "offered", kTlsOfferedLabels, "", \
    kNoLabel, false, "TLS handshakes that failed, by the highest version the client offered.")     \
  X(kSignature, "starling_tls_signature_total", kCounter, "signature", kTlsSignatureLabels, "",    \
    kNoLabel, false, "Handshakes by what the server signed with.")                                 \
  X(kHelloRetry, "starling_tls_hello_retry_total", kCounter, "", kNoLabel, "", kNoLabel, false,    \
    "Handshakes that took another round trip for a key share.")                                    \
  X(kTicketUnknown, "starling_tls_tickets_unknown_total", kCounter, "", kNoLabel, "", kNoLabel,    \
    false, "Handshakes of clients with a session ticket that no key opens.")                       \
  X(kClientCertificates, "starling_tls_client_certificates_total", kCounter, "result",             \
    kClientCertificateLabels, "", kNoLabel, false,                                                 \
    "Handshakes by what became of a client "                                                       \
    "certificate.")                                                                                \
  X(kAlerts, "starling_tls_alerts_total", kCounter, "direction", kAlertDirectionLabels, "alert",   \
    kAlertLabels, false, "TLS alerts but close_notify.")

// Families by server of a backend: X(enumerator, name, type, row label, its values, help)
#define STARLING_SERVER_FAMILIES(X)                                                           \
  X(kBackendSessions, "starling_backend_sessions", kGauge, "", kNoLabel, "Legs open now.")    \
  X(kConnectFailures, "starling_backend_connect_failures_total", kCounter, "reason",          \
    kConnectFailureLabels, "Connects that failed.")                                           \
  X(kBackendTlsHandshakes, "starling_backend_tls_handshakes_total", kCounter, "resumed",      \
    kResumedLabels, "TLS handshakes with servers.")                                           \
  X(kBackendTlsFailures, "starling_backend_tls_handshake_failures_total", kCounter, "reason", \
    kTlsFailureLabels, "TLS handshakes with servers that failed.")

// Families of workers: X(enumerator, name, type, row label, its values, with
// worker label (or the sum over workers), unit of a cell, help)
#define STARLING_WORKER_FAMILIES(X)                                                               \
  X(kCompletions, "starling_worker_ring_completions_total", kCounter, "", kNoLabel, true, 1,      \
    "Completions handled.")                                                                       \
  X(kStale, "starling_worker_stale_completions_total", kCounter, "", kNoLabel, true, 1,           \
    "Completions of sessions that were gone; always 0.")                                          \
  X(kBuffersOut, "starling_worker_buffers_out", kGauge, "", kNoLabel, true, 1,                    \
    "Receive and output buffers held by sessions.")                                               \
  X(kDescriptors, "starling_worker_descriptors_in_use", kGauge, "", kNoLabel, true, 1,            \
    "Entries of the ring's descriptor table in use.")                                             \
  X(kLoopMicros, "starling_worker_loop_busy_seconds_total", kCounter, "", kNoLabel, true, 1e-6,   \
    "Time spent outside of waiting.")                                                             \
  X(kTurns, "starling_worker_turns_total", kCounter, "", kNoLabel, true, 1, "Turns of the loop.") \
  X(kLimitReached, "starling_limit_reached_total", kCounter, "limit", kLimitLabels, false, 1,     \
    "How often a limit was met.")                                                                 \
  X(kLogLost, "starling_log_lines_lost_total", kCounter, "", kNoLabel, false, 1,                  \
    "Log lines dropped because the log's reader was too slow.")

// starling_session_seconds and starling_tls_handshake_seconds, by listener.
enum class Histogram : uint8_t { kSessionSeconds, kHandshakeSeconds };
inline constexpr size_t kHistogramCount = 2;
inline constexpr size_t kHistogramBuckets = 14;  // and one for all above the last bound
// Upper bounds in microseconds, inclusive. Handshakes: from a resumed one on an
// idle machine to the deadline. Sessions: from a probe to half a day of IDLE.
inline constexpr uint64_t kHistogramBoundsMicros[kHistogramCount][kHistogramBuckets] = {
    {10'000, 50'000, 100'000, 500'000, 1'000'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000,
     300'000'000, 1'800'000'000, 7'200'000'000, 21'600'000'000, 43'200'000'000},
    {250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000,
     5'000'000, 15'000'000}};

enum class Family : uint8_t {
#define X(name, ...) name,
  STARLING_LISTENER_FAMILIES(X)
#undef X
};
enum class ServerFamily : uint8_t {
#define X(name, ...) name,
  STARLING_SERVER_FAMILIES(X)
#undef X
};
enum class WorkerFamily : uint8_t {
#define X(name, ...) name,
  STARLING_WORKER_FAMILIES(X)
#undef X
};

struct FamilyRow {
  std::string_view name;
  MetricType type;
  std::string_view row_label;  // empty: no such label
  std::span<const std::string_view> rows;
  std::string_view col_label;
  std::span<const std::string_view> cols;
  bool with_protocol;  // families by listener
  bool with_worker;    // families of workers
  double unit;         // what a cell's 1 is worth in the exported value
  std::string_view help;

  constexpr size_t cells() const { return rows.size() * cols.size(); }
};

inline constexpr FamilyRow kListenerFamilies[] = {
#define X(id, name, type, row, rows, col, cols, protocol, help) \
  {name, MetricType::type, row, rows, col, cols, protocol, false, 1, help},
    STARLING_LISTENER_FAMILIES(X)
#undef X
};
// Labels backend and server come first.
inline constexpr FamilyRow kServerFamilies[] = {
#define X(id, name, type, row, rows, help) \
  {name, MetricType::type, row, rows, "", kNoLabel, false, false, 1, help},
    STARLING_SERVER_FAMILIES(X)
#undef X
};
inline constexpr FamilyRow kWorkerFamilies[] = {
#define X(id, name, type, row, rows, worker, unit, help) \
  {name, MetricType::type, row, rows, "", kNoLabel, false, worker, unit, help},
    STARLING_WORKER_FAMILIES(X)
#undef X
};

struct HistogramRow {
  std::string_view name;
  std::string_view help;
};
inline constexpr HistogramRow kHistograms[kHistogramCount] = {
    {"starling_session_seconds", "Time from accept to the end of a session."},
    {"starling_tls_handshake_seconds", "Time from the first octet of TLS to the handshake's end."}};

// Index 0 of a list of reasons stands for "nothing happened"; it is never counted
// and not exported.
inline constexpr std::string_view kNothingHappened = "none";

}  // namespace starling
