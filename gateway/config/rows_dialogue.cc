// Options of a listener that belong to one protocol, in a section of its name.
#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

constexpr uint64_t kMaxServedNames = 256;

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

constexpr Option kRows[] = {
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
     .set = SetNumber<&DialogueOptions::irc_sts_port>,
     .get = GetNumber<&DialogueOptions::irc_sts_port>},
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
