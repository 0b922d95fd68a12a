#include "tests/sim/gateway_fixture.h"

#include <openssl/rand.h>

#include <string>
#include <thread>

#include "gateway/config/source_defaults.h"
#include "tests/sim/identities.h"

namespace starling::sim {
namespace {

// The TLS library's generator is per thread; a new thread seeds it from the state reset
// here.
void RunFresh(const std::function<void()>& body) {
  RAND_reset_for_fuzzing();
  std::thread(body).join();
}

RingOptions OptionsFor(const Config& config) {
  RingOptions options;
  options.sessions = SlotsOf(config.limits);
  options.accepts = static_cast<uint32_t>(config.listeners.size()) * config.limits.armed_accepts +
                    DataListeners(config);
  options.small_buffers = config.limits.small_buffers;
  options.large_buffers = config.limits.large_buffers;
  return options;
}

// Clients of a run come from a few addresses: none has a limit of its own, but all are counted.
std::vector<SourceRow> NoShares() {
  return {{.from = {*Cidr::Parse("0.0.0.0/0"), *Cidr::Parse("::/0")},
           .role = SourceRole::kTrusted,
           .limits = kNoSourceLimits}};
}

}  // namespace

void GatewayFixture::InFreshThread(const std::function<void()>& body) {
  TheIdentities();
  RunFresh(body);
}

GatewayFixture::GatewayFixture(World& world, const Config& config)
    : world_(world),
      config_(config),
      backends_(std::make_shared<Backends>(config.backends)),
      tickets_(MakeTicketKeys()),
      shard_(config.listeners.size(), backends_->server_count()),
      log_(config.limits.log_records) {
  WorkerOptions options;
  options.shard = &shard_;
  options.log = &log_;
  options.config = MakeWorkerConfig();
  options.ring = std::move(Ring::Create(OptionsFor(config))).value();
  options.accepts = OptionsFor(config).accepts - DataListeners(config);
  options.sources = &sources_;
  worker_ = std::make_unique<Worker>(std::move(options));
  for (uint32_t i = 0; i < config.listeners.size(); ++i) {
    const SocketAddress& address = config.listeners[i].bind.front();
    const int os_fd = world.Listen(address, static_cast<int>(config.limits.backlog));
    if (!worker_->AddListener({i, os_fd, address}).ok()) world.Fail("AddListener failed");
  }
  if (!worker_->Start().ok()) world.Fail("the worker did not start");
}

GatewayFixture::~GatewayFixture() = default;

std::unique_ptr<WorkerConfig> GatewayFixture::MakeWorkerConfig() {
  ConfigSnapshot snapshot;
  snapshot.generation = ++generations_;
  const auto config = std::make_shared<Config>(config_);
  if (config->sources.empty()) config->sources = NoShares();
  config->log_refusals = 0;  // each record counts
  config->log_sessions = LogSessions::kDebug;
  snapshot.config = config;
  snapshot.backends = backends_;
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    snapshot.ids.push_back(id);
    snapshot.policy_of.push_back(id);
    snapshot.policies.push_back({.certificates = MakeCredentialIndex({TheIdentities().gateway}),
                                 .alpn = std::string(config_.listeners[id].protocol->alpn),
                                 .tickets = tickets_});
  }
  for (const BackendConfig& backend : config_.backends) {
    std::optional<UpstreamTlsPolicy>& policy = snapshot.upstream.emplace_back();
    if (!backend.tls.enabled) continue;
    policy = {.trust = TheIdentities().trust, .name = backend.tls.name, .certificate = nullptr};
  }
  return std::move(WorkerConfig::Make(snapshot)).value();
}

void GatewayFixture::Reload() {
  if (worker_->applied_generation() != generations_) return;
  worker_->Apply(MakeWorkerConfig());
}

bool GatewayFixture::Turn() {
  const bool going_on = worker_->Turn();
  TakeRetired();
  return going_on;
}

std::vector<SessionRecord> GatewayFixture::TakeRecords() {
  std::vector<SessionRecord> records;
  for (SessionRecord record; log_.Pop(record);) records.push_back(record);
  return records;
}

uint64_t GatewayFixture::Ended(EndReason reason) const {
  uint64_t sum = 0;
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    sum += shard_.Get(Family::kEnded, id, static_cast<size_t>(reason));
  }
  return sum;
}

uint64_t GatewayFixture::Accepted() const {
  uint64_t sum = 0;
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    sum += shard_.Get(Family::kAccepted, id);
  }
  return sum;
}

uint64_t GatewayFixture::Resumed() const {
  uint64_t sum = 0;
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    for (size_t version = 0; version < std::size(kTlsVersionLabels); ++version) {
      sum += shard_.Get(Family::kHandshakes, id, version, 1);
    }
  }
  return sum;
}

uint64_t GatewayFixture::Octets(size_t direction) const {
  uint64_t sum = 0;
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    sum += shard_.Get(Family::kBytes, id, direction);
  }
  return sum;
}

void GatewayFixture::CheckNothingLeft() {
  const auto must_be_zero = [this](uint64_t value, const std::string& what) {
    if (value != 0) world_.Fail(std::to_string(static_cast<int64_t>(value)) + " " + what);
  };
  // The worker may have requested one of the last two after everything ended.
  if (retired_ + 2 < generations_) must_be_zero(generations_ - retired_, "generations are left");
  const Ring& ring = worker_->ring();
  must_be_zero(ring.BuffersOut(), "receive buffers were not given back");
  must_be_zero(ring.DescriptorsInUse(), "descriptors are still in use");
  must_be_zero(worker_->sessions(), "sessions are still there");
  must_be_zero(shard_.GetWorker(WorkerFamily::kBuffersOut), "buffers or blocks are still out");
  must_be_zero(shard_.GetWorker(WorkerFamily::kStale), "completions were stale");
  must_be_zero(sources_.shares.AllSessions(), "sessions still count for their sources");
  must_be_zero(shard_.GetWorker(WorkerFamily::kLogLost), "log lines were lost");
  for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
    for (size_t phase = 0; phase < std::size(kSessionPhaseLabels); ++phase) {
      must_be_zero(shard_.Get(Family::kSessions, id, phase),
                   "is the gauge of sessions in " + std::string(kSessionPhaseLabels[phase]));
    }
  }
  for (ServerId id = 0; id < backends_->server_count(); ++id) {
    must_be_zero(shard_.GetServer(ServerFamily::kBackendSessions, id),
                 "is the gauge of a server's sessions");
  }
}

}  // namespace starling::sim
