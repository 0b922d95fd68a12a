// The table of metrics: one row per family. Operators depend on names and labels, so they
// are an interface.
//
// Not for: counting (metrics.h), or values that nobody counts, such as the expiry of
// certificates (exporter.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

#include "gateway/tls/tls_labels.h"
#include "protocols/contract/reason.h"

namespace starling {

// The gauge starling_sessions counts sessions by these phases.
enum class SessionPhase : uint8_t { kNegotiate, kHandshake, kUpstream, kRelay, kDrain };
inline constexpr std::string_view kSessionPhaseLabels[] = {"negotiate", "handshake", "upstream",
                                                           "relay", "drain"};
inline constexpr std::string_view kDirectionLabels[] = {"downstream_in", "downstream_out",
                                                        "upstream_in", "upstream_out"};
enum class Direction : uint8_t { kDownstreamIn, kDownstreamOut, kUpstreamIn, kUpstreamOut };
// Those that concern a client's source are reasons to end as well.
inline constexpr std::string_view kRefusedLabels[] = {
    "session_limit",     "buffer_limit",    "source_sessions", "source_connections",
    "source_handshakes", "source_failures", "denied",          "memory_limit"};
enum class Refused : uint8_t {
  kSessionLimit,
  kBufferLimit,
  kSourceSessions,
  kSourceConnections,
  kSourceHandshakes,
  kSourceFailures,
  kDenied,
  kMemoryLimit,
};
// `reason` is one of these.
Refused RefusedOf(EndReason reason);
// What became of clients of listeners that delay their greeting.
inline constexpr std::string_view kGreetingDelayLabels[] = {"passed", "pregreet", "left", "known"};
enum class GreetingDelay : uint8_t {
  kPassed,    // waited
  kPregreet,  // spoke first
  kLeft,      // before the time was over
  kKnown,     // has waited before, so it was greeted at once
};
// How a client came: by itself, or from a load balancer that sent a PROXY header for it.
inline constexpr std::string_view kViaLabels[] = {"direct", "balancer"};
enum class Via : uint8_t { kDirect, kBalancer };
// Connections that only see whether the gateway is there.
inline constexpr std::string_view kProbeLabels[] = {"local", "balancer", "probe"};
enum class ProbeKind : uint8_t {
  kLocal,     // a load balancer says so: LOCAL in its PROXY header
  kBalancer,  // a load balancer's own, which sent nothing, or a header and nothing else
  kProbe,     // of a source with the role probe, which sent nothing
};
inline constexpr std::string_view kResumedLabels[] = {"no", "yes"};
inline constexpr std::string_view kConnectFailureLabels[] = {
    "refused",    "timeout", "backlog_full", "unreachable", "no_such_socket",
    "permission", "other",   "tls",          "no_port"};
enum class ConnectFailure : uint8_t {
  kRefused,
  kTimeout,
  kBacklogFull,
  kUnreachable,
  kNoSuchSocket,
  kPermission,
  kOther,
  kTls,
  kNoPort,  // all local ports towards the server are in use
};
// How the gateway left a server before its greeting, or what it said in place of one.
inline constexpr std::string_view kGreetingFailureLabels[] = {"closed", "reset", "silent",
                                                              "refusal", "nonsense"};
enum class GreetingFailure : uint8_t { kClosed, kReset, kSilent, kRefusal, kNonsense };
// `error` is a positive errno.
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
                                                    "data_listeners",
                                                    "steps_per_pump",
                                                    "server_sessions",
                                                    "backend_queue",
                                                    "memory",
                                                    "queued_bytes"};
enum class Limit : uint8_t {
  kSessions,
  kRefusals,
  kHandshakesInFlight,
  kHandshakeQueue,
  kKeyOperations,
  kOutputBuffers,
  kReceiveBuffers,
  kLogRecords,
  kDescriptors,  // an accept failed because descriptors or memory ran out
  kDataListeners,
  kRounds,          // of steps in one pump
  kServerSessions,  // a session waits for a place at a server
  kBackendQueue,    // too many sessions wait for one
  kMemory,          // MemoryWatch
  kQueued,          // a relay waits for memory
};
// What came of looking up the names of servers.
inline constexpr std::string_view kLookupLabels[] = {"answer", "no_name", "no_address", "timeout",
                                                     "failure"};
enum class LookupResult : uint8_t {
  kAnswer,
  kNoName,     // NXDOMAIN
  kNoAddress,  // the name exists, but has no records of the type
  kTimeout,
  kFailure,  // the DNS server failed or refused, or its answer makes no sense
};
inline constexpr size_t kLookupResults = std::size(kLookupLabels);
inline constexpr std::string_view kRefusedAddressLabels[] = {"network", "unusable", "no_room"};
enum class RefusedAddress : uint8_t {
  kNetwork,   // plaintext must not go there
  kUnusable,  // no server can have it: the wildcard, multicast
  kNoRoom,    // the backend has as many addresses as it may have
};
inline constexpr std::string_view kPlaceLabels[] = {"used", "free", "reserved"};
enum class PlaceState : uint8_t { kUsed, kFree, kReserved };
inline constexpr std::string_view kNoLabel[] = {""};
inline constexpr std::string_view kAlertDirectionLabels[] = {"sent", "received"};
enum class AlertDirection : uint8_t { kSent, kReceived };
inline constexpr auto kAlertLabels = [] {
  std::array<std::string_view, kTlsAlertCount> labels{};
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = AlertLabel(i);
  return labels;
}();

enum class MetricType : uint8_t { kCounter, kGauge };

// Families by listener: X(enumerator, name, type, row label, its values, column label,
// its values, has a protocol label, help)
#define STARLING_LISTENER_FAMILIES(X)                                                              \
  X(kAccepted, "starling_connections_accepted_total", kCounter, "", kNoLabel, "", kNoLabel, false, \
    "Connections that the gateway accepted from clients.")                                         \
  X(kRefused, "starling_connections_refused_total", kCounter, "reason", kRefusedLabels, "",        \
    kNoLabel, false,                                                                               \
    "Connections that the gateway refused because of its limits, those of a source, "              \
    "or a deny list.")                                                                             \
  X(kClients, "starling_client_connections_total", kCounter, "via", kViaLabels, "", kNoLabel,      \
    false,                                                                                         \
    "Connections of clients, by whether a load balancer named the client in a PROXY header.")      \
  X(kProbes, "starling_probe_connections_total", kCounter, "kind", kProbeLabels, "", kNoLabel,     \
    false, "Connections of health checks: of load balancers, and of sources with the role probe.") \
  X(kSessions, "starling_sessions", kGauge, "phase", kSessionPhaseLabels, "", kNoLabel, false,     \
    "Current sessions by phase.")                                                                  \
  X(kEnded, "starling_sessions_ended_total", kCounter, "reason", kEndReasonLabels, "", kNoLabel,   \
    false, "Sessions that ended, by reason.")                                                      \
  X(kHandshakes, "starling_tls_handshakes_total", kCounter, "version", kTlsVersionLabels,          \
    "resumed", kResumedLabels, false, "Completed TLS handshakes with clients.")                    \
  X(kHandshakeFailures, "starling_tls_handshake_failures_total", kCounter, "reason",               \
    kTlsFailureLabels, "", kNoLabel, false, "Failed TLS handshakes with clients, by reason.")      \
  X(kCipher, "starling_tls_negotiated_total", kCounter, "cipher", kTlsCipherLabels, "", kNoLabel,  \
    false, "TLS handshakes with clients, by negotiated cipher suite.")                             \
  X(kGroup, "starling_tls_group_total", kCounter, "group", kTlsGroupLabels, "", kNoLabel, false,   \
    "TLS handshakes with clients, by key exchange group.")                                         \
  X(kOffered, "starling_starttls_offered_total", kCounter, "", kNoLabel, "", kNoLabel, true,       \
    "Sessions in which the gateway offered the upgrade to TLS.")                                   \
  X(kUpgrades, "starling_starttls_upgrades_total", kCounter, "", kNoLabel, "", kNoLabel, true,     \
    "Sessions in which the client upgraded to TLS.")                                               \
  X(kPlaintext, "starling_plaintext_sessions_total", kCounter, "", kNoLabel, "", kNoLabel, true,   \
    "Sessions that continued to the backend without TLS from the client.")                         \
  X(kSignals, "starling_downgrade_signals_total", kCounter, "signal", kSignalLabels, "", kNoLabel, \
    true, "Sessions that looked like a TLS downgrade attack, by signal.")                          \
  X(kAttacks, "starling_attacks_refused_total", kCounter, "kind", kAttackLabels, "", kNoLabel,     \
    true, "Attacks, or input that looks like one, that the gateway refused, by kind.")             \
  X(kGreetingDelays, "starling_greeting_delays_total", kCounter, "result", kGreetingDelayLabels,   \
    "", kNoLabel, true, "Clients of listeners that delay their greeting, by what they did.")       \
  X(kBytes, "starling_bytes_total", kCounter, "direction", kDirectionLabels, "", kNoLabel, false,  \
    "Octets received (in) and sent (out) on the sockets of each side.")                            \
  X(kFailedOffers, "starling_tls_failed_offers_total", kCounter, "offered", kTlsOfferedLabels, "", \
    kNoLabel, false, "Failed TLS handshakes, by the highest version that the client offered.")     \
  X(kSignature, "starling_tls_signature_total", kCounter, "signature", kTlsSignatureLabels, "",    \
    kNoLabel, false, "TLS handshakes, by the signature algorithm of the gateway.")                 \
  X(kHelloRetry, "starling_tls_hello_retry_total", kCounter, "", kNoLabel, "", kNoLabel, false,    \
    "TLS handshakes with an extra round trip for a key share (HelloRetryRequest).")                \
  X(kTicketUnknown, "starling_tls_tickets_unknown_total", kCounter, "", kNoLabel, "", kNoLabel,    \
    false, "TLS handshakes with a session ticket that none of the keys opens.")                    \
  X(kClientCertificates, "starling_tls_client_certificates_total", kCounter, "result",             \
    kClientCertificateLabels, "", kNoLabel, false,                                                 \
    "TLS handshakes, by the result of checking the client certificate.")                           \
  X(kAlerts, "starling_tls_alerts_total", kCounter, "direction", kAlertDirectionLabels, "alert",   \
    kAlertLabels, false, "TLS alerts except close_notify.")

// Families by backend server: X(enumerator, name, type, row label, its values, help)
#define STARLING_SERVER_FAMILIES(X)                                                           \
  X(kBackendSessions, "starling_backend_sessions", kGauge, "", kNoLabel,                      \
    "Open connections to the server for sessions.")                                           \
  X(kConnectFailures, "starling_backend_connect_failures_total", kCounter, "reason",          \
    kConnectFailureLabels, "Failed connection attempts to the server, by reason.")            \
  X(kGreetingFailures, "starling_backend_greeting_failures_total", kCounter, "reason",        \
    kGreetingFailureLabels,                                                                   \
    "Connections on which the server did not greet as its protocol wants, by reason.")        \
  X(kBackendTlsHandshakes, "starling_backend_tls_handshakes_total", kCounter, "resumed",      \
    kResumedLabels, "Completed TLS handshakes with the server.")                              \
  X(kBackendTlsFailures, "starling_backend_tls_handshake_failures_total", kCounter, "reason", \
    kTlsFailureLabels, "Failed TLS handshakes with the server, by reason.")

// Families by worker: X(enumerator, name, type, row label, its values, has a worker label
// (otherwise exported as the sum over workers), unit of a cell, help)
#define STARLING_WORKER_FAMILIES(X)                                                             \
  X(kCompletions, "starling_worker_ring_completions_total", kCounter, "", kNoLabel, true, 1,    \
    "Ring completions that the worker handled.")                                                \
  X(kStale, "starling_worker_stale_completions_total", kCounter, "", kNoLabel, true, 1,         \
    "Ring completions for sessions that no longer exist; always 0 unless there is a bug.")      \
  X(kBuffersOut, "starling_worker_buffers_out", kGauge, "", kNoLabel, true, 1,                  \
    "Receive and output buffers that sessions hold.")                                           \
  X(kQueuedOctets, "starling_worker_queued_bytes", kGauge, "", kNoLabel, true, 1,               \
    "Memory of the output buffers that sessions hold, for octets that wait for a peer.")        \
  X(kDescriptors, "starling_worker_descriptors_in_use", kGauge, "", kNoLabel, true, 1,          \
    "Used entries of the ring's descriptor table.")                                             \
  X(kLoopMicros, "starling_worker_loop_busy_seconds_total", kCounter, "", kNoLabel, true, 1e-6, \
    "Time that the worker spent working rather than waiting.")                                  \
  X(kTurns, "starling_worker_turns_total", kCounter, "", kNoLabel, true, 1,                     \
    "Turns of the event loop.")                                                                 \
  X(kQueued, "starling_backend_queue_sessions", kGauge, "", kNoLabel, false, 1,                 \
    "Sessions that wait because all servers of their backend have max_sessions.")               \
  X(kPlaces, "starling_worker_session_places", kGauge, "state", kPlaceLabels, true, 1,          \
    "Places in the session table: used, free for any listener, and free for one listener only " \
    "(reserved).")                                                                              \
  X(kLimitReached, "starling_limit_reached_total", kCounter, "limit", kLimitLabels, false, 1,   \
    "How often the gateway reached a limit, by limit.")                                         \
  X(kLogLost, "starling_log_lines_lost_total", kCounter, "", kNoLabel, false, 1,                \
    "Log lines dropped because the reader of the log was too slow.")

// starling_session_seconds and starling_tls_handshake_seconds, by listener.
enum class Histogram : uint8_t { kSessionSeconds, kHandshakeSeconds };
inline constexpr size_t kHistogramCount = 2;
inline constexpr size_t kHistogramBuckets = 14;  // plus one above the last bound
// Upper bounds in microseconds, inclusive. Handshakes take between a resumption on an
// idle machine and the deadline; sessions between a health check and half a day of IMAP
// IDLE.
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
  std::string_view row_label;  // empty: no label
  std::span<const std::string_view> rows;
  std::string_view col_label;
  std::span<const std::string_view> cols;
  bool with_protocol;  // only for families by listener
  bool with_worker;    // only for families by worker
  double unit;         // exported value of a cell that is 1
  std::string_view help;

  constexpr size_t cells() const { return rows.size() * cols.size(); }
};

inline constexpr FamilyRow kListenerFamilies[] = {
#define X(id, name, type, row, rows, col, cols, protocol, help) \
  {name, MetricType::type, row, rows, col, cols, protocol, false, 1, help},
    STARLING_LISTENER_FAMILIES(X)
#undef X
};
// The labels `backend` and `server` come first.
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
    {"starling_session_seconds", "Duration of sessions, from accept to end."},
    {"starling_tls_handshake_seconds",
     "Duration of TLS handshakes, from the first TLS octet to the end of the handshake."}};

// Index 0 of a list of reasons means that nothing happened. Nobody counts it, and the
// exporter leaves it out.
inline constexpr std::string_view kNothingHappened = "none";

}  // namespace starling
