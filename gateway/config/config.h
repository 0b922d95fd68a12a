// The configuration as the program uses it: plain data, checked, immutable once loaded,
// one object for each generation. The loader (loader.h) makes it from YAML with the
// option table (options.h). Tests make it directly.
//
// Not for: reading files other than the configuration itself (tls/ reads keys).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/config/source_options.h"
#include "gateway/io/socket_address.h"
#include "gateway/limits.h"
#include "gateway/log/log_format.h"
#include "gateway/tls/tls_names.h"
#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/proxy/proxy_header.h"

namespace starling {

enum class TlsMode : uint8_t { kImplicit, kStartTls };
enum class ProxyOut : uint8_t { kNone, kV1, kV2 };

enum class TlsPreset : uint8_t { kIntermediate, kModern };
enum class MinVersion : uint8_t { kTls12, kTls13 };

// One of the three forms: cert and key, pem, or folder.
struct CertificateEntry {
  std::string cert;
  std::string key;
  std::string ocsp;    // for `cert`
  std::string pem;     // key and chain in one file
  std::string folder;  // with files of either form

  bool operator==(const CertificateEntry&) const = default;
};

struct ClientCertificateOptions {
  ClientCertificateMode mode = ClientCertificateMode::kNone;
  std::string ca;   // PEM file or folder
  std::string crl;  // PEM file; empty: no check of revocation
  uint32_t depth = 4;

  bool operator==(const ClientCertificateOptions&) const = default;
};

// TLS towards clients: the general options, and a listener's, which begin as a copy of them.
struct TlsOptions {
  TlsPreset preset = TlsPreset::kIntermediate;
  MinVersion min_version = MinVersion::kTls12;  // the preset's unless set
  std::vector<std::string> ciphers;             // names of tls_names.h; empty: the preset's
  std::vector<std::string> groups;
  std::vector<std::string> signature_algorithms;
  bool cbc_ciphers = false;  // for a public MX: ECDHE with AES-CBC, after all other suites
  bool sni_strict = false;
  bool alpn_strict = false;
  std::vector<CertificateEntry> certificates;
  std::string ticket_keys;  // file; empty: the process makes its own keys
  ClientCertificateOptions client_certificate;

  bool operator==(const TlsOptions&) const = default;
};

// An address range, such as "192.0.2.0/24" or "2001:db8::/32", or a single address.
struct Cidr {
  Endpoint network;  // port 0; the bits after the prefix are 0
  uint8_t bits = 0;

  // The error says what is wrong. The caller quotes `text`.
  static absl::StatusOr<Cidr> Parse(std::string_view text);
  std::string ToString() const;  // as Parse reads it

  // An IPv4 range never contains an IPv6 address, nor the other way round.
  bool Contains(const Endpoint& endpoint) const;

  bool operator==(const Cidr&) const = default;
};

// A row of `sources:`: what these networks mean.
struct SourceRow {
  std::vector<Cidr> from;
  SourceRole role = SourceRole::kClient;
  SourceLimits limits;  // means something with HasLimits(role) only

  bool operator==(const SourceRow&) const = default;
};
constexpr bool HasLimits(SourceRole role) {
  return role == SourceRole::kClient || role == SourceRole::kTrusted;
}

// Who is turned away.
struct DenyOptions {
  std::vector<Cidr> networks;
  std::vector<std::string> files;  // of networks, one in each line

  bool operator==(const DenyOptions&) const = default;
};
enum class DenyEstablished : uint8_t { kKeep, kEnd };

// Limits that a listener may override. All others are process-wide (GlobalLimits).
// Durations are in milliseconds. 0 switches a deadline off where its option says so.
struct ListenerLimits {
  uint32_t pre_relay_ms = 60'000;  // accept to the first command; in a crowd, accept to relay
  uint32_t pre_relay_silence_ms = 60'000;    // between commands; default by protocol
  uint32_t pre_relay_total_ms = 5 * 60'000;  // accept to relay or plaintext leg; by protocol
  uint32_t patience_ms = 10'000;             // with a client that waits in vain for an answer
  uint32_t proxy_header_ms = 5'000;
  uint32_t handshake_ms = 15'000;    // from the first octet of TLS, including admission
  uint32_t connect_ms = 5'000;       // all servers together
  uint32_t connect_try_ms = 1'500;   // one server, while another one is better
  uint32_t greeting_ms = 30'000;     // a server's greeting, all servers together
  uint32_t greeting_try_ms = 5'000;  // one server's, while another one is better
  uint32_t record_ms = 30'000;       // an incomplete TLS record
  uint32_t idle_ms = 0;              // a silent relay; default by protocol
  uint32_t half_close_ms = 60'000;   // one direction has ended, the other is silent
  uint32_t linger_ms = 2'000;        // read and discard after a last word
  uint32_t linger_bytes = 65'536;
  uint32_t max_line = 2'048;       // octets of a command before TLS
  uint32_t max_commands = 64;      // answered before TLS
  uint32_t reserved_sessions = 0;  // of each worker; unless set, a part of an eighth of the table
  uint32_t most_sessions = 0;      // of each worker; 0: any number
  // What the kernel holds for a client's socket (io/socket_buffers.h). 0: as the kernel does.
  uint32_t unsent = 128 * 1'024;
  uint32_t send_buffer = 0;
  uint32_t receive_buffer = 0;
  // Of what waits for a peer in a relay, it must take so many octets in this time. 0: off.
  uint32_t slow_reader_ms = 15 * 60'000;
  uint32_t slow_reader_bytes = 1;

  bool operator==(const ListenerLimits&) const = default;
};

// Blocks that a session can hold: what either side has sent and nobody has read, and what waits
// for either.
inline constexpr uint32_t kBlocksPerSession = 4;

// Of queued_bytes: it follows the limits of memory (memory/memory_budget.h).
inline constexpr uint64_t kAutoQueued = UINT64_MAX;

struct GlobalLimits {
  uint32_t sessions = 1'000;         // a worker
  uint32_t crowded_percent = 50;     // of `sessions`: from then on pre_relay limits all clients
  uint32_t new_sources_percent = 5;  // of `sessions`, for sources that have none yet
  uint32_t refusals = 64;            // sessions beyond that, a worker, only to refuse clients
  // TLS objects in handshake, a worker, and sessions that wait for one of those. 0:
  // HandshakesInFlight() and HandshakeQueue() have the numbers.
  uint32_t handshakes_in_flight = 0;
  uint32_t handshake_queue = 0;
  uint32_t key_operations_per_turn = 4;
  uint32_t output_buffers = 0;    // of 17,920 octets, a worker; 0: OutputBuffers() has the number
  uint32_t bulk_buffers = 64;     // output, of 36,864 octets, a worker
  uint32_t small_buffers = 128;   // receive, of 2 KiB, a worker
  uint32_t large_buffers = 16;    // receive, of 32 KiB, a worker
  uint32_t armed_accepts = 8;     // a listening socket
  uint32_t data_listeners = 256;  // data channels that wait for their connection, a worker
  uint32_t backlog = 1'024;
  uint32_t keepalive_s = 120;                // TCP keepalive of clients; 0: off
  uint32_t log_records = 4'096;              // ring between a worker and the log thread
  uint32_t certificates = 20'000;            // of all listeners, including those in folders
  uint32_t ticket_key_period_s = 8 * 3'600;  // a key encrypts that long, and decrypts twice as long
  uint32_t file_check_ms = 10'000;  // between two checks of files, if nothing reports changes
  uint32_t drain_delay_ms = 0;
  uint32_t drain_ms = 300'000;          // how long sessions may go on
  uint32_t probe_interval_ms = 60'000;  // for a server that is up
  uint32_t probe_retry_ms = 2'000;      // for a server that went down
  uint32_t probe_retry_max_ms = 2'000;  // for a server that stays down
  uint32_t probe_timeout_ms = 5'000;
  uint64_t queued_bytes = kAutoQueued;  // in output buffers of all workers; 0: any number
  // Percent of the memory that the process may use: from then on peers that take nothing are
  // ended, and then new clients refused. 0: never.
  uint32_t memory_relief = 85;
  uint32_t memory_refusal = 95;
  uint32_t server_unsent = 128 * 1'024;  // as `unsent`, for the sockets to servers
  uint32_t server_send_buffer = 0;
  uint32_t server_receive_buffer = 0;
  uint32_t source_ipv4_bits = 32;  // leading bits that tell two sources apart
  uint32_t source_ipv6_bits = 64;
  uint32_t pregreet_memory_s = 7 * 24 * 3'600;  // how long a client that has waited need not again

  bool operator==(const GlobalLimits&) const = default;
};

// TLS towards the servers of a backend.
struct BackendTls {
  bool enabled = false;
  bool verify = true;  // the server's certificate, by name and CA
  std::string ca;      // PEM file; empty: the system's
  std::string name;    // the name in the certificate, and SNI; empty: that of each server
  std::string cert;    // the gateway's own, for servers that ask for one; both or neither
  std::string key;

  bool operator==(const BackendTls&) const = default;
};

enum class Balance : uint8_t { kRoundRobin, kLeastSessions, kSourceHash };

// A name that resolves to servers.
struct ServerName {
  std::string host;   // empty: there is no name; with `srv`, the name of SRV records
  uint16_t port = 0;  // with `srv` the records have it
  bool srv = false;

  // "host:port" or "srv:name", as ParseServer reads it.
  std::string ToString() const;
  // The name in the certificates of its servers. Of SRV records it is the domain after _service and
  // _protocol (RFC 6125): whoever forges DNS answers chooses the targets.
  std::string_view TlsName() const;
  bool operator==(const ServerName&) const = default;
};

// One server of a backend, or a name with all servers that it resolves to: each of them has what
// follows.
struct ServerConfig {
  ServerConfig() = default;
  ServerConfig(SocketAddress where) : address(std::move(where)) {}  // NOLINT: all else as usual

  SocketAddress address;  // of length 0 if there is a name
  ServerName by_name;
  uint32_t weight = 1;        // its share, beside those of the others
  uint32_t priority = 0;      // the lowest number that has a server up is used
  bool drains = false;        // gets no new session
  uint32_t max_sessions = 0;  // at once, of all workers; 0: no limit

  bool is_named() const { return !by_name.host.empty(); }
  std::string ToString() const { return is_named() ? by_name.ToString() : address.ToString(); }
  bool operator==(const ServerConfig&) const = default;
};

struct BackendConfig {
  std::string name;
  std::vector<ServerConfig> servers;
  Balance balance = Balance::kRoundRobin;
  uint32_t slow_start_ms = 10'000;  // until a server that came up again has its whole share
  uint32_t queue = 128;             // sessions that wait for a place at a server, of all workers
  std::vector<Endpoint> sources;    // our own addresses for connects, in turn; empty: any
  ProxyOut proxy = ProxyOut::kNone;
  ProxyTlvs tlvs;                        // from the list `proxy_tlvs:`
  std::vector<Cidr> plaintext_networks;  // `allow_plaintext_network`, beside loopback
  BackendTls tls;
};
bool HasNames(const BackendConfig& backend);
// Whether the clients' data may go there: with TLS, on this machine, or over a network that the
// operator trusts.
bool MayReach(const BackendConfig& backend, const SocketAddress& server);

// How names of servers are resolved.
struct ResolveOptions {
  uint32_t min_ms = 1'000;    // how long an answer holds, whatever its TTL
  uint32_t max_ms = 300'000;  // the same
  uint32_t hold_ms = 30'000;  // addresses that the name no longer has, while it has none
  uint32_t timeout_ms = 5'000;
  std::vector<SocketAddress> servers;  // empty: those of resolv.conf
  std::string resolv_conf = "/etc/resolv.conf";

  bool operator==(const ResolveOptions&) const = default;
};

// FTP's data channels.
struct FtpOptions {
  // The ports that replies to PASV and EPSV may name. 0: any port.
  uint16_t first_port = 0;
  uint16_t last_port = 0;
  Endpoint address;  // for the reply to PASV; kNone: the address that the client used
  bool require_resumption = false;
  bool lenient_close = false;  // the end of TCP without a close_notify ends an upload

  bool operator==(const FtpOptions&) const = default;
};

// Who sends PROXY headers to a listener, and what becomes of other clients.
struct ProxyIn {
  enum class Others : uint8_t { kRefuse, kDirect };

  std::vector<Cidr> from;
  SourceRoles roles;  // and sources to which `sources` gives one of these
  Others others = Others::kRefuse;

  // The listener has the section.
  bool given() const { return !from.empty() || !roles.empty(); }
  // Every connection has to begin with a header.
  bool required() const { return given() && others == Others::kRefuse; }

  bool operator==(const ProxyIn&) const = default;
};

// What becomes of a client that speaks before a delayed greeting.
enum class Pregreet : uint8_t { kCount, kRefuse };

struct ListenerConfig {
  std::string name;
  const ProtocolRow* protocol = nullptr;
  std::vector<SocketAddress> bind;
  TlsMode tls = TlsMode::kImplicit;
  uint32_t backend = 0;            // index into Config::backends
  int32_t plaintext_backend = -1;  // index, or -1: the same as `backend`
  DialogueOptions dialogue;        // hostname, policy, plaintext_auth ... filled in
  uint32_t greeting_delay_ms = 0;  // 0: none
  Pregreet pregreet = Pregreet::kCount;
  std::string webirc_password_file;  // read when the gateway starts or reloads (secrets.h)
  TlsOptions tls_options;
  ListenerLimits limits;
  FtpOptions ftp;
  ProxyIn proxy_in;
  std::vector<SourceRow> sources;  // beside those of the whole program, and before them
  DenyOptions deny;                // the same
};

// Whether each worker stays on one CPU.
enum class Pinning : uint8_t { kAuto, kOn, kOff };

enum class LogSessions : uint8_t { kDebug, kAll, kEnded, kNone };
// By what the workers wait for the kernel. In the order of RingWanted (io/rings.h).
enum class IoChoice : uint8_t { kAuto, kUring, kEpoll };

struct Config {
  std::string file;  // the loader read this file
  std::string hostname;
  uint32_t workers = 1;
  std::string workers_from;  // where the loader found the number for `auto`; empty: the file has it
  // The same for limits.sessions: what bounds the number that `auto` stands for.
  std::string sessions_from;
  Pinning pin_workers = Pinning::kAuto;
  bool throttled = false;   // the CPU quota is less than the CPUs (machine/cpus.h)
  std::string user, group;  // empty: no change
  TlsOptions tls;
  std::vector<ListenerConfig> listeners;  // at most kMaxListeners
  std::vector<BackendConfig> backends;
  ResolveOptions resolve;
  std::vector<SourceRow> sources;
  DenyOptions deny;
  DenyEstablished deny_established = DenyEstablished::kKeep;
  SocketAddress metrics_bind;  // length 0: no metrics listener
  LogFormat log_format = LogFormat::kLogfmt;
  LogSessions log_sessions = LogSessions::kAll;
  uint32_t log_refusals = 5;  // lines a second of each worker; 0: any number
  IoChoice io = IoChoice::kAuto;
  std::string ring_features = "auto";  // "auto", "none" or a list to allow
  GlobalLimits limits;
};

// auto: unless there is a CPU quota. The scheduler stops threads on each CPU by itself, so that of
// pinned workers some would stand still for long while others run.
bool PinsWorkers(const Config& config);

// The slots of a worker: for sessions, for clients that are refused, for those that leave, and for
// those of which a load balancer has not said yet who they are.
constexpr uint32_t SlotsOf(const GlobalLimits& limits) {
  return limits.sessions + limits.refusals + kLeavingSlots + kArrivingSlots;
}

// The output buffers of a worker: by default as many as its sessions can hold.
uint32_t OutputBuffers(const GlobalLimits& limits);

// How many handshakes a worker may have in progress, and how many may wait for that: by default as
// many as it has slots, so that neither is less than its sessions need.
uint32_t HandshakesInFlight(const GlobalLimits& limits);
uint32_t HandshakeQueue(const GlobalLimits& limits);

// How many data channels may wait for their connection in a worker. 0 if no listener has
// data channels.
uint32_t DataListeners(const Config& config);

}  // namespace starling
