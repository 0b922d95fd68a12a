#include "gateway/gateway.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/check_report.h"
#include "gateway/drain.h"
#include "gateway/fitting.h"
#include "gateway/gateway_state.h"
#include "gateway/io/rings.h"
#include "gateway/limits.h"
#include "gateway/memory/memory_reserve.h"
#include "gateway/privileges.h"
#include "gateway/reload.h"
#include "gateway/secrets.h"
#include "gateway/server_names.h"
#include "gateway/tls/version.h"
#include "gateway/version.h"

namespace starling {
namespace {

// How often a drain is moved on.
constexpr std::chrono::milliseconds kDrainStep{10};
// While memory is short, how often the gateway asks the system for it.
constexpr std::chrono::milliseconds kRefillEvery{1'000};
// Between two lines that tell of scrapes without memory.
constexpr std::chrono::seconds kScrapeLines{60};

// Beside io_uring, as bench/ measures it.
constexpr char kCostOfEpoll[] =
    "each message takes up to a quarter more processor time, a handshake hardly more";

RingWanted WantedOf(IoChoice io) {
  static_assert(static_cast<int>(RingWanted::kEpoll) == static_cast<int>(IoChoice::kEpoll));
  return static_cast<RingWanted>(io);
}

// Worker i to the i-th of the CPUs that this process may use, round and round.
void Pin(std::thread& thread, uint32_t index) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  uint32_t left = index % static_cast<uint32_t>(CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);
    return;
  }
}

}  // namespace

struct Gateway::Impl : GatewayState {
  absl::Status CheckMeans();
  void FitTo(RingKind kind);
  absl::Status MakeRings(std::vector<std::unique_ptr<Ring>>& rings);
  absl::Status MakeWorkers(std::vector<std::unique_ptr<Ring>> rings, const ConfigSnapshot& snapshot,
                           const std::shared_ptr<const DenyLists>& deny);
  void MakeLog();
  void SayHowItRuns();
  void MakeExporter();
  absl::Status MakeHttp();
  absl::Status Bind();
  absl::Status StartThreads();
  void RunWorker(Worker& worker);
  std::string Scrape(const std::function<std::string()>& make);
  void LookAfterMemory();

  RingChoice ring;
  RingOptions ring_options;
  Fitting fitting;
  std::vector<std::thread> threads;
  ServerNames server_names{*this};
  std::unique_ptr<Reload> reload;
  std::unique_ptr<Drain> drain;
  std::atomic<uint32_t> running{0};
  std::atomic<bool> start_failed{false};
  bool memory_is_short = false;          // said in the log
  MonoTime ask_memory_at = MonoTime{};   // while it is short: when to ask the system
  MonoTime scrape_line_at = MonoTime{};  // of the thread that makes pages
};

absl::Status Gateway::Impl::Bind() {
  groups = GroupsOf(*config);
  most_sockets = groups.size() + kSpareSockets;
  return starling::Bind(*config, groups);
}

absl::Status Gateway::Impl::CheckMeans() {
  fitting = CheckFitting(*config, ring.kind, Means::OfProcess());
  if (fitting.errors.empty()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrJoin(fitting.errors, "\n"));
}

// `limits.sessions: auto` was found for the ring that the process could have when it read the
// configuration. If the ring allows less, the table is smaller: nothing is made of the number yet.
void Gateway::Impl::FitTo(RingKind kind) {
  if (config->sessions_from.empty()) return;
  const FittedSessions fitted = FitSessions(*config, kind, Means::OfProcess());
  uint64_t reserved = 0;
  for (const ListenerConfig& listener : config->listeners) {
    reserved += listener.limits.reserved_sessions;
  }
  const uint64_t sessions = std::max<uint64_t>(fitted.sessions, reserved);
  if (sessions >= config->limits.sessions) return;
  for (std::shared_ptr<const Config>* of : {&config, &started_with}) {
    auto smaller = std::make_shared<Config>(**of);
    smaller->limits.sessions = static_cast<uint32_t>(sessions);
    smaller->sessions_from = fitted.from;
    *of = std::move(smaller);
  }
}

absl::Status Gateway::Impl::MakeRings(std::vector<std::unique_ptr<Ring>>& rings) {
  absl::StatusOr<RingChoice> choice = ChooseRing(WantedOf(config->io), config->ring_features);
  if (!choice.ok()) return choice.status();
  ring = *std::move(choice);
  RaiseOpenFiles();
  FitTo(ring.kind);
  absl::Status status = CheckMeans();
  if (!status.ok()) return status;
  ring_options = RingOptionsOf(*config, ring.kind, groups.size());
  absl::StatusOr<Rings> made =
      starling::MakeRings(WantedOf(config->io), ring, ring_options, config->workers);
  if (!made.ok()) return made.status();
  rings = std::move(made->rings);
  if (made->choice.kind == ring.kind) return absl::OkStatus();
  // The real rings got no memory, and epoll needs other means.
  ring = made->choice;
  const uint32_t sessions = config->limits.sessions;
  FitTo(ring.kind);
  if (config->limits.sessions != sessions) {
    ring_options = RingOptionsOf(*config, ring.kind, groups.size());
    made = starling::MakeRings(RingWanted::kEpoll, ring, ring_options, config->workers);
    if (!made.ok()) return made.status();
    rings = std::move(made->rings);
  }
  return CheckMeans();
}

absl::Status Gateway::Impl::MakeWorkers(std::vector<std::unique_ptr<Ring>> rings,
                                        const ConfigSnapshot& snapshot,
                                        const std::shared_ptr<const DenyLists>& deny) {
  // The others are for those who were told to come.
  const uint32_t accepts = ring_options.accepts - DataListeners(*config);
  for (uint32_t i = 0; i < config->workers; ++i) {
    absl::StatusOr<std::unique_ptr<WorkerConfig>> made = WorkerConfig::Make(snapshot);
    if (!made.ok()) return made.status();
    workers.push_back(std::make_unique<Worker>(WorkerOptions{.index = i,
                                                             .shard = shards[i].get(),
                                                             .log = log->ring(i),
                                                             .config = *std::move(made),
                                                             .ring = std::move(rings[i]),
                                                             .trim_fd = trimmer.fd(),
                                                             .look_fd = look_wake.fd(),
                                                             .accepts = accepts,
                                                             .sources = &source_table,
                                                             .deny = deny}));
    for (const ListenGroup& group : groups) {
      // The ring takes this one; ours stays for the hand-over.
      const int fd = dup(group.fds[i]);
      if (fd < 0) return absl::InternalError(absl::StrCat("dup: ", std::strerror(errno)));
      const absl::Status added = workers[i]->AddListener({group.listener, fd, group.address});
      if (!added.ok()) return added;
    }
  }
  return absl::OkStatus();
}

void Gateway::Impl::MakeLog() {
  Log::Options options;
  options.format = config->log_format;
  options.ring_capacity = config->limits.log_records;
  options.workers = config->workers;
  log = std::make_unique<Log>(std::move(options));
}

// What an operator should know of the start.
void Gateway::Impl::SayHowItRuns() {
  if (!ring.obstacle.empty()) {
    Say(LogMessage::kEpollInstead,
        {{"reason", ring.reason}, {"cause", ring.obstacle}, {"cost", kCostOfEpoll}});
  }
  for (const std::string& warning : fitting.warnings) {
    Say(LogMessage::kConfigWarning, {{"warning", warning}});
  }
}

void Gateway::Impl::MakeExporter() {
  Exporter::Sources sources;
  sources.version = kVersion;
  sources.boringssl = TlsLibraryVersion();
  sources.liburing = RingLibraryVersion();
  sources.ring = NameOf(ring.kind);
  sources.ring_reason = ring.reason;
  for (const std::unique_ptr<Shard>& shard : shards) sources.shards.push_back(shard.get());
  sources.servers_up = [this] { return ServersUp(); };
  sources.resolved = [this] { return server_names.Shown(); };
  sources.memory = [this] { return MemoryInUse(); };
  sources.ticket_keys = [this] { return TicketSources(); };
  sources.log_lost = [this] { return log->lost(); };
  exporter = std::make_shared<Exporter>(std::move(sources));
}

absl::Status Gateway::Impl::MakeHttp() {
  if (config->metrics_bind.length() == 0) return absl::OkStatus();
  HttpHandler pages = MetricsHandler(exporter, [this](Readiness asked) { return NotReady(asked); });
  absl::StatusOr<std::unique_ptr<HttpServer>> listening = HttpServer::Listen(
      config->metrics_bind,
      [this, pages = std::move(pages)](std::string_view path, std::string_view query) {
        std::optional<HttpResponse> page = pages(path, query);
        if (page && page->make_body) {
          page->make_body = [this, make = std::move(page->make_body)] { return Scrape(make); };
        }
        return page;
      });
  if (!listening.ok()) return listening.status();
  http = *std::move(listening);
  return absl::OkStatus();
}

std::string Gateway::Impl::Scrape(const std::function<std::string()>& make) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    const MonoTime now = MonotonicNow();
    if (now >= scrape_line_at) Say(LogMessage::kScrapeRefused);
    if (now >= scrape_line_at) scrape_line_at = now + kScrapeLines;
    throw;
  }
}

void Gateway::Impl::LookAfterMemory() {
  if (prober_waits) StartProber();
  const bool now_short = MemoryIsShort();
  const MonoTime now = MonotonicNow();
  if (now_short && !memory_is_short) {
    Say(LogMessage::kMemoryShort);
    ask_memory_at = now + kRefillEvery;
  }
  memory_is_short = now_short;
  if (!now_short || now < ask_memory_at) return;
  ask_memory_at = now + kRefillEvery;
  AskForMemory();
  memory_is_short = MemoryIsShort();
  if (!memory_is_short) Say(LogMessage::kMemoryBack);
}

void Gateway::Impl::RunWorker(Worker& worker) {
  const absl::Status status = worker.Start();
  if (status.ok()) {
    started.fetch_add(1, std::memory_order_release);
    while (worker.Turn()) {
    }
  } else {
    start_failed.store(true, std::memory_order_release);
    Say(LogMessage::kWorkerFailed, {{"error", std::string(status.message())}});
  }
  running.fetch_sub(1, std::memory_order_release);
}

absl::Status Gateway::Impl::StartThreads() {
  running.store(static_cast<uint32_t>(workers.size()));
  threads.reserve(workers.size());
  for (uint32_t i = 0; i < workers.size(); ++i) {
    threads.emplace_back([this, i] { RunWorker(*workers[i]); });
    if (PinsWorkers(*config)) Pin(threads.back(), i);
  }
  while (started.load(std::memory_order_acquire) < workers.size()) {
    if (start_failed.load(std::memory_order_acquire)) {
      return absl::UnavailableError("a worker could not enable its ring; see the log");
    }
    std::this_thread::yield();
  }
  return absl::OkStatus();
}

Gateway::Gateway(std::shared_ptr<const Config> config) : impl_(std::make_unique<Impl>()) {
  impl_->started_with = impl_->config = std::move(config);
}

Gateway::~Gateway() {
  for (const std::unique_ptr<Worker>& worker : impl_->workers) worker->StopNow();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->reload.reset();
  impl_->prober.reset();
  impl_->http.reset();
  impl_->workers.clear();
  CloseAll(impl_->groups);
}

absl::Status Gateway::Start(StartFailure& failure) {
  Impl& impl = *impl_;
  failure = StartFailure::kOther;
  // Sockets of one SO_REUSEPORT group must have one uid, so the user comes first.
  absl::Status status = ChangeUser(impl.config->user, impl.config->group);
  if (!status.ok()) return status;
  // Before there are keys in memory, and threads, which inherit what is set now.
  status = Harden();
  if (!status.ok()) return status;
  if (!KeepMemoryReserve(impl.trimmer.fd())) {
    return absl::ResourceExhaustedError(
        "the system denies 32 MiB of address space, which the gateway reserves for allocations "
        "that must not fail; raise the limit of memory (ulimit -d, ulimit -v)");
  }
  failure = StartFailure::kConfiguration;
  impl.own_tickets = MakeTicketKeys(impl.config->limits.ticket_key_period_s);
  TlsAssets assets = LoadTlsAssets(*impl.config, impl.store, impl.own_tickets);
  auto with_secrets = std::make_shared<Config>(*impl.config);
  ReadSecrets(*with_secrets, assets.errors, assets.warnings);
  impl.config = with_secrets;
  if (!assets.ok()) return absl::InvalidArgumentError(absl::StrJoin(assets.errors, "\n"));
  absl::StatusOr<ConfigSnapshot> snapshot = impl.MakeSnapshot(impl.config, assets);
  if (!snapshot.ok()) return snapshot.status();
  const DenyFiles deny = LoadDenyFiles(*impl.config, snapshot->ids);
  if (!deny.ok()) return absl::InvalidArgumentError(absl::StrJoin(deny.errors, "\n"));
  std::ranges::copy(deny.warnings, std::back_inserter(assets.warnings));
  failure = StartFailure::kBind;
  status = impl.Bind();
  if (!status.ok()) return status;
  failure = StartFailure::kRing;
  std::vector<std::unique_ptr<Ring>> rings;
  status = impl.MakeRings(rings);
  if (!status.ok()) return status;
  snapshot->config = impl.config;  // with as many sessions as the rings have
  for (uint32_t i = 0; i < impl.config->workers; ++i) {
    impl.shards.push_back(std::make_unique<Shard>(kMaxListenerNames, kMaxServerNames));
  }
  impl.MakeExporter();
  failure = StartFailure::kBind;
  status = impl.MakeHttp();
  if (!status.ok()) return status;
  impl.MakeLog();
  impl.SayHowItRuns();
  failure = StartFailure::kConfiguration;
  status = impl.MakeWorkers(std::move(rings), *snapshot, deny.lists);
  if (!status.ok()) return status;
  failure = StartFailure::kOther;
  impl.Activate(*snapshot, std::move(assets), impl.MakeProber(*snapshot));
  impl.server_names.Begin();
  impl.prober->Start();
  impl.exporter->SetStart(WallNow() / 1'000'000, impl.generation);
  failure = StartFailure::kRing;
  status = impl.StartThreads();
  if (!status.ok()) return status;
  if (impl.http != nullptr) impl.http->Start();
  impl.refusals_at = MonotonicNow() + std::chrono::seconds(60);
  impl.reload = std::make_unique<Reload>(impl, deny);
  impl.Say(LogMessage::kReady, {{"version", kVersion},
                                {"workers", absl::StrCat(impl.config->workers)},
                                {"ring", NameOf(impl.ring.kind)},
                                {"ring_features", impl.ring.features}});
  failure = StartFailure::kNone;
  return absl::OkStatus();
}

void Gateway::AskReload() {
  Impl& impl = *impl_;
  if (impl.drain == nullptr) {
    impl.reload->Ask();
  } else {
    impl.Say(LogMessage::kReloadIgnored);
  }
}

void Gateway::SayNothingToReopen() { impl_->Say(LogMessage::kNothingToReopen); }

void Gateway::BeginDrain() {
  Impl& impl = *impl_;
  if (impl.drain != nullptr) return;
  impl.draining.store(true, std::memory_order_relaxed);
  impl.reload->Abandon();
  impl.drain = std::make_unique<Drain>(impl);
}

std::array<int, 5> Gateway::wake_fds() const {
  const bool reloads = impl_->drain == nullptr;
  return {impl_->trimmer.fd(), reloads ? impl_->reload->fd() : -1,
          reloads ? impl_->reload->deny_fd() : -1, impl_->server_names.fd(), impl_->look_wake.fd()};
}

MonoTime Gateway::NextStep() const {
  const MonoTime now = MonotonicNow();
  if (impl_->drain != nullptr) return now + kDrainStep;
  const MonoTime next = std::min({impl_->refusals_at, impl_->memory_at,
                                  impl_->reload->NextStep(now), impl_->server_names.NextStep(now)});
  return impl_->memory_is_short || impl_->prober_waits
             ? std::min<MonoTime>(next, now + kRefillEvery)
             : next;
}

bool Gateway::Step() {
  Impl& impl = *impl_;
  const MonoTime now = MonotonicNow();
  impl.trimmer.TrimIfAsked();
  impl.LookAfterMemory();
  if (impl.drain != nullptr) {
    impl.drain->Step();
  } else {
    impl.reload->Step(now);
  }
  impl.server_names.Step(now);
  const bool over = impl.running.load(std::memory_order_acquire) == 0;
  impl.ReportRefusals(now, over);
  impl.WatchMemory(now);
  return over;
}

void Gateway::StopNow() {
  for (const std::unique_ptr<Worker>& worker : impl_->workers) worker->StopNow();
}

FittedSessions FitSessionsHere(const Config& config) {
  const absl::StatusOr<RingChoice> ring = ChooseRing(WantedOf(config.io), config.ring_features);
  return FitSessions(config, ring.ok() ? ring->kind : RingKind::kUring, Means::OfProcess());
}

FileCheck CheckFiles(const Config& config) {
  CredentialStore store;
  TlsAssets assets = LoadTlsAssets(config, store, MakeTicketKeys());
  Config with_secrets = config;
  ReadSecrets(with_secrets, assets.errors, assets.warnings);
  const std::vector<ListenerId> ids(config.listeners.size());
  DenyFiles deny = LoadDenyFiles(config, ids);
  std::ranges::move(deny.errors, std::back_inserter(assets.errors));
  std::ranges::move(deny.warnings, std::back_inserter(assets.warnings));
  FileCheck check;
  check.warnings = std::move(assets.warnings);
  check.notes = std::move(assets.notes);
  // A service may have other limits than the shell that checks its configuration.
  const absl::StatusOr<RingChoice> ring = ChooseRing(WantedOf(config.io), config.ring_features);
  if (!ring.ok()) check.warnings.emplace_back(ring.status().message());
  Fitting fitting =
      CheckFitting(config, ring.ok() ? ring->kind : RingKind::kUring, Means::OfProcess());
  std::ranges::move(fitting.errors, std::back_inserter(check.warnings));
  std::ranges::move(fitting.warnings, std::back_inserter(check.warnings));
  if (!assets.ok()) {
    check.errors = std::move(assets.errors);
    return check;
  }
  // What the TLS library itself finds wrong with a policy.
  ConfigSnapshot snapshot{.config = std::make_shared<const Config>(config),
                          .backends = std::make_shared<Backends>(config.backends),
                          .ids = ids,
                          .policies = assets.policies,
                          .policy_of = assets.policy_of,
                          .upstream = assets.upstream};
  const absl::Status made = WorkerConfig::Make(snapshot).status();
  if (made.ok()) {
    check.report = CheckReport(config, assets, WallNow() / 1'000'000);
    check.report += NamesReport(config, check.warnings);
    if (ring.ok()) absl::StrAppend(&check.report, "ring: ", ToString(*ring), "\n\n");
  } else {
    check.errors.emplace_back(made.message());
  }
  return check;
}

std::string VersionText() {
  const absl::StatusOr<RingChoice> ring = ChooseRing(RingWanted::kAuto, "auto");
  return absl::StrCat(
      "starling ", kVersion, "\n", TlsLibraryVersion(), "\n", RingLibraryVersion(),
      "\nring: ", ring.ok() ? ToString(*ring) : std::string(ring.status().message()), "\n");
}

}  // namespace starling
