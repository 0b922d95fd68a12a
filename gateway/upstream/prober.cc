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
struct ProbedServer {
  Server* server = nullptr;
  bool reported_up = true;    // the latest state that ReportChange reported
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
  void Begin(ProbedServer& target, Clock::time_point now);
  void Conclude(ProbedServer& target, Clock::time_point now);
  void ReportChange(ProbedServer& target, Clock::time_point now);
  // Starts the due probes. Returns when there is something to do next.
  Clock::time_point StartDue(Clock::time_point now);

  Backends& backends;
  const Options options;
  const int stop_fd;
  std::vector<ProbedServer> probed_servers;
  size_t running = 0;
  std::thread thread;
};

Prober::Impl::Impl(Backends& backends_in, Options options_in)
    : backends(backends_in),
      options(std::move(options_in)),
      stop_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      probed_servers(backends.server_count()) {
  for (ServerId id = 0; id < probed_servers.size(); ++id) {
    probed_servers[id].server = &backends.server(id);
    probed_servers[id].reported_up = probed_servers[id].server->up.load(std::memory_order_relaxed);
  }
}

Prober::Impl::~Impl() {
  if (thread.joinable()) {
    eventfd_write(stop_fd, 1);
    thread.join();
  }
  if (stop_fd >= 0) close(stop_fd);
}

void Prober::Impl::Begin(ProbedServer& target, Clock::time_point now) {
  const uint32_t backend = target.server->backend;
  target.started = now;
  target.judged = false;
  target.probing =
      std::make_unique<Probing>(*target.server, backends.config(backend), options.plans[backend],
                                now, now + std::chrono::milliseconds(options.timeout_ms));
  ++running;
}

void Prober::Impl::Conclude(ProbedServer& target, Clock::time_point now) {
  const Probing& probing = *target.probing;
  // Only once, because a worker may report something newer while the probe says goodbye.
  if (probing.up() && !target.judged) {
    target.judged = true;
    target.server->up.store(*probing.up(), std::memory_order_relaxed);
    if (probing.capabilities()) {
      target.server->capabilities.store(*probing.capabilities(), std::memory_order_relaxed);
    }
  }
  if (!probing.over()) return;
  // Reads the current state: since the result, a worker may have found the server down.
  const bool up = target.server->up.load(std::memory_order_relaxed);
  target.due = now + std::chrono::milliseconds(up ? options.interval_ms : options.retry_ms);
  target.probing.reset();
  --running;
}

// Reports a change that a probe or a worker has made. The prober soon probes a server
// that a worker found down, but not more often than other servers that are down.
void Prober::Impl::ReportChange(ProbedServer& target, Clock::time_point now) {
  const bool up = target.server->up.load(std::memory_order_relaxed);
  if (up == target.reported_up) return;
  target.reported_up = up;
  if (!up) {
    const auto retry = std::chrono::milliseconds(options.retry_ms);
    target.due = std::min(target.due, std::max(now, target.started + retry));
  }
  if (options.on_change) options.on_change(*target.server, up);
}

Clock::time_point Prober::Impl::StartDue(Clock::time_point now) {
  Clock::time_point next = Clock::time_point::max();
  for (ProbedServer& target : probed_servers) {
    if (target.probing == nullptr && target.due <= now && running < options.parallel) {
      Begin(target, now);
    }
    // A connect may have failed at once; then the probe is over before poll.
    if (target.probing != nullptr) Conclude(target, now);
    ReportChange(target, now);
    if (target.probing != nullptr) {
      next = std::min(next, target.probing->wake_at());
    } else if (running < options.parallel) {
      next = std::min(next, target.due);
    }
  }
  return next;
}

void Prober::Impl::Run() {
  std::vector<pollfd> polled;
  std::vector<ProbedServer*> asked;
  while (true) {
    const Clock::time_point start = Clock::now();
    const Clock::time_point next = StartDue(start);
    polled.assign({{stop_fd, POLLIN, 0}, {backends.wake_fd(), POLLIN, 0}});
    asked.clear();
    for (ProbedServer& target : probed_servers) {
      if (target.probing == nullptr) continue;
      polled.push_back({target.probing->fd(), target.probing->events(), 0});
      asked.push_back(&target);
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
    for (size_t i = 0; i < asked.size(); ++i) {
      const short revents = polled[i + 2].revents;
      Probing& probing = *asked[i]->probing;
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
