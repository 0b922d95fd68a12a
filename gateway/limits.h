// The gateway's fixed limits, each with its reason. An operator cannot change them.
//
// Not for: limits that an operator sets (config/rows_limits.cc, rows_listener_limits.cc),
// the limits of dialogues (protocols/*/limits.h), or sizes that the code rests on, such as
// those of blocks and records.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace starling {

// --- The configuration file ---

// A file of 256 listeners and 2,048 servers has a tenth of this. No error, depth or number
// of nodes in a file may cost more memory than the file is worth.
inline constexpr size_t kMaxYamlSize = 1 << 20;
inline constexpr size_t kMaxYamlDepth = 16;  // the deepest option is at 6
inline constexpr size_t kMaxYamlNodes = 100'000;
inline constexpr size_t kMaxOptionText = 4096;  // the longest path that Linux opens
// The last error says that there are more.
inline constexpr size_t kMaxConfigErrors = 100;

// Label sets and tables of metrics depend on these.
inline constexpr size_t kMaxListeners = 256;
inline constexpr size_t kMaxBackends = 256;
inline constexpr size_t kMaxServers = 64;          // of one backend
inline constexpr size_t kMaxServersInAll = 2'048;  // of all backends
// Names since the start, those of earlier configurations included: a time series of a
// metric is never given to another name, but for those of addresses that names resolve to. They
// come and go, and so much later another address may have the series.
inline constexpr size_t kMaxListenerNames = 256;
inline constexpr size_t kMaxServerNames = 4'096;
inline constexpr std::chrono::hours kSeriesRest{1};

inline constexpr size_t kMaxBinds = 64;                  // of one listener
inline constexpr size_t kMaxCertificateEntries = 4'096;  // of one listener; a folder is one
inline constexpr size_t kMaxProxyRanges = 256;           // of one listener
inline constexpr size_t kMaxSourceRows = 256;            // of the program, and of one listener
inline constexpr size_t kMaxSourceNetworks = 256;        // of one row
inline constexpr size_t kMaxPlaintextNetworks = 256;     // of one backend
inline constexpr size_t kMaxDenyEntries = 256;           // networks and files, in the configuration
inline constexpr size_t kMaxServedNames = 256;           // of one listener; each session compares

// --- Files that the configuration names ---

// A bundle of some hundred certificates.
inline constexpr size_t kMaxPemFile = size_t{1} << 20;
// A response has one certificate of the responder at most, about 2 KiB.
inline constexpr size_t kMaxOcspResponse = size_t{64} << 10;
inline constexpr size_t kMaxSecretFile = 4096;
// Two million networks of all files of one list, by at most 50 octets a line.
inline constexpr size_t kMaxDenyFile = size_t{100} << 20;
inline constexpr size_t kMaxDenied = 2'000'000;
// Eight days of keys that change every three hours.
inline constexpr size_t kMaxTicketKeys = 64;
// Of one folder: looking at them takes a quarter of a second.
inline constexpr size_t kMaxFolderEntries = 20'000;
inline constexpr size_t kMaxTrustFiles = 4'096;

// The watcher ignores changes beyond these. The kernel's default allows 8,192 watches.
inline constexpr size_t kMaxWatchedFiles = 50'000;
inline constexpr size_t kMaxWatches = 8'192;
// Symbolic links to follow in one path; the kernel follows 40.
inline constexpr int kMaxLinkHops = 16;

// --- TLS ---

// Of a chain that is sent or verified. Clients accept none much longer.
inline constexpr size_t kMaxChainCertificates = 10;
// Octets of a client's certificates that the gateway verifies and keeps in a ticket. The
// client sends the ticket back in a hello, whose size is limited too.
inline constexpr size_t kMaxChainSize = 16 * 1'024;
// Octets of a ticket's content. Besides the chain it has secrets, names and the signature
// algorithm.
inline constexpr size_t kMaxTicketContent = kMaxChainSize + 1'024;
// Octets of a hello from a client that may have a certificate: its ticket holds the
// client's chain.
inline constexpr size_t kMaxClientHello = 24 * 1'024;
// Octets of a client's Certificate message. The library buffers the whole message.
inline constexpr size_t kMaxCertificateMessage = 64 * 1'024;
// Octets of authorities' names to send (RFC 8446 section 4.2.4 allows 64 KiB). Beyond it
// the gateway sends no names, and clients choose their certificate without them.
inline constexpr size_t kMaxAuthorityNames = 16'384;
// The cache of compressed certificates starts anew when it is full.
inline constexpr size_t kMaxCompressedCertificates = 256;

// --- A worker ---

// Of `limits.sessions: auto`, where descriptors and memory allow more: 400 MiB of idle sessions a
// worker. Whoever needs more can write a number.
inline constexpr uint32_t kMostAutoSessions = 100'000;

// Of `workers`, also where `auto` finds more CPUs.
inline constexpr uint32_t kMaxWorkers = 256;

// Listening sockets and accepts beyond those at the start, for addresses that a reload adds
// before those that it removes are closed. Each is an entry of the ring's table.
inline constexpr size_t kSpareSockets = 16;
inline constexpr uint32_t kSpareAccepts = 32;
// Sessions that a crowded table ends in one turn: each is told so and costs a little more
// than one that relays.
inline constexpr size_t kOvertimePerTurn = 64;

// Slots beyond the sessions and the refusals, for sessions that gave way to a newcomer: each has
// one until nothing of it is in flight. That is a turn or two, or as long as a client takes to read
// why it had to go: half of the slots may wait for that.
inline constexpr uint32_t kLeavingSlots = 32;
// Slots beyond the sessions for clients of a load balancer whose PROXY header is still to come,
// when no place is free: who they are decides whether they get the place of another. A balancer
// sends the header with the connection, so each needs its slot for a moment.
inline constexpr uint32_t kArrivingSlots = 64;
// A trusted source and a load balancer bring many users: so many half-open sessions of theirs weigh
// as one of another source. A webmail server has a few handshakes at once, where an attacker's
// two hundred addresses have five each.
inline constexpr uint32_t kHalfOpenOfMany = 16;
// As many sessions as a mail program opens at once. A source with no more of them half-open is no
// crowd: it gives a place to another source that has no more sessions in all, and to one that has
// more only when the place has been held for so long. A handshake over a slow line is faster.
inline constexpr uint32_t kFewSessions = 4;
inline constexpr std::chrono::seconds kFreshHalfOpen{5};
// For so long a source that has wasted a place, of a handshake or in a full table, has the places
// that others leave. Two hundred addresses that stall in their handshakes take four seconds of a
// hundred places in that time.
inline constexpr std::chrono::seconds kWastefulFor{600};
// A plaintext leg on which nothing has moved for so long is half-open, though the server was
// given octets last: a client that stops amid a mail looks like that. Servers that check a mail
// before they take it are faster.
inline constexpr std::chrono::seconds kStalledLeg{60};
// A relay in which nothing has moved for so long looks whether the side that it does not receive
// from was reset, and looks again after each such time. `half_close` then bounds what is left.
inline constexpr std::chrono::seconds kWholeCheck{30};
// When memory runs short: a peer that has taken nothing for so long may lose its session, and
// so many sessions end at once. The next second shows whether that was enough.
inline constexpr uint32_t kStuckMs = 30'000;
inline constexpr uint32_t kSurelyStuckMs = 60'000;  // longer makes no difference
inline constexpr size_t kReliefPerTurn = 64;
// How often a worker whose relays wait for memory looks for sessions that are stuck.
inline constexpr std::chrono::milliseconds kHeldReliefEvery{100};
// So much less must wait before they go on. Otherwise each block that comes back would start one.
inline constexpr uint64_t kHeldSlackPart = 8;

// How often a source over its share is told why, before it is only closed: a client that can read
// learns it from one answer.
inline constexpr uint32_t kAnswersPerSecond = 5;
inline constexpr uint32_t kAnswersBurst = 20;
// In the line that says once a minute who was refused.
inline constexpr size_t kHeaviestNamed = 5;
// Sessions that one turn looks up in new deny lists.
inline constexpr uint32_t kDenyLooksPerTurn = 512;

// A session that still has something to do after so many rounds goes on in the next turn, behind
// the other sessions: peers choose how many commands and lines come at once.
inline constexpr uint32_t kRoundsPerPump = 64;

// --- Servers ---

// One session tries a server that a probe found well again. If it is not done by then, another
// session may.
inline constexpr uint32_t kTrialMs = 10'000;
// Of its weight, what a server that came up again begins with.
inline constexpr double kLeastShare = 0.1;
// A full Unix backlog is a matter of milliseconds: the servers are asked again after 5, 10, 20
// ... 160 ms, until the connect deadline.
inline constexpr uint32_t kBacklogRetryMs = 5;
inline constexpr uint8_t kBacklogDoublings = 5;
// So many times as many places as are free at the servers of a backend may one source have: three
// quarters of all, if nobody else has any. The rest is for sources that have fewer.
inline constexpr uint32_t kPlacesPerFree = 3;
// How often the next session in the queue of a backend looks for a place: other workers give places
// back, too.
inline constexpr uint32_t kPlaceRetryMs = 4;
// How often each of the others looks whether its client is still there.
inline constexpr uint32_t kWaiterCheckMs = 1'000;
// A session that waits longer for a place asks for a probe of the servers that have none: perhaps
// they hang.
inline constexpr uint32_t kDoubtFullMs = 1'000;

// --- Names of servers ---

// Look-ups at a time, each with a few descriptors.
inline constexpr size_t kMaxLookups = 16;
// Hosts of one name's SRV records that are looked up.
inline constexpr size_t kMaxSrvTargets = 32;
// A name that has no addresses, or that nobody knows, is looked up again after a second, then two,
// four and eight.
inline constexpr uint32_t kResolveRetryMs = 1'000;
inline constexpr uint32_t kResolveDoublings = 3;
// How long addresses of the hosts file hold, which has no TTL.
inline constexpr uint32_t kHostsFileTtlS = 10;
// How long the start waits for the first answers. A DNS server that does not answer by then is
// waited for while the gateway serves.
inline constexpr std::chrono::seconds kFirstLookups{2};
// How often slots of addresses that have left are looked at, while sessions hold them.
inline constexpr std::chrono::seconds kSlotSweep{1};
// Between two lines that tell of addresses of a backend that are not used.
inline constexpr std::chrono::minutes kRefusedAddressLines{1};

// --- The log and the prober ---

// Octets of formatted lines that wait for a slow reader, and lines of the process itself
// that wait to be formatted. What comes on top is dropped and counted.
inline constexpr size_t kMaxLogBuffer = 64 * 1024;
inline constexpr size_t kMaxPendingLines = 1024;
// Octets of a server's incomplete greeting or list of capabilities in a probe.
inline constexpr size_t kMaxProbeInput = 16 * 1024;

}  // namespace starling
