// The limits of the process and of its workers.
// Not for: those that a listener may override (rows_listener_limits.cc), and those of memory
// (rows_memory.cc).
#include "gateway/config/access.h"
#include "gateway/config/rows.h"
#include "gateway/config/units.h"

namespace starling {
namespace {

using namespace access;

// Milliseconds. Shorter deadlines than kShort would fail honest clients.
constexpr uint64_t kShort = 10;
constexpr uint64_t kHour = 3'600'000;

constexpr std::string_view kAuto[] = {"auto"};

std::string DefaultAuto() { return "auto"; }

// `auto` follows other options: 0.
template <auto kMember>
std::vector<Complaint> SetOrFollow(const OptionTarget& target, const OptionValue& value) {
  FieldOf<kMember>(target) = value.text.empty() ? static_cast<uint32_t>(value.number) : 0;
  return {};
}

template <auto kMember>
std::optional<OptionValue> GetUnlessFollows(const OptionTarget& target) {
  if (FieldOf<kMember>(target) == 0) return std::nullopt;
  return GetNumber<kMember>(target);
}

// For `auto` the loader finds the number.
std::vector<Complaint> SetSessions(const OptionTarget& target, const OptionValue& value) {
  if (!value.text.empty()) return {};
  target.config->limits.sessions = static_cast<uint32_t>(value.number);
  target.config->sessions_from.clear();
  return {};
}

std::optional<OptionValue> GetSessions(const OptionTarget& target) {
  if (target.config->sessions_from.empty()) return GetNumber<&GlobalLimits::sessions>(target);
  return OptionValue{.text = "auto"};
}

constexpr Option kRows[] = {
    {.section = Section::kLimits,
     .key = "sessions",
     .type = OptionType::kNumber,
     .unit = "sessions per worker",
     .choices = kAuto,
     .min = 1,
     .max = 1'000'000,
     .applies = Applies::kRestart,
     .doc =
         "The sessions that a worker may have. An idle session takes two descriptors and about 4 "
         "KiB; its slot takes no memory before it is used. auto: as many as the machine can hold, "
         "up to 100,000. Descriptors: the gateway raises RLIMIT_NOFILE to its hard limit. On "
         "io_uring that bounds the table of each worker, on epoll the workers share it. Memory: at "
         "most half of what the control group allows, of MemAvailable, and of RLIMIT_AS and "
         "RLIMIT_DATA. starling -t prints the number and what "
         "bounds it. The number stays the same until a restart. Limits of single sources do not "
         "grow with it; crowded and new_sources are shares of it.",
     .sample = "auto",
     .default_text = DefaultAuto,
     .set = SetSessions,
     .get = GetSessions},
    {.section = Section::kLimits,
     .key = "crowded",
     .type = OptionType::kNumber,
     .unit = "percent of the sessions of a worker",
     .min = 1,
     .max = 100,
     .applies = Applies::kRestart,
     .doc = "From this many sessions on, a worker gives clients no more time before the relay than "
            "pre_relay. It ends the sessions that have taken longer, and tells their clients why. "
            "So slow clients, and attackers that pretend to be slow, cannot fill the table.",
     .set = SetNumber<&GlobalLimits::crowded_percent>,
     .get = GetNumber<&GlobalLimits::crowded_percent>},
    {.section = Section::kLimits,
     .key = "new_sources",
     .type = OptionType::kNumber,
     .unit = "percent of the sessions of a worker",
     .min = 0,
     .max = 50,
     .applies = Applies::kRestart,
     .doc = "The last free sessions of a worker are for clients whose source has no session yet, "
            "and for sources that are trusted, exempt or a load balancer. So a few sources that "
            "hold many established sessions, each within its limits, leave room for others. When "
            "the table is full, a newcomer also takes the place of a session that is not "
            "established yet: the oldest one of the source that has most of them, if its own "
            "source has fewer. Sixteen of a trusted source count as one. Behind a load balancer a "
            "client takes such a place by its own address, once the PROXY header has come. The "
            "sessions of exempt sources and probes always stay.",
     .set = SetNumber<&GlobalLimits::new_sources_percent>,
     .get = GetNumber<&GlobalLimits::new_sources_percent>},
    {.section = Section::kLimits,
     .key = "refusals",
     .type = OptionType::kNumber,
     .unit = "sessions per worker",
     .min = 0,
     .max = 65'536,
     .applies = Applies::kRestart,
     .doc = "How many clients a worker accepts beyond its sessions, only to tell them in their "
            "protocol to come back later.",
     .set = SetNumber<&GlobalLimits::refusals>,
     .get = GetNumber<&GlobalLimits::refusals>},
    {.section = Section::kLimits,
     .key = "handshakes_in_flight",
     .type = OptionType::kNumber,
     .unit = "handshakes per worker",
     .choices = kAuto,
     .min = 1,
     .max = 100'000,
     .applies = Applies::kRestart,
     .doc =
         "The TLS handshakes that a worker may have in progress, at about 20 KiB each. auto: as "
         "many as sessions and all that may come beside them. If all are taken, a client that has "
         "held its place for an eighth of the handshake limit may have to give it up to a client "
         "of another address. For ten minutes its own address then gets only places that others "
         "leave.",
     .sample = "auto",
     .default_text = DefaultAuto,
     .set = SetOrFollow<&GlobalLimits::handshakes_in_flight>,
     .get = GetUnlessFollows<&GlobalLimits::handshakes_in_flight>},
    {.section = Section::kLimits,
     .key = "handshake_queue",
     .type = OptionType::kNumber,
     .unit = "sessions per worker",
     .choices = kAuto,
     .min = 1,
     .max = 1'000'000,
     .applies = Applies::kRestart,
     .doc = "The sessions that may wait for their handshake; auto: all of them. Their sources take "
            "turns, so a flood "
            "from one address delays each other address by one handshake. A trusted source "
            "has no more turns than others. If the queue is full, "
            "the source of which most wait gives way to the others. A session whose turn would "
            "come after its deadline is turned away at once (reason handshake_late).",
     .sample = "auto",
     .default_text = DefaultAuto,
     .set = SetOrFollow<&GlobalLimits::handshake_queue>,
     .get = GetUnlessFollows<&GlobalLimits::handshake_queue>},
    {.section = Section::kLimits,
     .key = "key_operations_per_turn",
     .type = OptionType::kNumber,
     .unit = "operations",
     .min = 1,
     .max = 64,
     .applies = Applies::kRestart,
     .doc = "How many private-key operations a worker does before it serves its relays again. Four "
            "take 0.1 ms with ECDSA and 2 ms with RSA-2048.",
     .set = SetNumber<&GlobalLimits::key_operations_per_turn>,
     .get = GetNumber<&GlobalLimits::key_operations_per_turn>},
    {.section = Section::kLimits,
     .key = "output_buffers",
     .type = OptionType::kNumber,
     .unit = "blocks per worker",
     .choices = kAuto,
     .min = 16,
     .max = 8'000'000,
     .applies = Applies::kRestart,
     .doc = "Blocks of 17,920 octets in which ciphertext and plaintext wait to be sent. The "
            "gateway allocates them when it needs them. auto: four for each of sessions and "
            "refusals, as many as these can hold. With fewer, clients whose octets fill them keep "
            "others out; memory_relief and queued_bytes are the better limits.",
     .sample = "auto",
     .default_text = DefaultAuto,
     .set = SetOrFollow<&GlobalLimits::output_buffers>,
     .get = GetUnlessFollows<&GlobalLimits::output_buffers>},
    {.section = Section::kLimits,
     .key = "bulk_buffers",
     .type = OptionType::kNumber,
     .unit = "blocks per worker",
     .min = 0,
     .max = 100'000,
     .applies = Applies::kRestart,
     .doc = "Blocks of 36,864 octets for relays that move much data. If none is free, a relay uses "
            "a small block. The gateway allocates them when it needs them.",
     .set = SetNumber<&GlobalLimits::bulk_buffers>,
     .get = GetNumber<&GlobalLimits::bulk_buffers>},
    {.section = Section::kLimits,
     .key = "small_buffers",
     .type = OptionType::kNumber,
     .unit = "buffers per worker",
     .min = 8,
     .max = 32'768,
     .power_of_two = true,
     .applies = Applies::kRestart,
     .doc = "Receive buffers of 2 KiB for dialogues and handshakes. Idle sessions hold no buffer, "
            "and a small number stays in the CPU's cache.",
     .set = SetNumber<&GlobalLimits::small_buffers>,
     .get = GetNumber<&GlobalLimits::small_buffers>},
    {.section = Section::kLimits,
     .key = "large_buffers",
     .type = OptionType::kNumber,
     .unit = "buffers per worker",
     .min = 8,
     .max = 32'768,
     .power_of_two = true,
     .applies = Applies::kRestart,
     .doc = "Receive buffers of 32 KiB for relays that move much data. All of them together should "
            "fit into the CPU's cache.",
     .set = SetNumber<&GlobalLimits::large_buffers>,
     .get = GetNumber<&GlobalLimits::large_buffers>},
    {.section = Section::kLimits,
     .key = "armed_accepts",
     .type = OptionType::kNumber,
     .unit = "accepts per socket",
     .min = 1,
     .max = 64,
     .applies = Applies::kRestart,
     .doc = "How many accepts wait in the ring for each listening socket. A worker can accept that "
            "many connections at once.",
     .set = SetNumber<&GlobalLimits::armed_accepts>,
     .get = GetNumber<&GlobalLimits::armed_accepts>},
    {.section = Section::kLimits,
     .key = "data_listeners",
     .type = OptionType::kNumber,
     .unit = "listening sockets per worker",
     .min = 1,
     .max = 16'384,
     .applies = Applies::kRestart,
     .doc = "The FTP data channels that may wait for their connection at once, after PASV or PORT. "
            "Beyond that, the one of the heaviest source that has waited longest gives way. Each "
            "also takes one of the sessions above until it ends. A worker makes room for them only "
            "if some listener has the protocol "
            "ftp at the start, so adding the first such listener needs a restart.",
     .set = SetNumber<&GlobalLimits::data_listeners>,
     .get = GetNumber<&GlobalLimits::data_listeners>},
    {.section = Section::kLimits,
     .key = "backlog",
     .type = OptionType::kNumber,
     .unit = "connections per socket",
     .min = 1,
     .max = 65'535,
     .applies = Applies::kRestart,
     .doc = "The connections that the kernel queues for each listening socket. net.core.somaxconn "
            "limits them too.",
     .set = SetNumber<&GlobalLimits::backlog>,
     .get = GetNumber<&GlobalLimits::backlog>},
    {.section = Section::kLimits,
     .key = "keepalive",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 86'400,
     .scale = 1'000,
     .applies = Applies::kRestart,
     .doc = "The gateway sends TCP keepalives to a client after this long without octets, in whole "
            "seconds. 0s: off. The default is below the five minutes after which many NAT boxes "
            "forget a connection.",
     .set = SetNumber<&GlobalLimits::keepalive_s>,
     .get = GetNumber<&GlobalLimits::keepalive_s>},
    {.section = Section::kLimits,
     .key = "log_records",
     .type = OptionType::kNumber,
     .unit = "records per worker",
     .min = 64,
     .max = 1 << 20,
     .power_of_two = true,
     .applies = Applies::kRestart,
     .doc = "How many records a worker may be ahead of the log. The worker never waits for the "
            "log: it drops further records and counts them.",
     .set = SetNumber<&GlobalLimits::log_records>,
     .get = GetNumber<&GlobalLimits::log_records>},
    {.section = Section::kLimits,
     .key = "certificates",
     .type = OptionType::kNumber,
     .unit = "certificates",
     .min = 1,
     .max = 1'000'000,
     .doc = "The certificates of all listeners together, including those in folders. Each takes "
            "about 10 KiB.",
     .set = SetNumber<&GlobalLimits::certificates>,
     .get = GetNumber<&GlobalLimits::certificates>},
    {.section = Section::kLimits,
     .key = "ticket_key_period",
     .type = OptionType::kDuration,
     .min = 60,
     .max = 7 * 24 * 3'600,
     .scale = 1'000,
     .applies = Applies::kRestart,
     .doc = "How long the gateway encrypts session tickets with one of its own keys. It decrypts "
            "with that key for the same time again. An attacker who steals the key can read "
            "recorded TLS 1.2 sessions whose tickets it encrypted, so keep the period short. With "
            "a ticket_keys file, this option has no effect.",
     .set = SetNumber<&GlobalLimits::ticket_key_period_s>,
     .get = GetNumber<&GlobalLimits::ticket_key_period_s>},
    {.section = Section::kLimits,
     .key = "file_check",
     .type = OptionType::kDuration,
     .min = 100,
     .max = kHour,
     .doc = "How often the gateway checks certificates, keys and revocation lists for changes that "
            "the system does not report, as on some network file systems.",
     .set = SetNumber<&GlobalLimits::file_check_ms>,
     .get = GetNumber<&GlobalLimits::file_check_ms>},
    {.section = Section::kLimits,
     .key = "drain_delay",
     .type = OptionType::kDuration,
     .min = 0,
     .max = kHour,
     .doc = "After TERM, how long the gateway still accepts clients while /readyz already reports "
            "that it is not ready. A load balancer needs several probe intervals to notice.",
     .set = SetNumber<&GlobalLimits::drain_delay_ms>,
     .get = GetNumber<&GlobalLimits::drain_delay_ms>},
    {.section = Section::kLimits,
     .key = "drain",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 24 * kHour,
     .doc = "After TERM, how long sessions may go on before the gateway ends them. This includes "
            "drain_delay.",
     .set = SetNumber<&GlobalLimits::drain_ms>,
     .get = GetNumber<&GlobalLimits::drain_ms>},
    {.section = Section::kLimits,
     .key = "probe_interval",
     .type = OptionType::kDuration,
     .min = 1'000,
     .max = kHour,
     .doc = "Time between two health probes of a server that is up.",
     .set = SetNumber<&GlobalLimits::probe_interval_ms>,
     .get = GetNumber<&GlobalLimits::probe_interval_ms>},
    {.section = Section::kLimits,
     .key = "probe_retry",
     .type = OptionType::kDuration,
     .min = 100,
     .max = kHour,
     .doc = "The time between two health probes of a server that is down; the first ones follow "
            "each other sooner. A server that a session finds to close, refuse or stay silent is "
            "probed at once, but only once in this time. So starling_backend_up is wrong no longer "
            "than this and one probe.",
     .set = SetNumber<&GlobalLimits::probe_retry_ms>,
     .get = GetNumber<&GlobalLimits::probe_retry_ms>},
    {.section = Section::kLimits,
     .key = "probe_retry_max",
     .type = OptionType::kDuration,
     .min = 100,
     .max = kHour,
     .doc = "If this is longer than probe_retry, the time between two health probes of a server "
            "that stays down goes on doubling up to this. No session tries such a server, so it "
            "gets none for so long after it has come up again. All these times are up to a quarter "
            "shorter, so that several gateways do not probe in step.",
     .set = SetNumber<&GlobalLimits::probe_retry_max_ms>,
     .get = GetNumber<&GlobalLimits::probe_retry_max_ms>},
    {.section = Section::kLimits,
     .key = "probe_timeout",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .doc = "Timeout of a single health probe.",
     .set = SetNumber<&GlobalLimits::probe_timeout_ms>,
     .get = GetNumber<&GlobalLimits::probe_timeout_ms>},
    {.section = Section::kLimits,
     .key = "source_ipv4_bits",
     .type = OptionType::kNumber,
     .unit = "bits",
     .min = 8,
     .max = 32,
     .doc = "For sources: clients whose IPv4 addresses agree in this many leading bits are one "
            "source.",
     .set = SetNumber<&GlobalLimits::source_ipv4_bits>,
     .get = GetNumber<&GlobalLimits::source_ipv4_bits>},
    {.section = Section::kLimits,
     .key = "source_ipv6_bits",
     .type = OptionType::kNumber,
     .unit = "bits",
     .min = 16,
     .max = 128,
     .doc = "The same for IPv6. Whoever has one address of a /64 has all of them; some providers "
            "give each customer a /56 or a /48.",
     .set = SetNumber<&GlobalLimits::source_ipv6_bits>,
     .get = GetNumber<&GlobalLimits::source_ipv6_bits>},
    {.section = Section::kLimits,
     .key = "pregreet_memory",
     .type = OptionType::kDuration,
     .min = 3'600,
     .max = 1'000 * 24 * 3'600,
     .scale = 1'000,
     .doc = "For greeting_delay: how long the gateway greets the clients of a source at once after "
            "one of them has waited; to the hour. It remembers a million sources in 4 MiB, over "
            "reloads, but not in a new process. One stranger in 16,000 may be taken for a source "
            "that it knows.",
     .set = SetNumber<&GlobalLimits::pregreet_memory_s>,
     .get = GetNumber<&GlobalLimits::pregreet_memory_s>},
};

}  // namespace

std::span<const Option> LimitRows() { return kRows; }

}  // namespace starling
