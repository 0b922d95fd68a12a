// Options of a listener for one protocol, in a section with the name of the protocol.
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

std::string NoWebirc() { return "none: the gateway sends no WEBIRC"; }

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
std::string DefaultDataAddress() { return "the address that the client connected to"; }

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
             .hint = "IPv6 clients use EPSV, whose reply has no address"}};
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
     .doc = "Options for smtp only.",
     .off = true},
    {.section = Section::kSmtp,
     .key = "cbc_ciphers",
     .type = OptionType::kFlag,
     .doc = "For a public MX (starttls, opportunistic): also accepts ECDHE with AES in CBC mode, "
            "in TLS 1.2 and only if the client supports nothing better. Without this option, old "
            "senders deliver in plaintext or not at all (RFC 7435 section 3). These suites keep "
            "forward secrecy but lack authenticated encryption, which padding oracle attacks on "
            "faulty servers have exploited.",
     .set = SetNumber<&TlsOptions::cbc_ciphers>,
     .get = GetNumber<&TlsOptions::cbc_ciphers>},
    {.section = Section::kListener,
     .key = "xmpp",
     .type = OptionType::kSection,
     .child = Section::kXmpp,
     .doc = "Options for xmpp-client and xmpp-server only.",
     .off = true},
    {.section = Section::kXmpp,
     .key = "domains",
     .type = OptionType::kTextList,
     .unit = "domains",
     .min = 1,
     .max = kMaxServedNames,
     .doc = "The domains that the backend serves. Before TLS the gateway answers in the name of "
            "the domain that the client asks for. If the client asks for another domain, the "
            "gateway answers in the name of the first in the list.",
     .sample = "[example.org, example.net]",
     .default_text = DefaultServed,
     .set = SetServedNames,
     .get = GetWords<&DialogueOptions::served_names>},
    {.section = Section::kListener,
     .key = "http",
     .type = OptionType::kSection,
     .child = Section::kHttp,
     .doc = "Options for http only.",
     .off = true},
    {.section = Section::kHttp,
     .key = "hosts",
     .type = OptionType::kTextList,
     .unit = "host names",
     .min = 1,
     .max = kMaxServedNames,
     .doc = "The host names that the backend serves. After the upgrade the gateway sends the "
            "client's first request to the backend, with the host name that the client asked for. "
            "If that name is not in the list, the gateway uses the first one.",
     .sample = "[print.example.org]",
     .default_text = DefaultServed,
     .set = SetServedNames,
     .get = GetWords<&DialogueOptions::served_names>},
    {.section = Section::kListener,
     .key = "ftp",
     .type = OptionType::kSection,
     .child = Section::kFtp,
     .doc = "Options for ftp only: its data channels.",
     .off = true},
    {.section = Section::kFtp,
     .key = "data_ports",
     .type = OptionType::kText,
     .unit = "a range of ports",
     .doc = "The ports for data connections, which the gateway names in its replies to PASV and "
            "EPSV. Open them in the firewall. Each port serves one data channel at a time.",
     .sample = "40000-40999",
     .default_text = DefaultDataPorts,
     .set = SetDataPorts,
     .get = GetDataPorts},
    {.section = Section::kFtp,
     .key = "address",
     .type = OptionType::kText,
     .unit = "an IPv4 address",
     .doc = "The address that the gateway names in its reply to PASV. Set it if clients reach the "
            "gateway through address translation (NAT).",
     .sample = "203.0.113.7",
     .default_text = DefaultDataAddress,
     .set = SetDataAddress,
     .get = GetDataAddress},
    {.section = Section::kFtp,
     .key = "require_resumption",
     .type = OptionType::kFlag,
     .doc = "Requires each data channel to resume a TLS session that the gateway has issued, such "
            "as that of the control connection. So nobody else can take over the data port. Some "
            "clients cannot resume, among them Python's.",
     .set = SetNumber<&FtpOptions::require_resumption>,
     .get = GetNumber<&FtpOptions::require_resumption>},
    {.section = Section::kFtp,
     .key = "data_close",
     .type = OptionType::kChoice,
     .choices = kDataClose,
     .doc = "How a client must end an upload. strict: by close_notify, as TLS demands. If it is "
            "missing, the gateway takes the file as cut off, resets the connection to the server "
            "and answers 426. lenient: the end of the TCP connection is enough (a reset is not), "
            "which .NET's clients need. But then an attacker who can cut a connection can truncate "
            "a file, and the server stores it as if it were complete. The gateway logs such an end "
            "and counts it as client_bare_end.",
     .set = SetNumber<&FtpOptions::lenient_close>,
     .get = GetNumber<&FtpOptions::lenient_close>},
    {.section = Section::kListener,
     .key = "irc",
     .type = OptionType::kSection,
     .child = Section::kIrc,
     .doc = "Options for irc only.",
     .off = true},
    {.section = Section::kIrc,
     .key = "sts_port",
     .type = OptionType::kNumber,
     .min = 0,
     .max = 65535,
     .doc = "For starttls: before TLS the gateway tells clients to come back to this port with "
            "implicit TLS (IRCv3 sts). The server behind decides how long clients remember that; "
            "it tells them inside TLS. 0: the gateway does not tell them.",
     .sample = "6697",
     .set = SetIrcStsPort,
     .get = GetIrcStsPort},
    {.section = Section::kIrc,
     .key = "webirc_password_file",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "For servers that do not know the PROXY header: the gateway begins each connection "
            "with WEBIRC, the password in this file and the client's address. It reads the file at "
            "the start and at each reload.",
     .sample = "/etc/starling/webirc",
     .default_text = NoWebirc,
     .set = SetText<&ListenerConfig::webirc_password_file, CheckPath>,
     .get = GetText<&ListenerConfig::webirc_password_file>},
};

}  // namespace

std::span<const Option> DialogueRows() { return kRows; }

}  // namespace starling
