// Every message that the gateway logs: its level, text and keys. Operators search logs for
// these texts, so a text that stands in a release stays as it is. deploy/LOG.md has the same
// table, and a test compares the two.
//
// Not for: what a session's keys contain (format_record.cc).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace starling {

enum class LogLevel : uint8_t { kInfo, kWarning, kError };

// X(enumerator, level, text, keys in the order of the line, when the gateway logs it). A key
// in brackets is there only when it applies.
#define STARLING_LOG_MESSAGES(X)                                                                 \
  X(kReady, kInfo, "gateway ready", "version workers ring ring_features",                        \
    "The gateway accepts clients.")                                                              \
  X(kEpollInstead, kWarning, "io_uring cannot be had; running on epoll", "reason cause cost",    \
    "At the start with `io: auto`. `cause` names the call that failed and the remedy.")          \
  X(kWorkerFailed, kError, "worker failed to start", "error",                                    \
    "A worker could not use its ring; the gateway ends.")                                        \
  X(kConfigReloaded, kInfo, "configuration reloaded", "generation certificates duration_ms",     \
    "HUP: new sessions use the new configuration.")                                              \
  X(kReloadRejected, kError, "reload rejected; keeping the current configuration", "error",      \
    "HUP: something is wrong with the new configuration. One line for each error.")              \
  X(kReloadIgnored, kWarning, "reload ignored while draining", "",                               \
    "HUP during a drain: the gateway is about to end.")                                          \
  X(kNothingToReopen, kInfo, "nothing to reopen: the log goes to standard output", "",           \
    "USR1. Whatever stores the log rotates it.")                                                 \
  X(kFilesReloaded, kInfo, "changed files reloaded", "generation certificates duration_ms",      \
    "Certificates, keys or other files changed; new sessions use them.")                         \
  X(kFilesRejected, kError, "changed files rejected; keeping the current ones", "error",         \
    "Changed files are still wrong after three seconds. One line for each error.")               \
  X(kConfigWarning, kWarning, "configuration warning", "warning",                                \
    "A setting or a file is allowed but dangerous, at the start or a reload.")                   \
  X(kServerUp, kInfo, "server up", "backend server", "A server answers again.")                  \
  X(kServerDown, kWarning, "server down", "backend server",                                      \
    "A server does not answer; sessions avoid it.")                                              \
  X(kServersChanged, kInfo, "servers changed", "backend joined left servers",                    \
    "What the backend's names resolve to has changed. `servers` is how many it has now.")        \
  X(kNameUnresolved, kWarning, "name does not resolve", "name error kept",                       \
    "A look-up of a server's name has brought no addresses. `kept`: how many of the last good "  \
    "answer stay in use. The next such line follows when the name has resolved meanwhile.")      \
  X(kNameResolved, kInfo, "name resolves again", "name addresses", "After such a line.")         \
  X(kAddressRefused, kWarning, "address not used", "backend address reason refused",             \
    "A name resolves to an address that the gateway must not or cannot use. `refused`: how "     \
    "many there are. Once a minute of a backend at most.")                                       \
  X(kRefusals, kWarning, "clients refused", "refused left_out heaviest",                         \
    "At most once a minute, of the time since the last such line: how many clients were "        \
    "refused, had to make room, or left before TLS without a line of their own; how many of "    \
    "them have no line; which sources they came from, the heaviest first.")                      \
  X(kDenyChanged, kInfo, "deny lists changed", "networks", "A file of `deny` has changed.")      \
  X(kDenyRejected, kError, "deny lists rejected; keeping the current ones", "error",             \
    "A changed file of `deny` is still wrong after three seconds. One line for each error.")     \
  X(kNoPortLeft, kWarning, "no local port left towards the server", "backend server",            \
    "Sessions could not connect to the server: every local port towards its address is in "      \
    "use, or an address in the backend's `source` is not one of this machine's. Add addresses "  \
    "to `source`, or servers. Once a minute at most.")                                           \
  X(kMemoryShort, kWarning, "the system denies memory; refusing new clients", "",                \
    "Sessions go on.")                                                                           \
  X(kMemoryBack, kInfo, "the system grants memory again; serving new clients", "",               \
    "The gateway asks the system once a second.")                                                \
  X(kScrapeRefused, kWarning, "no memory for a scrape", "",                                      \
    "/metrics has answered 503. At most one line a minute.")                                     \
  X(kMemoryRelief, kWarning, "memory is short; ending sessions whose peer takes nothing",        \
    "what used limit",                                                                           \
    "`memory_relief`: a limit of memory is near. `what` is cgroup, cgroup_tcp, tcp "             \
    "(net.ipv4.tcp_mem) or queued (`queued_bytes`); the numbers are octets.")                    \
  X(kMemoryRefusal, kError, "memory is short; refusing new clients", "what used limit",          \
    "`memory_refusal`: the same limit is nearer still.")                                         \
  X(kMemoryEnough, kInfo, "memory suffices again", "", "None of these limits is near any more.") \
  X(kDraining, kInfo, "draining", "delay_ms deadline_ms",                                        \
    "TERM, INT or QUIT: the gateway will end.")                                                  \
  X(kAddressClosing, kInfo, "closing address", "address successor",                              \
    "A drain, or a reload that removed the address. The successor is the process that accepts "  \
    "its clients from now on.")                                                                  \
  X(kPregreet, kInfo, "client spoke before the greeting",                                        \
    "session listener protocol [peer] [local] duration_ms",                                      \
    "With `greeting_delay` and `pregreet: count`.")                                              \
  X(kSessionEstablished, kInfo, "session established",                                           \
    "session listener protocol [peer] [local] [sni] [tls_version] [cipher] [group] "             \
    "[signature] [resumed] [client_cert] [client_name] [client_issuer] [handshake_ms] "          \
    "[plaintext] [backend] [server] [upstream_port] [upstream_tls_version] [upstream_cipher] "   \
    "[upstream_resumed] duration_ms",                                                            \
    "A session begins to relay; only with `log: {sessions: all}` or `debug`.")                   \
  X(kSessionEnded, kInfo, "session ended",                                                       \
    "session listener protocol [peer] [local] [sni] [tls_version] [cipher] [group] "             \
    "[signature] [resumed] [client_cert] [client_name] [client_issuer] [handshake_ms] "          \
    "[tls_failure] [tls_offered] [alert_sent] [alert_received] [plaintext] [backend] [server] "  \
    "[upstream_port] [upstream_tls_version] [upstream_cipher] [upstream_resumed] "               \
    "[upstream_tls_failure] duration_ms downstream_in downstream_out upstream_in upstream_out "  \
    "reason [reply]",                                                                            \
    "A session is over; not with `log: {sessions: none}`.")

enum class LogMessage : uint8_t {
#define X(id, ...) id,
  STARLING_LOG_MESSAGES(X)
#undef X
};

struct LogMessageRow {
  LogLevel level;
  std::string_view text;
  std::string_view keys;
  std::string_view when;
};

inline constexpr LogMessageRow kLogMessages[] = {
#define X(id, level, text, keys, when) {LogLevel::level, text, keys, when},
    STARLING_LOG_MESSAGES(X)
#undef X
};

inline constexpr std::string_view kLogLevels[] = {"info", "warning", "error"};

constexpr const LogMessageRow& RowOf(LogMessage message) {
  return kLogMessages[static_cast<size_t>(message)];
}
constexpr std::string_view NameOf(LogLevel level) { return kLogLevels[static_cast<size_t>(level)]; }

}  // namespace starling
