#include "gateway/config/rules.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "gateway/config/options.h"
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

// A listener's own preset speaks for the version that it does not set itself.
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
  constexpr std::string_view kForms = "{cert: FILE, key: FILE}, {pem: FILE} or {folder: FOLDER}";
  if (forms > 1) {
    report.Error(marks.at, "a certificate entry that names several forms", kForms);
  } else if (forms == 0) {
    report.Error(marks.at, "a certificate entry that names no file or folder", kForms);
  } else if (pair && (entry.cert.empty() || entry.key.empty())) {
    const std::string missing = entry.cert.empty() ? "cert" : "key";
    report.Error(marks.at, "a certificate entry without " + missing, missing + ": FILE");
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
    report.Error(client->at, "a client_certificate without ca",
                 "ca: the file of the accepted authorities");
  }
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
    if (!marks.Has("policy") && IsPublic(listener)) {
      listener.dialogue.policy = Policy::kOpportunistic;
    }
  }
  FillInTls(draft, marks.Child("tls_options"), listener.tls_options);
  listener.dialogue.max_line = listener.limits.max_line;
  listener.dialogue.max_commands = listener.limits.max_commands;
}

// A section of one protocol has no meaning for another.
void CheckSections(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (listener.protocol == nullptr) return;
  for (const Option* option : OptionsOf(Section::kListener)) {
    const ReadMarks* child = marks.Child(option->key);
    if (child == nullptr || IsSectionOf(option->child, listener.protocol->name)) continue;
    report.Error(child->at, "the section " + std::string(option->key),
                 "no such section for protocol " + std::string(listener.protocol->name));
  }
}

void CheckListener(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (!marks.Has("protocol") || !marks.Has("tls")) return;
  const ProtocolRow& protocol = *listener.protocol;
  const bool opportunistic = listener.dialogue.policy == Policy::kOpportunistic;
  if (listener.tls == TlsMode::kStartTls && !protocol.has_starttls) {
    report.Error(marks.MarkOf("tls"), "\"starttls\" for tls",
                 "implicit: " + std::string(protocol.name) + " has no upgrade command");
  } else if (opportunistic && listener.tls == TlsMode::kImplicit) {
    report.Error(marks.MarkOf("policy"), "\"opportunistic\" for policy",
                 "require: with implicit TLS there is no plaintext");
  } else if (opportunistic && !protocol.opportunistic) {
    report.Error(marks.MarkOf("policy"), "\"opportunistic\" for policy",
                 "require: opportunistic is supported for " + OpportunisticProtocols() + " only");
  }
  const ReadMarks* smtp = marks.Child("smtp");
  if (smtp != nullptr && listener.tls_options.cbc_ciphers && !opportunistic) {
    report.Error(smtp->MarkOf("cbc_ciphers"), "\"true\" for cbc_ciphers",
                 "false: it is only for tls: starttls with policy: opportunistic",
                 "elsewhere no client would go on in plaintext");
  }
  if (marks.Has("plaintext_backend") && !opportunistic) {
    report.Error(marks.MarkOf("plaintext_backend"), "a plaintext_backend",
                 "policy: opportunistic, or no plaintext_backend",
                 "with policy: require no session is in plaintext");
  }
}

// Reported where it was set: in the listener, or for all of them.
void CheckPreRelay(const Draft& draft, const ReadMarks& marks, const ListenerConfig& listener,
                   Report& report) {
  if (listener.limits.pre_relay_total_ms >= listener.limits.pre_relay_ms) return;
  const ReadMarks* own = marks.Child("limits");
  const ReadMarks* general = draft.marks.Child("limits");
  const bool is_own = own != nullptr && (own->Has("pre_relay_total") || own->Has("pre_relay"));
  const ReadMarks* limits = is_own ? own : general;
  if (limits == nullptr || limits->damaged) return;
  report.Error(limits->MarkOf(limits->Has("pre_relay_total") ? "pre_relay_total" : "pre_relay"),
               "a pre_relay_total that is shorter than pre_relay",
               "pre_relay_total: at least pre_relay",
               "a client that gives commands would have less time than one that gives none");
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
    report.Error(mark, Quote(elements[i].name) + " again",
                 "a name for each " + std::string(what) + " of its own",
                 "the first is in line " + std::to_string(first->second));
  }
}

// Addresses as they are written canonically, so that [::0]:25 is [::]:25.
void CheckBinds(const Draft& draft, Report& report) {
  std::map<std::string, int> lines;
  const auto check = [&](const SocketAddress& address, YamlMark mark) {
    const std::string text = address.ToString();
    const auto [first, unique] = lines.emplace(text, mark.line);
    if (unique) return;
    report.Error(mark, Quote(text) + " again", "an address that is not in use yet",
                 "the first is in line " + std::to_string(first->second));
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

// With a full session table each listening socket still takes one client at a time,
// to tell it so, and that takes a slot of the refusals.
void CheckRefusals(const Draft& draft, Report& report) {
  size_t sockets = 0;
  for (const ListenerConfig& listener : draft.config.listeners) sockets += listener.bind.size();
  if (draft.config.limits.refusals >= sockets) return;
  const ReadMarks* limits = draft.marks.Child("limits");
  const bool set = limits != nullptr && limits->Has("refusals");
  report.Error(set ? limits->MarkOf("refusals") : draft.marks.MarkOf("listeners"),
               std::to_string(draft.config.limits.refusals) + " for refusals",
               std::to_string(sockets) + " at least, one for each address of the listeners");
}

// Each has series of its own in the metrics of every worker. The place is that of the
// backend with which there are too many.
void CheckServerCount(const Draft& draft, Report& report) {
  const std::vector<ReadMarks>& marks = draft.marks.List("backends");
  size_t servers = 0;
  YamlMark at;
  for (size_t i = 0; i < draft.config.backends.size(); ++i) {
    const bool fits = servers <= kMaxServersInAll;
    servers += draft.config.backends[i].servers.size();
    if (fits && servers > kMaxServersInAll) at = marks[i].MarkOf("servers");
  }
  if (servers <= kMaxServersInAll) return;
  report.Error(at, std::to_string(servers) + " servers of all backends",
               std::to_string(kMaxServersInAll) + " at most");
}

// Both count from the signal on.
void CheckDrain(const Draft& draft, Report& report) {
  const GlobalLimits& limits = draft.config.limits;
  if (limits.drain_ms >= limits.drain_delay_ms) return;
  const ReadMarks& marks = *draft.marks.Child("limits");  // the defaults are in order
  if (marks.damaged) return;
  report.Error(marks.MarkOf(marks.Has("drain") ? "drain" : "drain_delay"),
               "a drain that is over before its drain_delay", "drain: at least drain_delay",
               "sessions would be ended while clients are still accepted");
}

void CheckServers(const ReadMarks& marks, const BackendConfig& backend, Report& report) {
  const ReadMarks* tls = marks.Child("tls");
  if (tls != nullptr && backend.tls.verify && !tls->Has("name")) {
    report.Error(tls->at, "tls without name",
                 "name: the host name that the servers' certificates are for",
                 "verify: none would take everybody for the server");
  }
  for (size_t i = 0; i < backend.servers.size(); ++i) {
    if (backend.servers[i].is_local() || backend.allow_plaintext_network || backend.tls.enabled) {
      continue;
    }
    report.Error(marks.MarkOf("servers", i), Quote(backend.servers[i].ToString()),
                 "a Unix socket or an address on loopback",
                 "anywhere else what clients have encrypted crosses a network in plaintext, unless "
                 "the backend has tls or says allow_plaintext_network: true");
  }
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
  const bool failed = report.failed();  // what is missing may be what could not be read
  if (draft.marks.Has("group") && config.user.empty()) {
    report.Error(draft.marks.MarkOf("group"), "a group without a user", "user: beside it");
  }
  const std::vector<ReadMarks>& listeners = draft.marks.List("listeners");
  const std::vector<ReadMarks>& backends = draft.marks.List("backends");
  FillInTls(draft, draft.marks.Child("tls"), config.tls);
  if (const ReadMarks* tls = draft.marks.Child("tls")) CheckTls(*tls, config.tls, report);
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    FillIn(draft, listeners[i], config.listeners[i]);
    CheckListener(listeners[i], config.listeners[i], report);
    CheckSections(listeners[i], config.listeners[i], report);
    CheckPreRelay(draft, listeners[i], config.listeners[i], report);
    const ReadMarks* own = listeners[i].Child("tls_options");
    if (own != nullptr) CheckTls(*own, config.listeners[i].tls_options, report);
    if (config.listeners[i].tls_options.certificates.empty() && !failed) {
      report.Error(own != nullptr ? own->at : listeners[i].at, "a listener without certificates",
                   "certificates: in the section tls, or in the listener's tls_options");
    }
  }
  for (size_t i = 0; i < config.backends.size(); ++i) {
    CheckServers(backends[i], config.backends[i], report);
  }
  CheckNames(config.listeners, listeners, "listener", report);
  CheckNames(config.backends, backends, "backend", report);
  CheckBinds(draft, report);
  CheckRefusals(draft, report);
  CheckServerCount(draft, report);
  CheckDrain(draft, report);
}

}  // namespace starling
