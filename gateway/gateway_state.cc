#include "gateway/gateway_state.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/fitting.h"
#include "gateway/memory/memory_budget.h"

namespace starling {

// What the loader lets pass has names in a fresh table; only reloads can fill it.
static_assert(kMaxListenerNames >= kMaxListeners && kMaxServerNames >= kMaxServersInAll);

namespace {

// The prober is a thread of its own, as a worker is. Where memory is short, it probes without TLS
// what it can: each worker has made the same, so the reload has failed before.
std::vector<std::shared_ptr<UpstreamTls>> ProbersTls(const ConfigSnapshot& snapshot) {
  std::vector<std::shared_ptr<UpstreamTls>> tls(snapshot.upstream.size());
  for (uint32_t b = 0; b < tls.size(); ++b) {
    if (!snapshot.upstream[b]) continue;
    auto made = UpstreamTls::Create(*snapshot.upstream[b], snapshot.backends->ServersOf(b).size());
    if (made.ok()) tls[b] = *std::move(made);
  }
  return tls;
}

LogMessage MessageOf(Prober::News news) {
  switch (news) {
    case Prober::News::kUp:
      return LogMessage::kServerUp;
    case Prober::News::kDown:
      return LogMessage::kServerDown;
    case Prober::News::kOutOfPorts:
      break;
  }
  return LogMessage::kNoPortLeft;
}

}  // namespace

uint64_t GatewayState::Accepted() const {
  uint64_t sum = 0;
  for (const std::unique_ptr<Shard>& shard : shards) {
    for (ListenerId id = 0; id < names.listeners().size(); ++id) {
      sum += shard->Get(Family::kAccepted, id);
    }
  }
  return sum;
}

std::string GatewayState::NotReady(Readiness asked) const {
  if (draining.load(std::memory_order_relaxed)) return "draining";
  if (started.load(std::memory_order_acquire) < workers.size()) return "starting";
  if (asked == Readiness::kProcess) return "";
  const MutexLock lock(mutex);
  if (asked == Readiness::kSomeBackend) {
    return shown_backends->NoneAvailable() ? "every server of every backend is down" : "";
  }
  const std::string down(shown_backends->FirstUnavailable());
  return down.empty() ? "" : absl::StrCat("every server of backend ", down, " is down");
}

std::vector<std::optional<bool>> GatewayState::ServersUp() const {
  std::vector<std::optional<bool>> up(kMaxServerNames);
  const MutexLock lock(mutex);
  for (ServerId id = 0; id < shown_backends->server_count(); ++id) {
    const Server& server = shown_backends->server(id);
    if (!server.gone()) up[server.series] = server.up();
  }
  return up;
}

absl::StatusOr<ConfigSnapshot> GatewayState::MakeSnapshot(std::shared_ptr<const Config> next,
                                                          const TlsAssets& loaded) {
  ConfigSnapshot snapshot;
  snapshot.generation = generation + 1;
  bool full = false;
  for (const ListenerConfig& listener : next->listeners) {
    const std::optional<ListenerId> id =
        names.IdOfListener(listener.name, std::string(listener.protocol->name));
    full = full || !id;
    snapshot.ids.push_back(id.value_or(0));
  }
  snapshot.backends = std::make_shared<Backends>(
      next->backends, [&](const std::string& backend, const std::string& server) {
        const std::optional<ServerSeries> id = names.IdOfServer(backend, server);
        full = full || !id;
        return id.value_or(0);
      });
  if (full) {
    return absl::ResourceExhaustedError(
        "more names of listeners or servers than metrics have room for since the start");
  }
  if (backends != nullptr) snapshot.backends->Inherit(*backends);
  snapshot.config = std::move(next);
  snapshot.policies = loaded.policies;
  snapshot.policy_of = loaded.policy_of;
  snapshot.upstream = loaded.upstream;
  return snapshot;
}

void GatewayState::Deny(const DenyFiles& files) {
  deny_before = std::exchange(deny, files.lists);
  for (const std::unique_ptr<Worker>& worker : workers) {
    worker->Deny(files.lists, config->deny_established == DenyEstablished::kEnd);
  }
}

void GatewayState::ReportRefusals(MonoTime now, bool last) {
  constexpr std::chrono::seconds kEvery{60};
  if (now < refusals_at && !last) return;
  refusals_at = now + kEvery;
  const RefusalTally::Report report = source_table.refusals.Take(kHeaviestNamed);
  if (report.refused == 0) return;
  const SourceWidths widths{.v4 = config->limits.source_ipv4_bits,
                            .v6 = config->limits.source_ipv6_bits};
  std::string heaviest;
  for (const RefusalTally::Heavy& heavy : report.heaviest) {
    absl::StrAppend(&heaviest, heaviest.empty() ? "" : ", ", ToString(heavy.source, widths), " (",
                    heavy.refused, ")");
  }
  Say(LogMessage::kRefusals, {{"refused", absl::StrCat(report.refused)},
                              {"left_out", absl::StrCat(report.left_out)},
                              {"heaviest", heaviest}});
}

// Workers ask for a look when their shares come to an end.
bool GatewayState::MemoryLookIsDue(MonoTime now) {
  constexpr std::chrono::milliseconds kLeast{25};
  if (look_wake.Take()) memory_at = std::min(memory_at, memory_before + kLeast);
  return now >= memory_at;
}

void GatewayState::WatchMemory(MonoTime now) {
  constexpr std::chrono::milliseconds kUsually{1'000};
  constexpr std::chrono::milliseconds kInAHurry{100};
  if (!MemoryLookIsDue(now)) return;
  memory_before = now;
  const GlobalLimits& limits = config->limits;
  std::vector<MemoryUse> uses = memory_limits.Read();
  const QueueLimit queue = QueueLimitOf(limits, uses);
  if (queue.octets != 0) {
    uint64_t queued = 0;
    for (const std::unique_ptr<Worker>& worker : workers) queued += worker->queued_octets();
    uses.push_back({.what = "queued", .used = queued, .limit = queue.octets, .in_kernel = false});
  }
  const MemoryWatch::Percent percent{.relief = limits.memory_relief,
                                     .refusal = limits.memory_refusal};
  const bool changed = memory.Look(uses, percent);
  // Rounded up, since 0 asks for nothing.
  const uint64_t to_free = (memory.ToFree(percent) + workers.size() - 1) / workers.size();
  memory_at = now + (memory.Hurries(percent) ? kInAHurry : kUsually);
  const bool worst = memory.level() == MemoryLevel::kRefusal;
  for (const std::unique_ptr<Worker>& worker : workers) {
    worker->Relieve(
        {.share = ShareOf(uses, queue.octets, worker->queued_octets(), workers.size(), percent),
         .octets = to_free,
         .in_kernel = memory.tightest().in_kernel,
         .urgent = worst,
         .refuse = worst});
  }
  if (changed && memory.level() == MemoryLevel::kEnough) {
    Say(LogMessage::kMemoryEnough);
  } else if (changed) {
    const MemoryUse& use = memory.tightest();
    Say(memory.level() == MemoryLevel::kRelief ? LogMessage::kMemoryRelief
                                               : LogMessage::kMemoryRefusal,
        {{"what", use.what}, {"used", absl::StrCat(use.used)}, {"limit", absl::StrCat(use.limit)}});
  }
  const MutexLock lock(mutex);
  shown_memory = std::move(uses);
}

std::vector<Exporter::Memory> GatewayState::MemoryInUse() const {
  std::vector<Exporter::Memory> shown;
  const MutexLock lock(mutex);
  for (const MemoryUse& use : shown_memory) {
    // Of nested groups the tightest.
    const auto same = std::ranges::find(shown, use.what, &Exporter::Memory::what);
    if (same == shown.end()) {
      shown.push_back({use.what, use.used, use.limit});
    } else if (double(use.used) / double(use.limit) > double(same->used) / double(same->limit)) {
      *same = {use.what, use.used, use.limit};
    }
  }
  return shown;
}

std::vector<Exporter::TicketKeys> GatewayState::TicketSources() const {
  std::vector<Exporter::TicketKeys> sources;
  const auto add = [&](const std::string& source, TicketKeys& keys) {
    const TicketKeysInfo info = InfoOf(keys);
    sources.push_back({source, info.generation, info.since});
  };
  const MutexLock lock(mutex);
  add("internal", *own_tickets);
  for (const TlsAssets::TicketSource& source : shown_tickets) add(source.file, *source.keys);
  return sources;
}

std::unique_ptr<Prober> GatewayState::MakeProber(const ConfigSnapshot& snapshot) const {
  return std::make_unique<Prober>(
      *snapshot.config, ProbersTls(snapshot), *snapshot.backends,
      [to = log.get()](const BackendConfig& backend, const Server& server, Prober::News news) {
        to->Say(MessageOf(news), {{"backend", backend.name}, {"server", server.name}});
      });
}

void GatewayState::StartProber() {
  try {
    prober->Start();
    prober_waits = false;
  } catch (const std::system_error&) {
    prober_waits = true;
  }
}

void GatewayState::ShowNames() {
  std::vector<std::string> listeners, protocols;
  std::vector<Exporter::Listener> exported;
  for (const NameTable::Listener& listener : names.listeners()) {
    listeners.push_back(listener.name);
    protocols.push_back(listener.protocol);
    exported.push_back({listener.name, listener.protocol});
  }
  std::vector<LogServerName> servers;
  std::vector<Exporter::Server> exported_servers;
  for (const NameTable::Server& server : names.servers()) {
    servers.push_back({server.backend, server.server});
    exported_servers.push_back({server.backend, server.server});
  }
  log->SetNames(std::move(listeners), std::move(protocols), std::move(servers));
  exporter->SetNames(std::move(exported), std::move(exported_servers));
}

void GatewayState::Activate(const ConfigSnapshot& snapshot, TlsAssets loaded,
                            std::unique_ptr<Prober> next) {
  // Two would probe the servers that both configurations have.
  if (prober != nullptr) next->TakeOver(*prober, backends);
  prober.reset();
  for (const TlsAssets::TicketSource& source : loaded.tickets) {
    const auto before =
        std::ranges::find(assets.tickets, source.file, &TlsAssets::TicketSource::file);
    if (before != assets.tickets.end()) FollowTicketKeys(*source.keys, *before->keys);
  }
  {
    const MutexLock lock(mutex);
    shown_backends = snapshot.backends;
    shown_tickets = loaded.tickets;
  }
  backends = snapshot.backends;
  assets = std::move(loaded);
  config = snapshot.config;
  listener_ids = snapshot.ids;
  generation = snapshot.generation;
  ShowNames();
  std::vector<Exporter::Certificate> certificates;
  for (const auto& credential : assets.credentials) {
    const CertificateInfo& info = Info(*credential);
    certificates.push_back({info.file, info.names, info.not_after, info.ocsp_next_update});
  }
  exporter->SetCertificates(std::move(certificates));
  for (const std::string& warning : assets.warnings) {
    Say(LogMessage::kConfigWarning, {{"warning", warning}});
  }
  prober = std::move(next);
}

}  // namespace starling
