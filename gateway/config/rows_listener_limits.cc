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

constexpr Option kRows[] = {
    {.section = Section::kLimits,
     .key = "pre_relay",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc =
         "From accept to the first command that the gateway understands, or to the relay where "
         "no command comes before it. Once the session table is crowded (see there) everybody "
         "has only as long from accept to the relay. No client needs that long; one that sends an "
         "octet every ten seconds would hold a session for ever.",
     .set = SetNumber<&ListenerLimits::pre_relay_ms>,
     .get = GetNumber<&ListenerLimits::pre_relay_ms>},
    {.section = Section::kLimits,
     .key = "pre_relay_silence",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Before the relay, how long a client that has given a command may be silent until the "
            "next one. RFC 5321 4.5.3.2.7 gives SMTP clients five minutes; the clients of other "
            "protocols do not pause here.",
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
     .doc = "From accept until octets are relayed or a plaintext leg is open, however many "
            "commands the client gives: all of dialogue, handshake and connecting. At least as "
            "long as pre_relay.",
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
     .doc = "How long a client may be silent after it has said all that it has to say, while it "
            "waits for an answer that it cannot get: an IRC client after USER (not while it "
            "negotiates "
            "capabilities), a Telnet client that ignores the option START_TLS. It is then told "
            "that TLS is required.",
     .set = SetNumber<&ListenerLimits::patience_ms>,
     .get = GetNumber<&ListenerLimits::patience_ms>},
    {.section = Section::kLimits,
     .key = "proxy_header",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of a load balancer's PROXY header, the first thing that it sends.",
     .set = SetNumber<&ListenerLimits::proxy_header_ms>,
     .get = GetNumber<&ListenerLimits::proxy_header_ms>},
    {.section = Section::kLimits,
     .key = "handshake",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "From the first octet of TLS to the end of the handshake, the wait in the queue "
            "included. Enough for three lost packets on a bad line.",
     .set = SetNumber<&ListenerLimits::handshake_ms>,
     .get = GetNumber<&ListenerLimits::handshake_ms>},
    {.section = Section::kLimits,
     .key = "connect",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc =
         "Time to find a server that accepts the connection, all servers of the backend together.",
     .set = SetNumber<&ListenerLimits::connect_ms>,
     .get = GetNumber<&ListenerLimits::connect_ms>},
    {.section = Section::kLimits,
     .key = "greeting",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of the backend's greeting on the connection that is made after TLS. A busy "
            "Postfix takes its time.",
     .set = SetNumber<&ListenerLimits::greeting_ms>,
     .get = GetNumber<&ListenerLimits::greeting_ms>},
    {.section = Section::kLimits,
     .key = "record",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = kHour,
     .in_listener = true,
     .doc = "Timeout of the rest of a TLS record that has begun. Meanwhile it holds up to 16 KiB "
            "of memory.",
     .set = SetNumber<&ListenerLimits::record_ms>,
     .get = GetNumber<&ListenerLimits::record_ms>},
    {.section = Section::kLimits,
     .key = "idle",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 7 * 24 * kHour,
     .in_listener = true,
     .doc =
         "A relay on which nothing moves in either direction; 0s: no limit. The protocols' own "
         "least times, and a minute: SMTP's reply to the end of a mail may take ten minutes (RFC "
         "5321 4.5.3.2.6), IMAP waits half an hour (RFC 3501 5.4), POP3 ten minutes (RFC 1939 3), "
         "INN an hour for other servers. LDAP and XMPP have none: two hours; nor has PostgreSQL: a "
         "day.",
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
     .doc = "How long a relay may be silent once one direction has ended. Enough for the answer to "
            "a last command; after that the gateway no longer waits for a client that vanished.",
     .set = SetNumber<&ListenerLimits::half_close_ms>,
     .get = GetNumber<&ListenerLimits::half_close_ms>},
    {.section = Section::kLimits,
     .key = "linger",
     .type = OptionType::kDuration,
     .min = kShort,
     .max = 60'000,
     .in_listener = true,
     .doc = "How long the gateway reads and discards octets after its last words. Otherwise a "
            "reset could destroy them before the client reads them.",
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
     .doc = "A command line before TLS with its CRLF. RFC 5321 4.5.3.1.4 asks for 512 and lets "
            "extensions add to it.",
     .set = SetNumber<&ListenerLimits::max_line>,
     .get = GetNumber<&ListenerLimits::max_line>},
    {.section = Section::kLimits,
     .key = "max_commands",
     .type = OptionType::kNumber,
     .unit = "commands",
     .min = 1,
     .max = 100'000,
     .in_listener = true,
     .doc = "Commands that the gateway itself answers before TLS; a client needs two or three.",
     .set = SetNumber<&ListenerLimits::max_commands>,
     .get = GetNumber<&ListenerLimits::max_commands>},
};

}  // namespace

std::span<const Option> ListenerLimitRows() { return kRows; }

}  // namespace starling
