#include "gateway/check_report.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/fitting.h"
#include "gateway/io/buffer_pool.h"
#include "gateway/server_names.h"

namespace starling {
namespace {

// A folder may hold thousands: a person reads the first ones.
constexpr size_t kMostCertificates = 50;
constexpr size_t kWidestCell = 60;

using Row = std::vector<std::string>;

std::string Cut(const std::string& text) {
  return text.size() <= kWidestCell ? text : text.substr(0, kWidestCell - 3) + "...";
}

// Columns as wide as their widest cell.
void AppendTable(std::string& out, const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line = "  ";
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
}

std::string Date(int64_t unix_seconds) {
  const auto time = static_cast<time_t>(unix_seconds);
  tm parts = {};
  char text[32] = "";
  if (gmtime_r(&time, &parts) != nullptr) strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

std::string Expiry(const CertificateInfo& info, int64_t now) {
  const int64_t days = (info.not_after - now) / 86'400;
  if (now > info.not_after) return absl::StrCat(Date(info.not_after), " (expired)");
  return absl::StrCat(Date(info.not_after), " (", days, " days)");
}

std::string OcspText(const CertificateInfo& info) {
  switch (info.ocsp) {
    case CertificateInfo::Ocsp::kNone:
      return "none";
    case CertificateInfo::Ocsp::kGood:
      return info.ocsp_next_update == 0 ? "good"
                                        : absl::StrCat("good until ", Date(info.ocsp_next_update));
    case CertificateInfo::Ocsp::kStale:
      return "stale, not sent";
    case CertificateInfo::Ocsp::kRevoked:
      return "REVOKED";
  }
  return "";
}

std::string PolicyText(const TlsOptions& options) {
  std::string text = options.min_version == MinVersion::kTls13 ? "TLS 1.3" : "TLS 1.2 and 1.3";
  const auto add = [&](std::string_view name, const std::vector<std::string>& words) {
    if (!words.empty()) {
      absl::StrAppend(&text, ", ", std::string(name), " ", absl::StrJoin(words, " "));
    }
  };
  add("ciphers", options.ciphers);
  if (options.cbc_ciphers) text += ", CBC ciphers";
  add("groups", options.groups);
  add("signatures", options.signature_algorithms);
  if (options.sni_strict) text += ", strict SNI";
  if (options.alpn_strict) text += ", strict ALPN";
  absl::StrAppend(&text, ", tickets by ",
                  options.ticket_keys.empty() ? "keys of its own" : options.ticket_keys);
  if (options.client_certificate.mode != ClientCertificateMode::kNone) {
    absl::StrAppend(&text, ", client certificates ",
                    options.client_certificate.mode == ClientCertificateMode::kRequire ? "required"
                                                                                       : "optional",
                    " of ", options.client_certificate.ca);
  }
  return text;
}

void AppendListeners(std::string& out, const Config& config, const TlsAssets& assets,
                     uint32_t policy) {
  std::vector<Row> rows = {{"LISTENER", "PROTOCOL", "TLS", "ADDRESSES", "BACKEND"}};
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    if (assets.policy_of[i] != policy) continue;
    const ListenerConfig& listener = config.listeners[i];
    std::string addresses;
    for (const SocketAddress& address : listener.bind) {
      absl::StrAppend(&addresses, addresses.empty() ? "" : " ", address.ToString());
    }
    const BackendConfig& backend = config.backends[listener.backend];
    std::string mode = "implicit";
    if (listener.tls == TlsMode::kStartTls) {
      mode = listener.dialogue.policy == Policy::kOpportunistic ? "starttls, opportunistic"
                                                                : "starttls";
    }
    rows.push_back({listener.name, std::string(listener.protocol->name), mode, Cut(addresses),
                    backend.tls.enabled ? backend.name + " (TLS)" : backend.name});
  }
  AppendTable(out, rows);
}

void AppendCertificates(std::string& out, const TlsPolicy& policy, int64_t now) {
  const std::vector<std::shared_ptr<const Credential>> all = CredentialsOf(*policy.certificates);
  std::vector<Row> rows = {{"CERTIFICATE", "KEY", "EXPIRES", "OCSP", "NAMES", "CHAIN"}};
  for (size_t i = 0; i < std::min(all.size(), kMostCertificates); ++i) {
    const CertificateInfo& info = Info(*all[i]);
    rows.push_back(
        {info.file, info.key_type, Expiry(info, now),
         info.must_staple ? absl::StrCat(OcspText(info), ", must-staple") : OcspText(info),
         Cut(info.names), Cut(info.chain)});
  }
  AppendTable(out, rows);
  if (all.size() > kMostCertificates) {
    absl::StrAppend(&out, "  ... and ", all.size() - kMostCertificates, " more\n");
  }
}

std::string OriginText(const std::string& found_by) {
  return found_by.empty() ? "the configuration" : found_by;
}

Row SessionsRow(const Config& config) {
  const uint64_t slots = uint64_t{SlotsOf(config.limits)} * config.workers;
  return {"sessions", absl::StrCat(config.limits.sessions), OriginText(config.sessions_from),
          RoughSize(slots * kIdleSession)};
}

// A limit that follows the sessions where the file has no number (0).
Row FollowerRow(std::string name, uint32_t of_file, uint32_t value, std::string memory) {
  return {std::move(name), absl::StrCat(value), of_file == 0 ? "sessions" : OriginText(""),
          std::move(memory)};
}

// All of them cannot be full at once: a session is in its handshake, or rests, or has octets that
// wait.
Row OutputRow(const Config& config) {
  const uint32_t blocks = OutputBuffers(config.limits);
  return FollowerRow("output_buffers", config.limits.output_buffers, blocks,
                     RoughSize(uint64_t{blocks} * config.workers * BufferPool::kBlockSize));
}

Row QueuedRow(const Config& config) {
  const QueueLimit limit = QueueLimitOf(config.limits, MemoryLimits().Read());
  const bool follows = config.limits.queued_bytes == kAutoQueued && limit.bound_by.empty();
  return {"queued_bytes", absl::StrCat(limit.octets),
          follows ? "its default" : OriginText(limit.bound_by), RoughSize(limit.octets)};
}

// What the process takes of the machine, and why so much.
void AppendMachine(std::string& out, const Config& config) {
  const bool pins = PinsWorkers(config);
  const GlobalLimits& limits = config.limits;
  const uint32_t handshakes = HandshakesInFlight(limits);
  AppendTable(out,
              {{"LIMIT", "VALUE", "BOUND BY", "MEMORY WHEN FULL"},
               {"workers", absl::StrCat(config.workers), OriginText(config.workers_from), ""},
               {"pin_workers", pins ? "true" : "false",
                config.pin_workers != Pinning::kAuto ? "the configuration"
                : pins                               ? "no CPU quota below the affinity mask"
                                                     : "a CPU quota",
                ""},
               SessionsRow(config),
               FollowerRow("handshakes_in_flight", limits.handshakes_in_flight, handshakes,
                           RoughSize(uint64_t{handshakes} * config.workers * kSessionInHandshake)),
               FollowerRow("handshake_queue", limits.handshake_queue, HandshakeQueue(limits), ""),
               OutputRow(config),
               QueuedRow(config)});
  out +=
      "All but workers, pin_workers and queued_bytes are for each worker; memory is that of all "
      "workers.\n\n";
}

}  // namespace

std::string CheckReport(const Config& config, const TlsAssets& assets, int64_t now) {
  std::string out = "Limits\n";
  AppendMachine(out, config);
  for (uint32_t policy = 0; policy < assets.policies.size(); ++policy) {
    const auto first = std::ranges::find(assets.policy_of, policy) - assets.policy_of.begin();
    const ListenerConfig& listener = config.listeners[static_cast<size_t>(first)];
    absl::StrAppend(&out, PolicyText(listener.tls_options), "\n");
    AppendListeners(out, config, assets, policy);
    AppendCertificates(out, assets.policies[policy], now);
    out += "\n";
  }
  return out;
}

std::string NamesReport(const Config& config, std::vector<std::string>& warnings) {
  const std::vector<NameQuery> names = NamesOf(config);
  if (names.empty()) return "";
  Resolver resolver;
  resolver.Use(ResolverOptionsOf(config.resolve), names);
  resolver.AwaitAll(MonotonicNow() + std::chrono::milliseconds(config.resolve.timeout_ms));
  std::map<NameQuery, Resolver::News> found;
  for (Resolver::News& news : resolver.Take()) found.emplace(news.query, std::move(news));
  std::vector<Row> rows = {{"NAME", "ADDRESSES"}};
  for (const NameQuery& query : names) {
    const auto news = found.find(query);
    const bool answered = news != found.end() && !news->second.trouble;
    std::vector<std::string> addresses;
    for (size_t i = 0; answered && i < news->second.addresses.size(); ++i) {
      const FoundAddress& one = news->second.addresses[i];
      addresses.push_back(ToString(Endpoint{.family = one.family, .port = one.port, .ip = one.ip}));
    }
    rows.push_back({ToString(query), answered ? absl::StrJoin(addresses, " ") : "none now"});
    if (answered) continue;
    warnings.push_back(
        absl::StrCat(ToString(query), " does not resolve now: ",
                     news == found.end() ? "no answer in time"
                                         : WhyNone(news->second.result, news->second.error),
                     "; until it does, sessions are told that the service is not available"));
  }
  for (const BackendConfig& backend : config.backends) {
    const WantedServers now = ServersNow(backend, [&](const NameQuery& query) {
      const auto news = found.find(query);
      if (news == found.end()) return NamedAddresses{};
      return NamedAddresses{&news->second.addresses, news->second.left_out};
    });
    for (const RefusedServer& refused : now.refused) {
      warnings.push_back(RefusalText(backend, refused));
    }
  }
  std::string out = "Names\n";
  AppendTable(out, rows);
  return out + "\n";
}

}  // namespace starling
