// Options of a listener that belong to one protocol, in a section of its name.
#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"
#include "gateway/config/units.h"
#include "gateway/limits.h"
#include "protocols/irc/irc_options.h"

namespace starling {
namespace {

using namespace access;

std::string DefaultServed() { return "the listener's hostname"; }

std::string NoWebirc() { return "none: WEBIRC is not said"; }

std::vector<Complaint> SetServedNames(const OptionTarget& target, const OptionValue& value) {
  std::vector<Complaint> complaints;
  for (size_t i = 0; i < value.list.size(); ++i) {
    std::optional<Complaint> complaint = CheckHostname(value.list[i]);
    if (!complaint) continue;
    complaint->element = i;
    complaints.push_back(*std::move(complaint));
  }
  if (complaints.empty()) target.listener->dialogue.served_names = value.list;
  return complaints;
}

constexpr std::string_view kDataClose[] = {"strict", "lenient"};

std::string DefaultDataPorts() { return "any port"; }
std::string DefaultDataAddress() { return "the address that the client called"; }

// "40000-40999"
std::vector<Complaint> SetDataPorts(const OptionTarget& target, const OptionValue& value) {
  std::vector<Complaint> complaints = {
      {.expected = "FIRST-LAST, ports from 1024 to 65535, such as 40000-40999"}};
  const std::string_view text = value.text;
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return complaints;
  const std::optional<uint64_t> first = ParseNumber(text.substr(0, dash));
  const std::optional<uint64_t> last = ParseNumber(text.substr(dash + 1));
  constexpr uint64_t kLeast = 1'024;
  if (!first || !last || *first < kLeast || *first > *last || *last > UINT16_MAX) {
    return complaints;
  }
  target.listener->ftp.first_port = static_cast<uint16_t>(*first);
  target.listener->ftp.last_port = static_cast<uint16_t>(*last);
  return {};
}

std::optional<OptionValue> GetDataPorts(const OptionTarget& target) {
  const FtpOptions& ftp = target.listener->ftp;
  OptionValue value;
  if (ftp.first_port == 0) return std::nullopt;
  value.text = std::to_string(ftp.first_port) + "-" + std::to_string(ftp.last_port);
  return value;
}

std::vector<Complaint> SetDataAddress(const OptionTarget& target, const OptionValue& value) {
  const absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(value.text + ":1");
  const Endpoint address = parsed.ok() ? parsed->endpoint() : Endpoint();
  if (address.family != Endpoint::Family::kV4 || parsed->is_wildcard()) {
    return {{.expected = "an IPv4 address, such as 203.0.113.7",
             .hint = "with IPv6 there is EPSV, whose reply names none"}};
  }
  target.listener->ftp.address = address;
  return {};
}

std::optional<OptionValue> GetDataAddress(const OptionTarget& target) {
  OptionValue value;
  if (target.listener->ftp.address.family == Endpoint::Family::kNone) return std::nullopt;
  value.text = IpToString(target.listener->ftp.address);
  return value;
}

std::vector<Complaint> SetIrcStsPort(const OptionTarget& target, const OptionValue& value) {
  SetStsPort(static_cast<uint16_t>(value.number), target.listener->dialogue);
  return {};
}

std::optional<OptionValue> GetIrcStsPort(const OptionTarget& target) {
  OptionValue value;
  value.number = IrcOptionsOf(target.listener->dialogue).sts_port;
  return value;
}

constexpr Option kRows[] = {
    {.section = Section::kListener,
     .key = "smtp",
     .type = OptionType::kSection,
     .child = Section::kSmtp,
     .doc = "For smtp only.",
     .off = true},
    {.section = Section::kSmtp,
     .key = "cbc_ciphers",
     .type = OptionType::kFlag,
     .doc = "For a public MX (starttls, opportunistic): in TLS 1.2, and behind all other suites, "
            "ECDHE with AES in CBC mode is taken as well. Without it, senders that know nothing "
            "better deliver in plaintext, or not at all (RFC 7435 section 3). Forward secrecy "
            "stays. Authenticated encryption is lost; padding oracles in faulty servers exploited "
            "its absence.",
     .set = SetNumber<&TlsOptions::cbc_ciphers>,
     .get = GetNumber<&TlsOptions::cbc_ciphers>},
    {.section = Section::kListener,
     .key = "xmpp",
     .type = OptionType::kSection,
     .child = Section::kXmpp,
     .doc = "For xmpp-client and xmpp-server only.",
     .off = true},
    {.section = Section::kXmpp,
     .key = "domains",
     .type = OptionType::kTextList,
     .unit = "domains",
     .min = 1,
     .max = kMaxServedNames,
     .doc = "What the servers behind serve. Before TLS a stream is answered in the name of the one "
            "that it is for, and in that of the first where it is for none of them.",
     .sample = "[example.org, example.net]",
     .default_text = DefaultServed,
     .set = SetServedNames,
     .get = GetWords<&DialogueOptions::served_names>},
    {.section = Section::kListener,
     .key = "http",
     .type = OptionType::kSection,
     .child = Section::kHttp,
     .doc = "For http only.",
     .off = true},
    {.section = Section::kHttp,
     .key = "hosts",
     .type = OptionType::kTextList,
     .unit = "host names",
     .min = 1,
     .max = kMaxServedNames,
     .doc = "The request that asked for TLS is made anew inside it, for the host of this list that "
            "it named, or for the first.",
     .sample = "[print.example.org]",
     .default_text = DefaultServed,
     .set = SetServedNames,
     .get = GetWords<&DialogueOptions::served_names>},
    {.section = Section::kListener,
     .key = "ftp",
     .type = OptionType::kSection,
     .child = Section::kFtp,
     .doc = "For ftp only: its data channels.",
     .off = true},
    {.section = Section::kFtp,
     .key = "data_ports",
     .type = OptionType::kText,
     .unit = "a range of ports",
     .doc = "Where clients are told to connect for data by PASV and EPSV, for a firewall to let "
            "through. Each port serves one data channel at a time.",
     .sample = "40000-40999",
     .default_text = DefaultDataPorts,
     .set = SetDataPorts,
     .get = GetDataPorts},
    {.section = Section::kFtp,
     .key = "address",
     .type = OptionType::kText,
     .unit = "an IPv4 address",
     .doc = "What the reply to PASV names, where the gateway stands behind a translation of "
            "addresses.",
     .sample = "203.0.113.7",
     .default_text = DefaultDataAddress,
     .set = SetDataAddress,
     .get = GetDataAddress},
    {.section = Section::kFtp,
     .key = "require_resumption",
     .type = OptionType::kFlag,
     .doc = "TLS of a data channel must resume a session that the gateway knows, as that of the "
            "control connection: a thief of the port has none. Some clients cannot, Python's "
            "among them.",
     .set = SetNumber<&FtpOptions::require_resumption>,
     .get = GetNumber<&FtpOptions::require_resumption>},
    {.section = Section::kFtp,
     .key = "data_close",
     .type = OptionType::kChoice,
     .choices = kDataClose,
     .doc =
         "How a client ends an upload. strict: by close_notify, as TLS wants it; without one the "
         "file was cut off, the server's connection is reset and the client is told 426. "
         "lenient: the end of TCP is enough (a reset is not), which .NET's clients need; but then "
         "an attacker who can cut a connection can cut a file, and it is stored as if it were "
         "whole. Such ends are logged and counted as client_bare_end.",
     .set = SetNumber<&FtpOptions::lenient_close>,
     .get = GetNumber<&FtpOptions::lenient_close>},
    {.section = Section::kListener,
     .key = "irc",
     .type = OptionType::kSection,
     .child = Section::kIrc,
     .doc = "For irc only.",
     .off = true},
    {.section = Section::kIrc,
     .key = "sts_port",
     .type = OptionType::kNumber,
     .min = 0,
     .max = 65535,
     .doc = "For starttls: told to clients before TLS (IRCv3 sts), who then come back to this port "
            "and its implicit TLS. How long they are to remember that is for the server behind to "
            "say, inside TLS. 0: not told.",
     .sample = "6697",
     .set = SetIrcStsPort,
     .get = GetIrcStsPort},
    {.section = Section::kIrc,
     .key = "webirc_password_file",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "For servers that know no PROXY header: the gateway then says WEBIRC first, with the "
            "password in this file and the client's address. Read at start and at each reload.",
     .sample = "/etc/starling/webirc",
     .default_text = NoWebirc,
     .set = SetText<&ListenerConfig::webirc_password_file, CheckPath>,
     .get = GetText<&ListenerConfig::webirc_password_file>},
};

}  // namespace

std::span<const Option> DialogueRows() { return kRows; }

}  // namespace starling
