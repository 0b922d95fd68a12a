#include "gateway/upstream/prober.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "gateway/upstream/probing.h"

namespace starling {
namespace {

using Clock = Probing::Clock;

// The prober's own state of a server.
struct Patient {
  Server* server = nullptr;
  bool announced = true;      // the latest state that Announce reported
  bool judged = false;        // the running probe's result is stored
  Clock::time_point started;  // the latest probe; the epoch before the first
  Clock::time_point due;      // the next probe
  std::unique_ptr<Probing> probing;
};

}  // namespace

std::vector<ProbePlan> PlanProbes(const Config& config) {
  std::vector<ProbePlan> plans(config.backends.size());
  std::vector<bool> mixed(plans.size());
  for (const ListenerConfig& listener : config.listeners) {
    const bool asks = listener.tls == TlsMode::kStartTls &&
                      (listener.dialogue.policy == Policy::kOpportunistic ||
                       listener.protocol->probe_under_require) &&
                      listener.protocol->create_probe != nullptr;
    for (const int64_t backend : {static_cast<int64_t>(listener.backend),
                                  static_cast<int64_t>(listener.plaintext_backend)}) {
      if (backend < 0) continue;
      const size_t index = static_cast<size_t>(backend);
      ProbePlan& plan = plans[index];
      if (plan.protocol != nullptr && plan.protocol != listener.protocol) mixed[index] = true;
      if (plan.protocol == nullptr || (asks && !plan.ask)) {
        plan = {listener.protocol, asks, listener.dialogue};
      }
    }
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    // The prober does not speak TLS, so it only connects to servers with TLS.
    if (mixed[i] || config.backends[i].tls.enabled) plans[i] = ProbePlan();
  }
  return plans;
}

struct Prober::Impl {
  Impl(Backends& backends_in, Options options_in);
  ~Impl();

  void Run();
  void Begin(Patient& patient, Clock::time_point now);
  void Conclude(Patient& patient, Clock::time_point now);
  void Announce(Patient& patient, Clock::time_point now);
  // Starts the due probes. Returns when there is something to do next.
  Clock::time_point StartDue(Clock::time_point now);

  Backends& backends;
  const Options options;
  const int stop_fd;
  std::vector<Patient> patients;
  size_t running = 0;
  std::thread thread;
};

Prober::Impl::Impl(Backends& backends_in, Options options_in)
    : backends(backends_in),
      options(std::move(options_in)),
      stop_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      patients(backends.server_count()) {
  for (ServerId id = 0; id < patients.size(); ++id) {
    patients[id].server = &backends.server(id);
    patients[id].announced = patients[id].server->up.load(std::memory_order_relaxed);
  }
}

Prober::Impl::~Impl() {
  if (thread.joinable()) {
    eventfd_write(stop_fd, 1);
    thread.join();
  }
  if (stop_fd >= 0) close(stop_fd);
}

void Prober::Impl::Begin(Patient& patient, Clock::time_point now) {
  const uint32_t backend = patient.server->backend;
  patient.started = now;
  patient.judged = false;
  patient.probing =
      std::make_unique<Probing>(*patient.server, backends.config(backend), options.plans[backend],
                                now, now + std::chrono::milliseconds(options.timeout_ms));
  ++running;
}

void Prober::Impl::Conclude(Patient& patient, Clock::time_point now) {
  const Probing& probing = *patient.probing;
  // Only once, because a worker may report something newer while the probe says goodbye.
  if (probing.up() && !patient.judged) {
    patient.judged = true;
    patient.server->up.store(*probing.up(), std::memory_order_relaxed);
    if (probing.capabilities()) {
      patient.server->capabilities.store(*probing.capabilities(), std::memory_order_relaxed);
    }
  }
  if (!probing.over()) return;
  // Reads the current state: since the result, a worker may have found the server down.
  const bool up = patient.server->up.load(std::memory_order_relaxed);
  patient.due = now + std::chrono::milliseconds(up ? options.interval_ms : options.retry_ms);
  patient.probing.reset();
  --running;
}

// Reports a change that a probe or a worker has made. The prober soon probes a server
// that a worker found down, but not more often than other servers that are down.
void Prober::Impl::Announce(Patient& patient, Clock::time_point now) {
  const bool up = patient.server->up.load(std::memory_order_relaxed);
  if (up == patient.announced) return;
  patient.announced = up;
  if (!up) {
    const auto retry = std::chrono::milliseconds(options.retry_ms);
    patient.due = std::min(patient.due, std::max(now, patient.started + retry));
  }
  if (options.on_change) options.on_change(*patient.server, up);
}

Clock::time_point Prober::Impl::StartDue(Clock::time_point now) {
  Clock::time_point next = Clock::time_point::max();
  for (Patient& patient : patients) {
    if (patient.probing == nullptr && patient.due <= now && running < options.parallel) {
      Begin(patient, now);
    }
    // A connect may have failed at once; then the probe is over before poll.
    if (patient.probing != nullptr) Conclude(patient, now);
    Announce(patient, now);
    if (patient.probing != nullptr) {
      next = std::min(next, patient.probing->wake_at());
    } else if (running < options.parallel) {
      next = std::min(next, patient.due);
    }
  }
  return next;
}

void Prober::Impl::Run() {
  std::vector<pollfd> polled;
  std::vector<Patient*> probed;
  while (true) {
    const Clock::time_point start = Clock::now();
    const Clock::time_point next = StartDue(start);
    polled.assign({{stop_fd, POLLIN, 0}, {backends.wake_fd(), POLLIN, 0}});
    probed.clear();
    for (Patient& patient : patients) {
      if (patient.probing == nullptr) continue;
      polled.push_back({patient.probing->fd(), patient.probing->events(), 0});
      probed.push_back(&patient);
    }
    int timeout = -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - start).count();
      timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
    }
    poll(polled.data(), polled.size(), timeout);
    if (polled[0].revents != 0) return;
    if (polled[1].revents != 0) {
      eventfd_t count;
      eventfd_read(backends.wake_fd(), &count);
    }
    const Clock::time_point now = Clock::now();
    for (size_t i = 0; i < probed.size(); ++i) {
      const short revents = polled[i + 2].revents;
      Probing& probing = *probed[i]->probing;
      if (revents != 0 || now >= probing.wake_at()) probing.Turn(revents, now);
    }
  }
}

Prober::Prober(Backends& backends, Options options)
    : impl_(std::make_unique<Impl>(backends, std::move(options))) {}

Prober::Prober(const Config& config, Backends& backends, OnChange on_change)
    : Prober(backends, Options{.plans = PlanProbes(config),
                               .interval_ms = config.limits.probe_interval_ms,
                               .retry_ms = config.limits.probe_retry_ms,
                               .timeout_ms = config.limits.probe_timeout_ms,
                               .on_change = std::move(on_change)}) {}

Prober::~Prober() = default;

void Prober::Start() {
  impl_->thread = std::thread([this] {
    pthread_setname_np(pthread_self(), "prober");
    impl_->Run();
  });
}

}  // namespace starling
