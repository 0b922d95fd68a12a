#include "gateway/gateway.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/drain.h"
#include "gateway/io/ring.h"
#include "gateway/log/log.h"
#include "gateway/metrics/exporter.h"
#include "gateway/privileges.h"
#include "gateway/tls/version.h"
#include "gateway/upstream/prober.h"
#include "gateway/worker/listener.h"
#include "gateway/worker/worker.h"

namespace starling {
namespace {

using Credentials = std::vector<std::shared_ptr<const Credential>>;

absl::Status LoadCredentials(const Config& config, CredentialStore& store, Credentials& out) {
  std::vector<std::string> errors;
  for (const CertificateEntry& pair : config.tls.certificates) {
    absl::StatusOr<std::shared_ptr<const Credential>> loaded = store.Load({pair.cert, pair.key});
    if (loaded.ok()) {
      out.push_back(*std::move(loaded));
    } else {
      errors.emplace_back(loaded.status().message());
    }
  }
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return absl::OkStatus();
}

RingOptions RingOptionsOf(const Config& config, const RingFeatures& features, size_t sockets) {
  RingOptions options;
  const GlobalLimits& limits = config.limits;
  options.sessions = limits.sessions + limits.refusals;
  options.listeners = static_cast<uint32_t>(sockets);
  options.accepts = static_cast<uint32_t>(sockets) * limits.armed_accepts;
  options.small_buffers = limits.small_buffers;
  options.large_buffers = limits.large_buffers;
  options.features = features;
  return options;
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

struct Gateway::Impl {
  absl::Status MakeRings(std::vector<std::unique_ptr<Ring>>& rings);
  absl::Status MakeWorkers(std::vector<std::unique_ptr<Ring>> rings);
  void MakeLog();
  void MakeExporter();
  absl::Status MakeHttp();
  absl::Status StartThreads();
  void RunWorker(Worker& worker);
  std::string NotReady() const;

  std::shared_ptr<const Config> config;
  CredentialStore store;
  Credentials credentials;
  std::shared_ptr<TicketKeys> tickets;
  std::unique_ptr<Backends> backends;
  std::unique_ptr<Log> log;
  std::vector<std::unique_ptr<Shard>> shards;
  std::shared_ptr<Exporter> exporter;
  std::unique_ptr<HttpServer> http;
  std::vector<ListenGroup> groups;
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<Prober> prober;
  std::vector<std::thread> threads;
  std::unique_ptr<Drain> drain;
  std::atomic<uint32_t> running{0};
  std::atomic<uint32_t> started{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> start_failed{false};
};

absl::Status Gateway::Impl::MakeRings(std::vector<std::unique_ptr<Ring>>& rings) {
  const RingProbe probe = ProbeRing();
  if (probe.unavailable != RingUnavailable::kNo) return absl::UnavailableError(probe.message);
  const absl::StatusOr<RingFeatures> features = probe.features.Only(config->ring_features);
  if (!features.ok()) return features.status();
  const RingOptions options = RingOptionsOf(*config, *features, groups.size());
  for (uint32_t i = 0; i < config->workers; ++i) {
    absl::StatusOr<std::unique_ptr<Ring>> ring = Ring::Create(options);
    if (!ring.ok()) return ring.status();
    rings.push_back(*std::move(ring));
  }
  return absl::OkStatus();
}

absl::Status Gateway::Impl::MakeWorkers(std::vector<std::unique_ptr<Ring>> rings) {
  for (uint32_t i = 0; i < config->workers; ++i) {
    absl::StatusOr<std::unique_ptr<Worker>> worker =
        Worker::Create(WorkerOptions{.index = i,
                                     .config = config.get(),
                                     .backends = backends.get(),
                                     .shard = shards[i].get(),
                                     .log = log->ring(i),
                                     .credentials = credentials,
                                     .tickets = tickets,
                                     .ring = std::move(rings[i])});
    if (!worker.ok()) return worker.status();
    for (const ListenGroup& group : groups) {
      // The ring takes this one; ours stays for the hand-over.
      const int fd = dup(group.fds[i]);
      if (fd < 0) return absl::InternalError(absl::StrCat("dup: ", std::strerror(errno)));
      const absl::Status added = (*worker)->AddListener(group.listener, fd, group.address);
      if (!added.ok()) return added;
    }
    workers.push_back(*std::move(worker));
  }
  return absl::OkStatus();
}

void Gateway::Impl::MakeLog() {
  Log::Options options;
  options.style = config->log_format == LogFormat::kJson ? LogStyle::kJson : LogStyle::kLogfmt;
  options.ring_capacity = config->limits.log_records;
  options.workers = config->workers;
  for (const ListenerConfig& listener : config->listeners) {
    options.listeners.push_back(listener.name);
    options.protocols.emplace_back(listener.protocol->name);
  }
  for (ServerId id = 0; id < backends->server_count(); ++id) {
    const Server& server = backends->server(id);
    options.servers.push_back({backends->config(server.backend).name, server.name});
  }
  log = std::make_unique<Log>(std::move(options));
}

void Gateway::Impl::MakeExporter() {
  Exporter::Sources sources;
  sources.version = kVersion;
  sources.boringssl = TlsLibraryVersion();
  sources.liburing = RingLibraryVersion();
  for (const std::unique_ptr<Shard>& shard : shards) sources.shards.push_back(shard.get());
  sources.server_up = [this](ServerId id) {
    return backends->server(id).up.load(std::memory_order_relaxed);
  };
  sources.log_lost = [this] { return log->lost(); };
  exporter = std::make_shared<Exporter>(std::move(sources));
  std::vector<Exporter::Listener> listeners;
  for (const ListenerConfig& listener : config->listeners) {
    listeners.push_back({listener.name, std::string(listener.protocol->name)});
  }
  std::vector<Exporter::Server> servers;
  for (ServerId id = 0; id < backends->server_count(); ++id) {
    const Server& server = backends->server(id);
    servers.push_back({backends->config(server.backend).name, server.name});
  }
  exporter->SetNames(std::move(listeners), std::move(servers));
  std::vector<Exporter::Certificate> certificates;
  for (const auto& credential : credentials) {
    const CertificateInfo& info = Info(*credential);
    certificates.push_back({info.file, info.names, info.not_after});
  }
  exporter->SetCertificates(std::move(certificates));
  exporter->SetReload(true, WallNow() / 1'000'000);
}

std::string Gateway::Impl::NotReady() const {
  if (draining.load(std::memory_order_relaxed)) return "draining";
  if (started.load(std::memory_order_acquire) < workers.size()) return "starting";
  const std::string down(backends->FirstUnavailable());
  return down.empty() ? "" : absl::StrCat("every server of backend ", down, " is down");
}

absl::Status Gateway::Impl::MakeHttp() {
  if (config->metrics_bind.length() == 0) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<HttpServer>> listening = HttpServer::Listen(
      config->metrics_bind, MetricsHandler(exporter, [this] { return NotReady(); }));
  if (!listening.ok()) return listening.status();
  http = *std::move(listening);
  return absl::OkStatus();
}

void Gateway::Impl::RunWorker(Worker& worker) {
  const absl::Status status = worker.Start();
  if (status.ok()) {
    started.fetch_add(1, std::memory_order_release);
    while (worker.Turn()) {
    }
  } else {
    start_failed.store(true, std::memory_order_release);
    log->Say(Log::Level::kError, "worker did not start",
             {{"error", std::string(status.message())}});
  }
  running.fetch_sub(1, std::memory_order_release);
}

absl::Status Gateway::Impl::StartThreads() {
  running.store(static_cast<uint32_t>(workers.size()));
  for (uint32_t i = 0; i < workers.size(); ++i) {
    threads.emplace_back([this, i] { RunWorker(*workers[i]); });
    if (config->pin_workers) Pin(threads.back(), i);
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
  impl_->config = std::move(config);
}

Gateway::~Gateway() {
  for (const std::unique_ptr<Worker>& worker : impl_->workers) worker->StopNow();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->prober.reset();
  impl_->http.reset();
  impl_->workers.clear();
  CloseAll(impl_->groups);
}

absl::Status Gateway::Start(StartFailure& failure) {
  Impl& impl = *impl_;
  const Config& config = *impl.config;
  failure = StartFailure::kOther;
  // Sockets of one SO_REUSEPORT group must have one uid, so the user comes first.
  absl::Status status = ChangeUser(config.user, config.group);
  if (!status.ok()) return status;
  failure = StartFailure::kConfiguration;
  status = LoadCredentials(config, impl.store, impl.credentials);
  if (!status.ok()) return status;
  failure = StartFailure::kBind;
  absl::StatusOr<std::vector<ListenGroup>> groups = BindAll(config);
  if (!groups.ok()) return groups.status();
  impl.groups = *std::move(groups);
  impl.tickets = MakeTicketKeys();
  impl.backends = std::make_unique<Backends>(config.backends);
  for (uint32_t i = 0; i < config.workers; ++i) {
    impl.shards.push_back(
        std::make_unique<Shard>(config.listeners.size(), impl.backends->server_count()));
  }
  impl.MakeExporter();
  status = impl.MakeHttp();
  if (!status.ok()) return status;
  failure = StartFailure::kRing;
  std::vector<std::unique_ptr<Ring>> rings;
  status = impl.MakeRings(rings);
  if (!status.ok()) return status;
  failure = StartFailure::kOther;
  // From here on threads are made, which inherit what is set now.
  status = Harden();
  if (!status.ok()) return status;
  impl.MakeLog();
  status = impl.MakeWorkers(std::move(rings));
  if (!status.ok()) return status;
  impl.prober = std::make_unique<Prober>(
      config, *impl.backends, [log = impl.log.get()](const Server& server, bool up) {
        log->Say(up ? Log::Level::kInfo : Log::Level::kWarning,
                 up ? "server is up" : "server is down", {{"server", server.name}});
      });
  impl.prober->Start();
  failure = StartFailure::kRing;
  status = impl.StartThreads();
  if (!status.ok()) return status;
  if (impl.http != nullptr) impl.http->Start();
  impl.log->Say(Log::Level::kInfo, "starling is ready",
                {{"version", kVersion},
                 {"workers", absl::StrCat(config.workers)},
                 {"ring_features", impl.workers[0]->ring().features().ToString()}});
  failure = StartFailure::kNone;
  return absl::OkStatus();
}

void Gateway::BeginDrain() {
  Impl& impl = *impl_;
  if (impl.drain != nullptr) return;
  impl.draining.store(true, std::memory_order_relaxed);
  impl.drain =
      std::make_unique<Drain>(*impl.config, impl.workers, impl.shards, impl.groups, *impl.log);
}

bool Gateway::StepDrain() {
  Impl& impl = *impl_;
  if (impl.drain != nullptr) impl.drain->Step();
  return impl.running.load(std::memory_order_acquire) == 0;
}

void Gateway::StopNow() {
  for (const std::unique_ptr<Worker>& worker : impl_->workers) worker->StopNow();
}

absl::Status CheckFiles(const Config& config, std::vector<std::string>& warnings) {
  CredentialStore store;
  Credentials credentials;
  const absl::Status status = LoadCredentials(config, store, credentials);
  for (const auto& credential : credentials) {
    for (const std::string& warning : Info(*credential).warnings) warnings.push_back(warning);
  }
  return status;
}

std::string VersionText() {
  return absl::StrCat("starling ", kVersion, "\n", TlsLibraryVersion(), "\n", RingLibraryVersion(),
                      "\n");
}

}  // namespace starling
