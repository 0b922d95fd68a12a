#include "gateway/config/rules.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "gateway/config/options.h"
#include "gateway/config/source_defaults.h"
#include "protocols/registry.h"

namespace starling {
namespace {

// "smtp, lmtp ...": the protocols whose rows support the policy.
std::string OpportunisticProtocols() {
  std::string names;
  for (const ProtocolRow& row : AllProtocols()) {
    if (!row.opportunistic) continue;
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

// If a listener sets a preset but no version, the preset decides the version.
void FillInTls(const Draft& draft, const ReadMarks* own, TlsOptions& tls) {
  const ReadMarks* general = draft.marks.Child("tls");
  const auto has = [](const ReadMarks* marks, std::string_view key) {
    return marks != nullptr && marks->Has(key);
  };
  if (has(own, "min_version")) return;
  if (!has(own, "preset") && has(general, "min_version")) return;
  tls.min_version = tls.preset == TlsPreset::kModern ? MinVersion::kTls13 : MinVersion::kTls12;
}

void CheckCertificate(const ReadMarks& marks, const CertificateEntry& entry, Report& report) {
  if (marks.damaged) return;
  const bool pair = marks.Has("cert") || marks.Has("key") || marks.Has("ocsp");
  const int forms = (pair ? 1 : 0) + (marks.Has("pem") ? 1 : 0) + (marks.Has("folder") ? 1 : 0);
  const std::string known_forms = "{cert: FILE, key: FILE}, {pem: FILE} or {folder: FOLDER}";
  if (forms > 1) {
    report.Error(marks.at, "the certificate entry mixes several forms; use " + known_forms);
  } else if (forms == 0) {
    report.Error(marks.at, "the certificate entry names no file or folder; use " + known_forms);
  } else if (pair && (entry.cert.empty() || entry.key.empty())) {
    const std::string missing = entry.cert.empty() ? "cert" : "key";
    report.Error(marks.at,
                 "the certificate entry has no " + missing + "; add " + missing + ": FILE");
  }
}

void CheckTls(const ReadMarks& marks, const TlsOptions& tls, Report& report) {
  const std::vector<ReadMarks>& certificates = marks.List("certificates");
  for (size_t i = 0; i < certificates.size(); ++i) {
    CheckCertificate(certificates[i], tls.certificates[i], report);
  }
  const ReadMarks* client = marks.Child("client_certificate");
  if (client == nullptr) return;
  if (tls.client_certificate.mode != ClientCertificateMode::kNone &&
      tls.client_certificate.ca.empty()) {
    report.Error(client->at,
                 "client_certificate has no ca; add ca: the file or folder of the authorities to "
                 "accept");
  }
}

// Enough for a port to stay in use, and too few to be missed by the others.
uint32_t DefaultReservation(const Config& config) {
  return config.limits.sessions / 8 / static_cast<uint32_t>(config.listeners.size());
}

void FillIn(const Draft& draft, const ReadMarks& marks, ListenerConfig& listener) {
  const ReadMarks* limits = marks.Child("limits");
  const ReadMarks* general = draft.marks.Child("limits");
  const auto is_set = [&](std::string_view key) {
    return (limits != nullptr && limits->Has(key)) || (general != nullptr && general->Has(key));
  };
  if (listener.protocol != nullptr) {
    const ProtocolRow& protocol = *listener.protocol;
    ListenerLimits& own = listener.limits;
    if (!is_set("idle")) own.idle_ms = protocol.idle_seconds * 1'000;
    if (!is_set("pre_relay_silence")) own.pre_relay_silence_ms = protocol.silence_seconds * 1'000;
    if (!is_set("pre_relay_total")) {
      own.pre_relay_total_ms = std::max(own.pre_relay_ms, protocol.before_relay_seconds * 1'000);
    }
    if (!is_set("reserved_sessions")) {
      const uint32_t few = DefaultReservation(draft.config);
      own.reserved_sessions = own.most_sessions == 0 ? few : std::min(few, own.most_sessions);
    }
    if (!marks.Has("policy") && IsPublic(listener)) {
      listener.dialogue.policy = Policy::kOpportunistic;
    }
  }
  FillInTls(draft, marks.Child("tls_options"), listener.tls_options);
  listener.dialogue.max_line = listener.limits.max_line;
  listener.dialogue.max_commands = listener.limits.max_commands;
}

// A protocol's section has no meaning in a listener of another protocol.
void CheckSections(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (listener.protocol == nullptr) return;
  for (const Option* option : OptionsOf(Section::kListener)) {
    const ReadMarks* child = marks.Child(option->key);
    if (child == nullptr || IsSectionOf(option->child, listener.protocol->name)) continue;
    report.Error(child->at, "a listener with protocol " + std::string(listener.protocol->name) +
                                " cannot have a section " + std::string(option->key) +
                                "; remove it");
  }
}

// A role that no source has would keep everybody out, or make clients of the load balancers.
void CheckProxyRoles(const Config& config, const ReadMarks& marks, const ListenerConfig& listener,
                     Report& report) {
  const ReadMarks* proxy = marks.Child("proxy_protocol");
  if (proxy == nullptr) return;
  for (size_t i = 0; i < std::size(kSourceRoleWords); ++i) {
    const auto role = static_cast<SourceRole>(i);
    const auto has_role = [&](const SourceRow& row) { return row.role == role; };
    // Loopback is trusted without a row.
    if (!listener.proxy_in.roles.Has(role) || role == SourceRole::kTrusted ||
        std::ranges::any_of(config.sources, has_role) ||
        std::ranges::any_of(listener.sources, has_role)) {
      continue;
    }
    report.Error(proxy->MarkOf("from"), "from names the role " + std::string(kSourceRoleWords[i]) +
                                            ", which no row of sources has; add such a row, or "
                                            "name the addresses here");
  }
}

// What a row does not say depends on its role.
void FillInSources(const Config& config, const std::vector<ReadMarks>& marks,
                   std::vector<SourceRow>& rows, Report& report) {
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const Option* option : OptionsOf(Section::kSource)) {
      if (option->type != OptionType::kNumber) continue;
      if (marks[i].Has(option->key)) {
        if (HasLimits(rows[i].role)) continue;
        report.Error(marks[i].MarkOf(option->key), "a limit for sources that have none",
                     "no " + std::string(option->key) + ", or role: client or trusted");
      }
    }
    SourceLimits& limits = rows[i].limits;
    const SourceLimits given = limits;
    limits = rows[i].role == SourceRole::kTrusted ? kNoSourceLimits : ClientLimits(config);
    const auto take = [&](std::string_view key, uint32_t SourceLimits::* field) {
      if (marks[i].Has(key)) limits.*field = given.*field;
    };
    take("sessions", &SourceLimits::sessions);
    take("connections_per_second", &SourceLimits::connections_per_second);
    take("connections_burst", &SourceLimits::connections_burst);
    take("handshakes_per_second", &SourceLimits::handshakes_per_second);
    take("handshakes_burst", &SourceLimits::handshakes_burst);
    take("failures_per_minute", &SourceLimits::failures_per_minute);
  }
}

void CheckListener(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (!marks.Has("protocol") || !marks.Has("tls")) return;
  const ProtocolRow& protocol = *listener.protocol;
  const bool opportunistic = listener.dialogue.policy == Policy::kOpportunistic;
  if (listener.tls == TlsMode::kStartTls && !protocol.has_starttls) {
    report.Error(marks.MarkOf("tls"),
                 std::string(protocol.name) + " has no upgrade command; use tls: implicit");
  } else if (opportunistic && listener.tls == TlsMode::kImplicit) {
    report.Error(marks.MarkOf("policy"),
                 "policy: opportunistic has no meaning with tls: implicit, where no client speaks "
                 "plaintext; use policy: require");
  } else if (opportunistic && !protocol.opportunistic) {
    report.Error(marks.MarkOf("policy"), std::string(protocol.name) +
                                             " does not support policy: opportunistic, only " +
                                             OpportunisticProtocols() + " do; use policy: require");
  }
  const ReadMarks* smtp = marks.Child("smtp");
  if (smtp != nullptr && listener.tls_options.cbc_ciphers && !opportunistic) {
    report.Error(smtp->MarkOf("cbc_ciphers"),
                 "cbc_ciphers: true needs tls: starttls and policy: opportunistic; elsewhere no "
                 "client would fall back to plaintext, so set it to false");
  }
  if (marks.Has("plaintext_backend") && !opportunistic) {
    report.Error(marks.MarkOf("plaintext_backend"),
                 "with policy: require no session is in plaintext; remove plaintext_backend, or "
                 "set policy: opportunistic");
  }
}

void CheckGreetingDelay(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (listener.greeting_delay_ms == 0 || !marks.Has("protocol") || !marks.Has("tls")) return;
  const YamlMark mark = marks.MarkOf("greeting_delay");
  if (listener.tls == TlsMode::kImplicit) {
    report.Error(mark,
                 "greeting_delay has no meaning with tls: implicit, where clients speak first; "
                 "remove it");
  } else if (!listener.protocol->server_first) {
    report.Error(mark, "greeting_delay has no meaning for " + std::string(listener.protocol->name) +
                           ", whose clients speak first; remove it");
  } else if (listener.greeting_delay_ms >= listener.limits.pre_relay_ms) {
    report.Error(mark,
                 "greeting_delay is not shorter than pre_relay, so the gateway would end "
                 "clients that wait; make it shorter");
  }
}

// The error names the place that set the value: the listener's limits, or the general ones.
void CheckPreRelay(const Draft& draft, const ReadMarks& marks, const ListenerConfig& listener,
                   Report& report) {
  if (listener.limits.pre_relay_total_ms >= listener.limits.pre_relay_ms) return;
  const ReadMarks* own = marks.Child("limits");
  const ReadMarks* general = draft.marks.Child("limits");
  const bool is_own = own != nullptr && (own->Has("pre_relay_total") || own->Has("pre_relay"));
  const ReadMarks* limits = is_own ? own : general;
  if (limits == nullptr || limits->damaged) return;
  report.Error(limits->MarkOf(limits->Has("pre_relay_total") ? "pre_relay_total" : "pre_relay"),
               "pre_relay_total is shorter than pre_relay, so clients that give commands would "
               "have less time than clients that give none; make it at least as long");
}

template <class Element>
void CheckNames(const std::vector<Element>& elements, const std::vector<ReadMarks>& marks,
                std::string_view what, Report& report) {
  std::map<std::string_view, int> lines;
  for (size_t i = 0; i < elements.size(); ++i) {
    if (!marks[i].Has("name")) continue;
    const YamlMark mark = marks[i].MarkOf("name");
    const auto [first, unique] = lines.emplace(elements[i].name, mark.line);
    if (unique) continue;
    report.Error(mark, Quote(elements[i].name) + " already names the " + std::string(what) +
                           " on line " + std::to_string(first->second) + "; choose another name");
  }
}

// Compares addresses in their canonical form, so that [::0]:25 equals [::]:25.
void CheckBinds(const Draft& draft, Report& report) {
  std::map<std::string, int> lines;
  const auto check = [&](const SocketAddress& address, YamlMark mark) {
    const std::string text = address.ToString();
    const auto [first, unique] = lines.emplace(text, mark.line);
    if (unique) return;
    report.Error(mark, Quote(text) + " is already used on line " + std::to_string(first->second) +
                           "; choose another address");
  };
  const std::vector<ReadMarks>& marks = draft.marks.List("listeners");
  for (size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const std::vector<SocketAddress>& binds = draft.config.listeners[i].bind;
    for (size_t j = 0; j < binds.size(); ++j) check(binds[j], marks[i].MarkOf("bind", j));
  }
  const ReadMarks* metrics = draft.marks.Child("metrics");
  if (metrics != nullptr && metrics->Has("bind")) {
    check(draft.config.metrics_bind, metrics->MarkOf("bind"));
  }
}

// When the session table is full, each listening socket still accepts one client at a
// time, to tell it so. Each such client takes a slot of the refusals.
void CheckRefusals(const Draft& draft, Report& report) {
  size_t sockets = 0;
  for (const ListenerConfig& listener : draft.config.listeners) sockets += listener.bind.size();
  if (draft.config.limits.refusals >= sockets) return;
  const ReadMarks* limits = draft.marks.Child("limits");
  const bool set = limits != nullptr && limits->Has("refusals");
  report.Error(set ? limits->MarkOf("refusals") : draft.marks.MarkOf("listeners"),
               "refusals is " + std::to_string(draft.config.limits.refusals) +
                   ", but the listeners have " + std::to_string(sockets) +
                   " addresses, and each needs one; make it at least " + std::to_string(sockets));
}

// The error names the listener whose reservation exceeds the table, or that has less in all than is
// reserved for it.
void CheckReservations(const Draft& draft, Report& report) {
  const std::vector<ReadMarks>& marks = draft.marks.List("listeners");
  const ReadMarks* general = draft.marks.Child("limits");
  const uint64_t sessions = draft.config.limits.sessions;
  uint64_t reserved = 0;
  for (size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const ListenerLimits& limits = draft.config.listeners[i].limits;
    const ReadMarks* own = marks[i].Child("limits");
    const auto mark = [&](std::string_view key) {
      if (own != nullptr && own->Has(key)) return own->MarkOf(key);
      return general != nullptr && general->Has(key) ? general->MarkOf(key) : marks[i].at;
    };
    const bool fitted = reserved <= sessions;
    reserved += limits.reserved_sessions;
    if (fitted && reserved > sessions) {
      report.Error(mark("reserved_sessions"),
                   "up to this listener, " + std::to_string(reserved) +
                       " sessions are reserved, but a worker has only " + std::to_string(sessions) +
                       " (limits.sessions); reserve fewer, or raise that limit");
    }
    if (limits.most_sessions != 0 && limits.most_sessions < limits.reserved_sessions) {
      report.Error(mark("most_sessions"),
                   "most_sessions is " + std::to_string(limits.most_sessions) + ", but " +
                       std::to_string(limits.reserved_sessions) +
                       " sessions are reserved for the listener; raise it, or reserve fewer");
    }
  }
}

// Each server has its own series in the metrics of every worker. The error names the
// backend that exceeds the limit.
void CheckServerCount(const Draft& draft, Report& report) {
  const std::vector<ReadMarks>& marks = draft.marks.List("backends");
  size_t servers = 0;
  YamlMark at;
  for (size_t i = 0; i < draft.config.backends.size(); ++i) {
    const bool fits = servers <= kMaxServersInAll;
    servers += draft.config.backends[i].servers.size();
    const std::vector<ReadMarks>& own = marks[i].List("servers");
    if (fits && servers > kMaxServersInAll && !own.empty()) at = own.front().at;
  }
  if (servers <= kMaxServersInAll) return;
  report.Error(at, "all backends together have " + std::to_string(servers) + " servers; at most " +
                       std::to_string(kMaxServersInAll) + " are allowed");
}

// Both times begin with the signal.
void CheckDrain(const Draft& draft, Report& report) {
  const GlobalLimits& limits = draft.config.limits;
  if (limits.drain_ms >= limits.drain_delay_ms) return;
  const ReadMarks& marks = *draft.marks.Child("limits");  // the defaults are in order
  if (marks.damaged) return;
  report.Error(marks.MarkOf(marks.Has("drain") ? "drain" : "drain_delay"),
               "drain is shorter than drain_delay, so the gateway would end sessions while it "
               "still accepts clients; make it at least as long");
}

// A session tries each server once, and metrics have one series for each.
void CheckServerOnce(const BackendConfig& backend, size_t index, const ReadMarks& marks,
                     Report& report) {
  const std::string server = backend.servers[index].ToString();
  for (size_t i = 0; i < index; ++i) {
    if (backend.servers[i].ToString() != server) continue;
    report.Error(marks.MarkOf("address"), Quote(server) + " is in the list twice; remove one");
    return;
  }
}

void CheckServers(const ReadMarks& marks, const BackendConfig& backend, Report& report) {
  const ReadMarks* tls = marks.Child("tls");
  const bool all_named = std::ranges::all_of(
      backend.servers, [](const ServerConfig& server) { return server.is_named(); });
  if (tls != nullptr && backend.tls.verify && !tls->Has("name") && !all_named) {
    report.Error(tls->at,
                 "tls has no name; add name: the host name in the servers' certificates (verify: "
                 "none would accept anybody as the server)");
  }
  const std::vector<ReadMarks>& servers = marks.List("servers");
  for (size_t i = 0; i < backend.servers.size(); ++i) {
    if (servers[i].damaged) continue;
    CheckServerOnce(backend, i, servers[i], report);
    // What a name resolves to is checked each time.
    const ServerConfig& server = backend.servers[i];
    if (server.is_named() || MayReach(backend, server.address)) continue;
    report.Error(servers[i].at,
                 Quote(server.ToString()) +
                     " is neither a Unix socket nor on loopback, so the clients' data would cross "
                     "a network in plaintext; give the backend tls, or list the network in "
                     "allow_plaintext_network if it is safe");
  }
}

void CheckResolve(const Draft& draft, Report& report) {
  const ResolveOptions& resolve = draft.config.resolve;
  if (resolve.min_ms <= resolve.max_ms) return;
  const ReadMarks& marks = *draft.marks.Child("resolve");  // the defaults are in order
  if (marks.damaged) return;
  report.Error(marks.MarkOf(marks.Has("max") ? "max" : "min"),
               "max is shorter than min; make it at least as long");
}

}  // namespace

bool IsPublic(const ListenerConfig& listener) {
  const uint16_t port = listener.protocol->public_port.number;
  return port != 0 && listener.tls == TlsMode::kStartTls &&
         std::ranges::any_of(listener.bind, [&](const SocketAddress& address) {
           return address.endpoint().port == port;
         });
}

void ApplyRules(Draft& draft, Report& report) {
  Config& config = draft.config;
  const bool failed = report.failed();  // a missing value may be one with an error of its own
  if (draft.marks.Has("group") && config.user.empty()) {
    report.Error(draft.marks.MarkOf("group"), "group needs a user; add user: the name of a user");
  }
  const std::vector<ReadMarks>& listeners = draft.marks.List("listeners");
  const std::vector<ReadMarks>& backends = draft.marks.List("backends");
  FillInTls(draft, draft.marks.Child("tls"), config.tls);
  if (const ReadMarks* tls = draft.marks.Child("tls")) CheckTls(*tls, config.tls, report);
  FillInSources(config, draft.marks.List("sources"), config.sources, report);
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    FillInSources(config, listeners[i].List("sources"), config.listeners[i].sources, report);
    FillIn(draft, listeners[i], config.listeners[i]);
    CheckListener(listeners[i], config.listeners[i], report);
    CheckSections(listeners[i], config.listeners[i], report);
    CheckProxyRoles(config, listeners[i], config.listeners[i], report);
    CheckGreetingDelay(listeners[i], config.listeners[i], report);
    CheckPreRelay(draft, listeners[i], config.listeners[i], report);
    const ReadMarks* own = listeners[i].Child("tls_options");
    if (own != nullptr) CheckTls(*own, config.listeners[i].tls_options, report);
    if (config.listeners[i].tls_options.certificates.empty() && !failed) {
      report.Error(own != nullptr ? own->at : listeners[i].at,
                   "the listener has no certificates; add certificates to the section tls or to "
                   "the listener's tls_options");
    }
  }
  for (size_t i = 0; i < config.backends.size(); ++i) {
    CheckServers(backends[i], config.backends[i], report);
  }
  CheckNames(config.listeners, listeners, "listener", report);
  CheckNames(config.backends, backends, "backend", report);
  CheckBinds(draft, report);
  CheckRefusals(draft, report);
  CheckReservations(draft, report);
  CheckServerCount(draft, report);
  CheckResolve(draft, report);
  CheckDrain(draft, report);
}

}  // namespace starling
