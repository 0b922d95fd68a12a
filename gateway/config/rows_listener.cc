#include <iterator>

#include "absl/strings/str_cat.h"
#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"
#include "gateway/config/units.h"
#include "protocols/registry.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kTlsModes[] = {"implicit", "starttls"};
constexpr std::string_view kPolicies[] = {"require", "opportunistic"};
constexpr std::string_view kPlaintextAuth[] = {"refuse", "allow"};
constexpr std::string_view kProxyOthers[] = {"refuse", "direct"};
constexpr std::string_view kPregreets[] = {"count", "refuse"};

std::string DefaultPolicy() {
  return "require; opportunistic for smtp by starttls on port 25 (RFC 3207 section 4)";
}
std::string DefaultHostname() { return "the general hostname"; }
std::string DefaultPlaintextBackend() { return "the same as backend"; }
std::string NoProxyHeader() { return "none: clients connect directly"; }

std::span<const std::string_view> ProtocolNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const ProtocolRow& row : AllProtocols()) all.push_back(row.name);
    return all;
  }();
  return names;
}

std::vector<Complaint> SetProtocol(const OptionTarget& target, const OptionValue& value) {
  target.listener->protocol = &AllProtocols()[value.number];
  return {};
}

std::optional<OptionValue> GetProtocol(const OptionTarget& target) {
  OptionValue value;
  if (target.listener->protocol == nullptr) return std::nullopt;
  value.number = static_cast<uint64_t>(target.listener->protocol - AllProtocols().data());
  return value;
}

// The index of a backend by its name. The reader has read all backends by now.
std::optional<size_t> FindBackend(const Config& config, std::string_view name) {
  for (size_t i = 0; i < config.backends.size(); ++i) {
    if (!name.empty() && config.backends[i].name == name) return i;
  }
  return std::nullopt;
}

Complaint UnknownBackend(const Config& config, std::string_view name) {
  std::vector<std::string_view> names;
  names.reserve(config.backends.size());
  for (const BackendConfig& backend : config.backends) names.push_back(backend.name);
  const std::string_view nearest = Nearest(name, names);
  Complaint complaint{.expected = "the name of a backend"};
  if (!nearest.empty()) complaint.hint = "did you mean \"" + std::string(nearest) + "\"?";
  return complaint;
}

template <auto kMember>
std::vector<Complaint> SetBackend(const OptionTarget& target, const OptionValue& value) {
  const std::optional<size_t> index = FindBackend(*target.config, value.text);
  if (!index) return {UnknownBackend(*target.config, value.text)};
  auto& field = FieldOf<kMember>(target);
  field = static_cast<std::remove_reference_t<decltype(field)>>(*index);
  return {};
}

template <auto kMember>
std::optional<OptionValue> GetBackend(const OptionTarget& target) {
  const int64_t index = FieldOf<kMember>(target);
  if (index < 0 || static_cast<size_t>(index) >= target.config->backends.size()) {
    return std::nullopt;
  }
  OptionValue value;
  value.text = target.config->backends[static_cast<size_t>(index)].name;
  return value;
}

// The index of a role that can stand for load balancers: client is everybody else.
std::optional<SourceRole> FindBalancerRole(std::string_view word) {
  for (size_t i = 0; i < std::size(kSourceRoleWords); ++i) {
    const auto role = static_cast<SourceRole>(i);
    if (kSourceRoleWords[i] == word && role != SourceRole::kClient) return role;
  }
  return std::nullopt;
}

std::vector<Complaint> SetProxyFrom(const OptionTarget& target, const OptionValue& value) {
  ProxyIn& proxy = target.listener->proxy_in;
  std::vector<Complaint> complaints;
  for (size_t i = 0; i < value.list.size(); ++i) {
    const std::string& text = value.list[i];
    if (const std::optional<SourceRole> role = FindBalancerRole(text)) {
      proxy.roles.Add(*role);
    } else if (const absl::StatusOr<Cidr> range = ParseRange(text); range.ok()) {
      proxy.from.push_back(*range);
    } else {
      complaints.push_back(
          {.expected = absl::StrCat(range.status().message(),
                                    ", or a role of sources: balancer, probe, exempt or trusted"),
           .element = i});
    }
  }
  return complaints;
}

std::optional<OptionValue> GetProxyFrom(const OptionTarget& target) {
  const ProxyIn& proxy = target.listener->proxy_in;
  OptionValue value;
  for (size_t i = 0; i < std::size(kSourceRoleWords); ++i) {
    if (proxy.roles.Has(static_cast<SourceRole>(i))) {
      value.list.emplace_back(kSourceRoleWords[i]);
    }
  }
  for (const Cidr& network : proxy.from) value.list.push_back(network.ToString());
  if (value.list.empty()) return std::nullopt;
  return value;
}

constexpr Option kRows[] = {
    {.section = Section::kListener,
     .key = "name",
     .type = OptionType::kText,
     .unit = "a name",
     .required = true,
     .doc = "The name in logs and metrics. A listener that keeps its name keeps its counters over "
            "reloads.",
     .sample = "mx",
     .set = SetText<&ListenerConfig::name, CheckName>,
     .get = GetText<&ListenerConfig::name>},
    {.section = Section::kListener,
     .key = "protocol",
     .type = OptionType::kChoice,
     .late_choices = ProtocolNames,
     .required = true,
     .doc = "The protocol that clients speak. tcp stands for any protocol; the gateway passes it "
            "on unread.",
     .sample = "smtp",
     .set = SetProtocol,
     .get = GetProtocol},
    {.section = Section::kListener,
     .key = "bind",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ports",
     .min = 1,
     .max = kMaxBinds,
     .required = true,
     .doc = "Addresses and ports to listen on. [::] covers IPv6 only, so add 0.0.0.0 for IPv4.",
     .sample = "[\"0.0.0.0:25\", \"[::]:25\"]",
     .set = SetList<&ListenerConfig::bind, ParseBind>,
     .get = GetList<&ListenerConfig::bind>},
    {.section = Section::kListener,
     .key = "tls",
     .type = OptionType::kChoice,
     .choices = kTlsModes,
     .required = true,
     .doc = "implicit: clients begin with TLS (ports 993, 465 ...). starttls: clients begin in "
            "plaintext and upgrade by the protocol's own command.",
     .sample = "starttls",
     .set = SetNumber<&ListenerConfig::tls>,
     .get = GetNumber<&ListenerConfig::tls>},
    {.section = Section::kListener,
     .key = "policy",
     .type = OptionType::kChoice,
     .choices = kPolicies,
     .doc =
         "For starttls. require: before TLS only the gateway answers, and the backend does not "
         "learn of the client. opportunistic: clients may also go on in plaintext, which a public "
         "MX must allow. Even then the gateway refuses plaintext log-ins (plaintext_auth).",
     .sample = "opportunistic",
     .default_text = DefaultPolicy,
     .set = SetNumber<&DialogueOptions::policy>,
     .get = GetNumber<&DialogueOptions::policy>},
    {.section = Section::kListener,
     .key = "backend",
     .type = OptionType::kText,
     .unit = "the name of a backend",
     .required = true,
     .doc = "The backend that serves the sessions with TLS. For each of them the gateway opens a "
            "new connection after the handshake.",
     .sample = "postfix",
     .set = SetBackend<&ListenerConfig::backend>,
     .get = GetBackend<&ListenerConfig::backend>},
    {.section = Section::kListener,
     .key = "plaintext_backend",
     .type = OptionType::kText,
     .unit = "the name of a backend",
     .doc = "For opportunistic: the backend that serves the sessions without TLS. Postfix can tell "
            "sessions with and without TLS apart only if they reach it at different services.",
     .sample = "postfix-plain",
     .default_text = DefaultPlaintextBackend,
     .set = SetBackend<&ListenerConfig::plaintext_backend>,
     .get = GetBackend<&ListenerConfig::plaintext_backend>},
    {.section = Section::kListener,
     .key = "hostname",
     .type = OptionType::kText,
     .unit = "a host name",
     .doc = "The host name in this listener's greetings and refusals.",
     .sample = "mx1.example.org",
     .off = true,
     .default_text = DefaultHostname,
     .set = SetText<&DialogueOptions::hostname, CheckHostname>,
     .get = GetText<&DialogueOptions::hostname>},
    {.section = Section::kListener,
     .key = "plaintext_auth",
     .type = OptionType::kChoice,
     .choices = kPlaintextAuth,
     .doc = "For opportunistic: what the gateway does with log-ins in plaintext. The backend would "
            "accept them, because it cannot see whether the client uses TLS. So the gateway "
            "refuses them by default.",
     .set = SetNumber<&DialogueOptions::plaintext_auth>,
     .get = GetNumber<&DialogueOptions::plaintext_auth>},
    {.section = Section::kListener,
     .key = "accept_bare_lf",
     .type = OptionType::kFlag,
     .doc = "For starttls: accepts lines before TLS that end in a bare LF, as some probes send "
            "them. The gateway always passes lines on with CRLF.",
     .set = SetNumber<&DialogueOptions::accept_bare_lf>,
     .get = GetNumber<&DialogueOptions::accept_bare_lf>},
    {.section = Section::kListener,
     .key = "greeting_delay",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 300'000,
     .doc = "For starttls, in protocols whose servers greet: how long the gateway holds its "
            "greeting back, to see whether the client waits for it. Programs that only send spam "
            "often do not. Postfix's postscreen has the same test, with 6s. For the time of "
            "pregreet_memory, the gateway greets a source that has waited at once. Sources with a "
            "role other than client, such as loopback, never wait. 0s: off.",
     .sample = "6s",
     .off = true,
     .set = SetNumber<&ListenerConfig::greeting_delay_ms>,
     .get = GetNumber<&ListenerConfig::greeting_delay_ms>},
    {.section = Section::kListener,
     .key = "pregreet",
     .type = OptionType::kChoice,
     .choices = kPregreets,
     .doc = "What becomes of clients that speak before a delayed greeting. count: a line in the "
            "log; the gateway greets when the time is over, and reads what they have said. refuse: "
            "it turns them away in their protocol (SMTP: 521). Both count in "
            "starling_greeting_delays_total.",
     .sample = "refuse",
     .off = true,
     .set = SetNumber<&ListenerConfig::pregreet>,
     .get = GetNumber<&ListenerConfig::pregreet>},
    {.section = Section::kListener,
     .key = "proxy_protocol",
     .type = OptionType::kSection,
     .child = Section::kListenerProxy,
     .doc = "For a listener behind a load balancer. A connection from one of these addresses and "
            "ranges begins with a PROXY header of version 1 or 2, and the gateway believes the "
            "client address in it. others decides about connections from anywhere else. "
            "starling_client_connections_total counts clients by how they came.",
     .sample = "{from: [balancer, \"192.0.2.0/24\", \"2001:db8::/32\"], others: direct}",
     .off = true,
     .default_text = NoProxyHeader},
    {.section = Section::kListener,
     .key = "tls_options",
     .type = OptionType::kSection,
     .child = Section::kTls,
     .doc = "Overrides single options of the general section tls. A list of certificates replaces "
            "the whole general list.",
     .sample = "{preset: modern, sni: strict}",
     .off = true},
    {.section = Section::kListener,
     .key = "limits",
     .type = OptionType::kSection,
     .child = Section::kLimits,
     .doc = "Overrides general limits. The section limits below says which ones a listener may "
            "override.",
     .sample = "{handshake: 30s, idle: 1h}",
     .off = true},
    {.section = Section::kListenerProxy,
     .key = "from",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ranges, and roles of sources",
     .min = 1,
     .max = kMaxProxyRanges,
     .required = true,
     .doc = "Addresses and ranges of the load balancers whose PROXY headers the gateway believes. "
            "A role, such as balancer, stands for all networks to which sources gives that role.",
     .set = SetProxyFrom,
     .get = GetProxyFrom},
    {.section = Section::kListenerProxy,
     .key = "others",
     .type = OptionType::kChoice,
     .choices = kProxyOthers,
     .doc = "Connections from other addresses. refuse: the gateway closes them. direct: it serves "
            "them as clients that connect directly. It never reads a PROXY header of theirs: such "
            "octets are only bad input.",
     .set = SetNumber<&ProxyIn::others>,
     .get = GetNumber<&ProxyIn::others>},
};

}  // namespace

std::span<const Option> ListenerRows() { return kRows; }

}  // namespace starling
