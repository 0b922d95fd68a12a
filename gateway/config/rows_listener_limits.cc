// The limits that a listener may override: its times, and what a client may send before TLS.
// Not for: what is one number for the whole process (rows_limits.cc).
#include "gateway/config/access.h"
#include "gateway/config/rows.h"
#include "gateway/config/units.h"
#include "protocols/registry.h"

namespace starling {
namespace {

using namespace access;

// Milliseconds. Shorter deadlines than kShort would fail honest clients.
constexpr uint64_t kShort = 10;
constexpr uint64_t kHour = 3'600'000;

std::string ByProtocol(uint32_t ProtocolRow::* seconds) {
  std::string text = "by protocol:";
  for (const ProtocolRow& row : AllProtocols()) {
    if (text.back() != ':') text += ",";
    text += " " + std::string(row.name) + " " + FormatDuration(uint64_t{row.*seconds} * 1'000);
  }
  return text;
}
std::string IdleDefault() { return ByProtocol(&ProtocolRow::idle_seconds); }

// Names only the protocols that differ from the last row, `tcp`, whose default is that of
// most others.
std::string ByException(uint32_t ProtocolRow::* seconds) {
  const uint32_t usual = AllProtocols().back().*seconds;
  std::string text = "by protocol:";
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.*seconds == usual) continue;
    text +=
        " " + std::string(row.name) + " " + FormatDuration(uint64_t{row.*seconds} * 1'000) + ",";
  }
  return text + " all others " + FormatDuration(uint64_t{usual} * 1'000);
}
std::string SilenceDefault() { return ByException(&ProtocolRow::silence_seconds); }
std::string TotalDefault() { return ByException(&ProtocolRow::before_relay_seconds); }

std::string ReservedDefault() {
  return "an eighth of the worker's sessions, divided among the listeners";
}

constexpr Option kRows[] = {
    {.section = Section::kLimits,
     .key = "pre_relay",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc =
         "From accept to the first command that the gateway understands, or to the relay if no "
         "command comes before it. While the session table is crowded (see there), clients have "
         "only this long from accept to the relay. No honest client needs that long; without this "
         "limit, a client that sends one octet every ten seconds could hold a session for ever.",
     .set = SetNumber<&ListenerLimits::pre_relay_ms>,
     .get = GetNumber<&ListenerLimits::pre_relay_ms>},
    {.section = Section::kLimits,
     .key = "pre_relay_silence",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "How long a client may be silent between two commands before the relay. RFC 5321 "
            "4.5.3.2.7 gives SMTP clients five minutes. The clients of other protocols do not "
            "pause here.",
     .sample = "1m",
     .off = true,
     .default_text = SilenceDefault,
     .set = SetNumber<&ListenerLimits::pre_relay_silence_ms>,
     .get = GetNumber<&ListenerLimits::pre_relay_silence_ms>},
    {.section = Section::kLimits,
     .key = "pre_relay_total",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = 24 * kHour,
     .in_listener = true,
     .doc = "From accept until the gateway relays octets or opens a plaintext leg, however many "
            "commands the client gives. It covers the dialogue, the handshake and connecting. At "
            "least as long as pre_relay.",
     .sample = "5m",
     .off = true,
     .default_text = TotalDefault,
     .set = SetNumber<&ListenerLimits::pre_relay_total_ms>,
     .get = GetNumber<&ListenerLimits::pre_relay_total_ms>},
    {.section = Section::kLimits,
     .key = "patience",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "How long the gateway lets a client wait in silence for an answer that only comes "
            "after TLS, such as an IRC client after USER (unless it negotiates capabilities) or a "
            "Telnet client that ignores the option START_TLS. Then the gateway tells the client "
            "that TLS is required.",
     .set = SetNumber<&ListenerLimits::patience_ms>,
     .get = GetNumber<&ListenerLimits::patience_ms>},
    {.section = Section::kLimits,
     .key = "proxy_header",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of a load balancer's PROXY header, the first octets on a connection.",
     .set = SetNumber<&ListenerLimits::proxy_header_ms>,
     .get = GetNumber<&ListenerLimits::proxy_header_ms>},
    {.section = Section::kLimits,
     .key = "handshake",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "From the first octet of TLS to the end of the handshake, including the wait in the "
            "queue. Long enough for three lost packets on a bad line.",
     .set = SetNumber<&ListenerLimits::handshake_ms>,
     .get = GetNumber<&ListenerLimits::handshake_ms>},
    {.section = Section::kLimits,
     .key = "connect",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of finding a server that accepts the connection, over all servers of the "
            "backend together.",
     .set = SetNumber<&ListenerLimits::connect_ms>,
     .get = GetNumber<&ListenerLimits::connect_ms>},
    {.section = Section::kLimits,
     .key = "connect_try",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Time that one server has to accept the connection, and once more for its TLS, if "
            "another server is up, has a free place, and is not known to be as slow. A host that "
            "is off answers nothing, and clients do not wait long. It is enough for one lost "
            "packet: the kernel repeats it after a second.",
     .set = SetNumber<&ListenerLimits::connect_try_ms>,
     .get = GetNumber<&ListenerLimits::connect_try_ms>},
    {.section = Section::kLimits,
     .key = "greeting",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc =
         "Timeout of a server's greeting, where the protocol has one, all servers of the backend "
         "together. A busy Postfix may take long.",
     .set = SetNumber<&ListenerLimits::greeting_ms>,
     .get = GetNumber<&ListenerLimits::greeting_ms>},
    {.section = Section::kLimits,
     .key = "greeting_try",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc =
         "Timeout of one server's greeting if another server is up, has a free place, and is not "
         "known to be as slow. The gateway then goes to that one: it has passed nothing on. A "
         "greeting that has begun with a whole line has this time twice. Later sessions avoid the "
         "slow server, except one each probe_retry, until it answers "
         "in time. The server is probed, too. Where clients speak first, a server that does "
         "not answer one for so long is only probed.",
     .set = SetNumber<&ListenerLimits::greeting_try_ms>,
     .get = GetNumber<&ListenerLimits::greeting_try_ms>},
    {.section = Section::kLimits,
     .key = "record",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of the rest of a TLS record after its first octet. An incomplete record holds "
            "up to 16 KiB of memory.",
     .set = SetNumber<&ListenerLimits::record_ms>,
     .get = GetNumber<&ListenerLimits::record_ms>},
    {.section = Section::kLimits,
     .key = "idle",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 7 * 24 * kHour,
     .in_listener = true,
     .doc =
         "How long a relay may be silent in both directions. 0s: no limit. The defaults are a "
         "minute longer than the least time that each protocol demands: ten minutes for SMTP's "
         "reply to the end of a mail (RFC 5321 4.5.3.2.6), half an hour for IMAP (RFC 3501 5.4), "
         "ten minutes for POP3 (RFC 1939 3), and an hour that INN gives other servers. LDAP, XMPP "
         "and PostgreSQL demand nothing; LDAP and XMPP get two hours, PostgreSQL a day.",
     .sample = "31m",
     .off = true,
     .default_text = IdleDefault,
     .set = SetNumber<&ListenerLimits::idle_ms>,
     .get = GetNumber<&ListenerLimits::idle_ms>},
    {.section = Section::kLimits,
     .key = "half_close",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = 24 * kHour,
     .in_listener = true,
     .doc = "How long a relay may be silent after one direction has ended. That is enough for the "
            "answer to a last command. The limit ends sessions whose client has vanished.",
     .set = SetNumber<&ListenerLimits::half_close_ms>,
     .get = GetNumber<&ListenerLimits::half_close_ms>},
    {.section = Section::kLimits,
     .key = "linger",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = 60'000,
     .in_listener = true,
     .doc = "How long the gateway goes on reading and discarding octets after its last words. If "
            "it closed at once, a reset could destroy those words before the client reads them.",
     .set = SetNumber<&ListenerLimits::linger_ms>,
     .get = GetNumber<&ListenerLimits::linger_ms>},
    {.section = Section::kLimits,
     .key = "linger_bytes",
     .type = OptionType::kSize,
     .min = 0,
     .max = 16 << 20,
     .in_listener = true,
     .doc = "How many octets the gateway reads and discards after its last words.",
     .set = SetNumber<&ListenerLimits::linger_bytes>,
     .get = GetNumber<&ListenerLimits::linger_bytes>},
    {.section = Section::kLimits,
     .key = "max_line",
     .type = OptionType::kSize,
     .min = 512,
     .max = kMinOutputRoom,
     .in_listener = true,
     .doc = "The longest command line before TLS, including its CRLF. RFC 5321 4.5.3.1.4 demands "
            "512 octets and lets extensions add to that.",
     .set = SetNumber<&ListenerLimits::max_line>,
     .get = GetNumber<&ListenerLimits::max_line>},
    {.section = Section::kLimits,
     .key = "max_commands",
     .type = OptionType::kNumber,
     .unit = "commands",
     .min = 1,
     .max = 100'000,
     .in_listener = true,
     .doc = "How many commands the gateway itself answers before TLS. A client needs two or three.",
     .set = SetNumber<&ListenerLimits::max_commands>,
     .get = GetNumber<&ListenerLimits::max_commands>},
    {.section = Section::kLimits,
     .key = "reserved_sessions",
     .type = OptionType::kNumber,
     .unit = "sessions per worker",
     .min = 0,
     .max = 1'000'000,
     .in_listener = true,
     .doc = "How many of a worker's sessions other listeners cannot take from this one. All "
            "listeners share the rest. So a crowd on one port leaves room on the others. By "
            "default the reserved sessions are few, because those that no client uses are idle.",
     .sample = "50",
     .off = true,
     .default_text = ReservedDefault,
     .set = SetNumber<&ListenerLimits::reserved_sessions>,
     .get = GetNumber<&ListenerLimits::reserved_sessions>},
    {.section = Section::kLimits,
     .key = "most_sessions",
     .type = OptionType::kNumber,
     .unit = "sessions per worker, or 0 for any number",
     .min = 0,
     .max = 1'000'000,
     .in_listener = true,
     .doc =
         "How many of a worker's sessions a listener may have in all. Set it where the backend "
         "of a listener carries fewer sessions than the gateway does. Once it has so many, a "
         "newcomer takes the place of one of its own sessions, as in a full table (new_sources).",
     .set = SetNumber<&ListenerLimits::most_sessions>,
     .get = GetNumber<&ListenerLimits::most_sessions>},
    {.section = Section::kLimits,
     .key = "unsent",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .in_listener = true,
     .doc = "How many octets for a client the kernel may hold that it has not sent yet "
            "(TCP_NOTSENT_LOWAT). What is on its way to the client comes on top, so the limit does "
            "not slow a client down that reads. For one that never reads, the kernel would "
            "otherwise hold over 2 MiB. 0: as the sysctl net.ipv4.tcp_notsent_lowat says.",
     .set = SetNumber<&ListenerLimits::unsent>,
     .get = GetNumber<&ListenerLimits::unsent>},
    {.section = Section::kLimits,
     .key = "send_buffer",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .in_listener = true,
     .doc = "The most that the kernel holds of what a client was sent and has not acknowledged "
            "(SO_SNDBUF, which the kernel doubles for its own overhead; net.core.wmem_max limits "
            "it). A client so far away that more is on its way gets less per second: 256KiB at a "
            "round trip of 100 ms allow about 2 MB/s. 0: the kernel adapts the buffer to the "
            "client, up to net.ipv4.tcp_wmem.",
     .set = SetNumber<&ListenerLimits::send_buffer>,
     .get = GetNumber<&ListenerLimits::send_buffer>},
    {.section = Section::kLimits,
     .key = "receive_buffer",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .in_listener = true,
     .doc = "The most that the kernel holds of what a client has sent and the gateway has not read "
            "(SO_RCVBUF; net.core.rmem_max). The same as send_buffer for uploads. 0: the kernel "
            "adapts the buffer to the client, up to net.ipv4.tcp_rmem; a client then sends about 1 "
            "MiB ahead to a server that never reads.",
     .set = SetNumber<&ListenerLimits::receive_buffer>,
     .get = GetNumber<&ListenerLimits::receive_buffer>},
    {.section = Section::kLimits,
     .key = "slow_reader",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 9 * kHour,
     .in_listener = true,
     .doc = "A client or a server that takes fewer than slow_reader_bytes of the octets that wait "
            "for it in a relay, for this long, loses its session. The kernel takes octets by the "
            "half of `unsent`, so by default the limit meets peers that take less than about 200 "
            "octets a second; a modem of 1990 takes 1,200. 0s: no limit.",
     .set = SetNumber<&ListenerLimits::slow_reader_ms>,
     .get = GetNumber<&ListenerLimits::slow_reader_ms>},
    {.section = Section::kLimits,
     .key = "slow_reader_bytes",
     .type = OptionType::kSize,
     .min = 1,
     .max = 1 << 30,
     .in_listener = true,
     .doc =
         "See slow_reader. With 15m and 1MiB, a peer must take about 1.2 KB a second, or all that "
         "waits for it.",
     .set = SetNumber<&ListenerLimits::slow_reader_bytes>,
     .get = GetNumber<&ListenerLimits::slow_reader_bytes>},
};

}  // namespace

std::span<const Option> ListenerLimitRows() { return kRows; }

}  // namespace starling
