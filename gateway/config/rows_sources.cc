// What networks mean, which limits each source has, and who is turned away; for the whole
// program and for single listeners.
#include "absl/strings/str_cat.h"
#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

static_assert(SourceLimits{}.connections_burst == SourceLimits{}.handshakes_burst);

constexpr std::string_view kDenyEstablished[] = {"keep", "end"};
constexpr uint64_t kMost = 1'000'000;

std::string NobodyDenied() { return "nobody"; }
std::string DefaultSessions() {
  return "1000, or three quarters of what all workers have if that is less; of trusted: 0";
}

// Of roles that have limits; others neither print nor keep any.
template <auto kMember>
std::optional<OptionValue> GetLimit(const OptionTarget& target) {
  if (!HasLimits(target.source->role)) return std::nullopt;
  return GetNumber<kMember>(target);
}

template <auto kMember>
std::string DefaultLimit() {
  return absl::StrCat(SourceLimits{}.*kMember, "; of trusted: 0");
}

std::string DefaultBurst() { return absl::StrCat(SourceLimits{}.connections_burst); }

DenyOptions& DenyOf(const OptionTarget& target) {
  return target.listener != nullptr ? target.listener->deny : target.config->deny;
}

std::vector<Complaint> SetDeny(const OptionTarget& target, const OptionValue& value) {
  DenyOptions deny;
  std::vector<Complaint> complaints;
  for (size_t i = 0; i < value.list.size(); ++i) {
    const std::string& text = value.list[i];
    if (text.starts_with('/')) {
      deny.files.push_back(text);
    } else if (const absl::StatusOr<Cidr> range = ParseRange(text); range.ok()) {
      deny.networks.push_back(*range);
    } else {
      complaints.push_back({.expected = absl::StrCat(range.status().message(),
                                                     ", or the path of a file that begins with /"),
                            .element = i});
    }
  }
  if (complaints.empty()) DenyOf(target) = std::move(deny);
  return complaints;
}

std::optional<OptionValue> GetDeny(const OptionTarget& target) {
  const DenyOptions& deny = DenyOf(target);
  OptionValue value;
  for (const Cidr& network : deny.networks) value.list.push_back(network.ToString());
  value.list.insert(value.list.end(), deny.files.begin(), deny.files.end());
  if (value.list.empty()) return std::nullopt;
  return value;
}

constexpr Option kRows[] = {
    {.section = Section::kTop,
     .key = "sources",
     .type = OptionType::kSectionList,
     .min = 1,
     .max = kMaxSourceRows,
     .child = Section::kSource,
     .doc =
         "What networks mean, and how much of the gateway each source may have. A source is an "
         "IPv4 address or a /64 of IPv6 (limits.source_ipv4_bits and source_ipv6_bits); behind a "
         "load balancer it is the address in the PROXY header. If several networks contain an "
         "address, the one with the longest prefix counts; of two equal ones, the later. A client "
         "in none of the networks has the default limits. But 127.0.0.0/8 and ::1 are trusted: "
         "webmail and tunnels on this machine bring many users from there. The gateway refuses "
         "what a source wants beyond its limits. It counts that in "
         "starling_connections_refused_total, and names the heaviest sources in the log once a "
         "minute."},
    {.section = Section::kTop,
     .key = "deny",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ranges, and paths of files with one of them in each line",
     .min = 1,
     .max = kMaxDenyEntries,
     .doc = "Who is turned away at once, unless sources says exempt, probe or balancer. In a file, "
            "comments begin with # or ;. The gateway uses a changed file within a moment, as it "
            "does with certificates; a file that it cannot read changes nothing. Up to 2,000,000 "
            "networks, of 6 octets each for IPv4 and 36 for IPv6, twice while a file is read. "
            "deploy/fail2ban has an action that adds addresses to such a file.",
     .sample = "[192.0.2.66, \"2001:db8:bad::/48\", /etc/starling/deny]",
     .off = true,
     .default_text = NobodyDenied,
     .set = SetDeny,
     .get = GetDeny},
    {.section = Section::kTop,
     .key = "deny_established",
     .type = OptionType::kChoice,
     .choices = kDenyEstablished,
     .doc = "What becomes of the sessions of a source that is denied while they are there. end "
            "suits lists of attackers; keep suits lists that may name a customer by mistake.",
     .set = SetNumber<&Config::deny_established>,
     .get = GetNumber<&Config::deny_established>},
    {.section = Section::kListener,
     .key = "sources",
     .type = OptionType::kSectionList,
     .min = 1,
     .max = kMaxSourceRows,
     .child = Section::kSource,
     .doc = "Networks that mean something else to this listener, beside those of the whole "
            "program. What clients of these rows have is counted for this listener alone.",
     .sample = "[{from: \"198.51.100.0/24\", sessions: 50}]",
     .off = true},
    {.section = Section::kListener,
     .key = "deny",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ranges, and paths of files with one of them in each line",
     .min = 1,
     .max = kMaxDenyEntries,
     .doc = "Who is turned away here, beside those whom the whole program turns away.",
     .sample = "[/etc/starling/deny-submission]",
     .off = true,
     .default_text = NobodyDenied,
     .set = SetDeny,
     .get = GetDeny},
    {.section = Section::kSource,
     .key = "from",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ranges",
     .min = 1,
     .max = kMaxSourceNetworks,
     .required = true,
     .doc = "The networks that this is about. 0.0.0.0/0 and ::/0 are everybody.",
     .sample = "[\"203.0.113.0/24\", \"2001:db8:5::/48\"]",
     .set = SetList<&SourceRow::from, ParseRange>,
     .get = GetList<&SourceRow::from>},
    {.section = Section::kSource,
     .key = "role",
     .type = OptionType::kChoice,
     .choices = kSourceRoleWords,
     .doc = "client: the limits below. trusted: a webmail server, a partner's MX, an office behind "
            "one address: only the limits that are written here. exempt: no limits, and deny does "
            "not concern it. probe: the same, and its sessions that reach no server leave no line "
            "in the log; those that send nothing count in starling_probe_connections_total, and "
            "are no sign of a downgrade. balancer: its connections begin with a PROXY header, and "
            "the gateway believes what that says about the client; a listener with proxy_protocol "
            "also refuses all other sources, unless it has others: direct.",
     .set = SetNumber<&SourceRow::role>,
     .get = GetNumber<&SourceRow::role>},
    {.section = Section::kSource,
     .key = "sessions",
     .type = OptionType::kNumber,
     .unit = "sessions of one source at once, or 0 for any number",
     .min = 0,
     .max = 10'000'000,
     .doc =
         "200 mail clients behind one address hold 1000 if all of them are desktop programs with "
         "five each; phones hold one or two. So no source has the whole table, nor more than such "
         "an office needs. An FTP data channel counts as one.",
     .sample = "1000",
     .default_text = DefaultSessions,
     .set = SetNumber<&SourceLimits::sessions>,
     .get = GetLimit<&SourceLimits::sessions>},
    {.section = Section::kSource,
     .key = "connections_per_second",
     .type = OptionType::kNumber,
     .unit = "new connections of one source a second, or 0 for any number",
     .min = 0,
     .max = kMost,
     .doc =
         "200 mail clients that look for mail once a minute, over five connections, make 17 a "
         "second. Postfix forwards over 20 connections at a time, and webmail without a "
         "connection cache makes one or two per click. A monitoring host that checks 20 listeners "
         "every second makes 20.",
     .sample = "100",
     .default_text = DefaultLimit<&SourceLimits::connections_per_second>,
     .set = SetNumber<&SourceLimits::connections_per_second>,
     .get = GetLimit<&SourceLimits::connections_per_second>},
    {.section = Section::kSource,
     .key = "connections_burst",
     .type = OptionType::kNumber,
     .unit = "connections",
     .min = 1,
     .max = kMost,
     .doc = "How many may come at once after a quiet time. When the network of those 200 clients "
            "is back, all their sessions come at once.",
     .sample = "1000",
     .default_text = DefaultBurst,
     .set = SetNumber<&SourceLimits::connections_burst>,
     .get = GetLimit<&SourceLimits::connections_burst>},
    {.section = Section::kSource,
     .key = "handshakes_per_second",
     .type = OptionType::kNumber,
     .unit = "TLS handshakes of one source a second, or 0 for any number",
     .min = 0,
     .max = kMost,
     .doc = "Each costs a CPU a tenth of a millisecond with an ECDSA key, and half a millisecond "
            "or more with RSA. So one source never takes more than a few hundredths of a CPU for "
            "long. The examples above make a third of these. Only handshakes are served last (see "
            "handshakes_burst): sessions and connections cost next to nothing until then.",
     .sample = "50",
     .default_text = DefaultLimit<&SourceLimits::handshakes_per_second>,
     .set = SetNumber<&SourceLimits::handshakes_per_second>,
     .get = GetLimit<&SourceLimits::handshakes_per_second>},
    {.section = Section::kSource,
     .key = "handshakes_burst",
     .type = OptionType::kNumber,
     .unit = "handshakes",
     .min = 1,
     .max = kMost,
     .doc =
         "As for connections. As many again are served last: only when no other source waits for "
         "a handshake, and within the client's deadline. The source has to pay them back, so its "
         "rate stays the same over time. Beyond that the gateway refuses, by a TLS alert.",
     .sample = "1000",
     .default_text = DefaultBurst,
     .set = SetNumber<&SourceLimits::handshakes_burst>,
     .get = GetLimit<&SourceLimits::handshakes_burst>},
    {.section = Section::kSource,
     .key = "failures_per_minute",
     .type = OptionType::kNumber,
     .unit = "failures of one source a minute, or 0 for any number",
     .min = 0,
     .max = kMost,
     .doc = "Handshakes that fail, and dialogues before TLS that end because the client made a "
            "mistake or took too long. A source that has more gets no new connection until enough "
            "of the next minute has passed. 200 clients with a certificate authority that they do "
            "not know try twice a "
            "minute each. A check that connects and leaves, as monitoring does, is no failure.",
     .sample = "600",
     .default_text = DefaultLimit<&SourceLimits::failures_per_minute>,
     .set = SetNumber<&SourceLimits::failures_per_minute>,
     .get = GetLimit<&SourceLimits::failures_per_minute>},
};

}  // namespace

std::span<const Option> SourceRows() { return kRows; }

}  // namespace starling
