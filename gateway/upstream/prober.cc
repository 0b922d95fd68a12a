#include "gateway/upstream/prober.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "gateway/upstream/probing.h"

namespace starling {
namespace {

using Clock = Probing::Clock;

// Beyond any useful `retry_max_ms`, and shifts stay defined.
constexpr uint32_t kMostDoublings = 16;
constexpr std::chrono::minutes kPortsReport{1};
// Until a slot that is being changed is looked at again.
constexpr std::chrono::milliseconds kChanging{10};
constexpr int64_t kLongestWaitMs = 3'600'000;
// How late the end of a prober may be that had no descriptor left to be woken by.
constexpr int64_t kLateEndMs = 1'000;

// Keeps a server's address as it is.
class Hold {
 public:
  explicit Hold(ServerState& state) : state_(state.probes.Take() ? &state : nullptr) {}
  ~Hold() {
    if (state_ != nullptr) state_->probes.Leave();
  }
  Hold(Hold&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Hold& operator=(Hold&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  explicit operator bool() const { return state_ != nullptr; }

 private:
  ServerState* state_;
};

// The prober's own state of a server.
struct ProbedServer {
  Server* server = nullptr;
  ServerId id = 0;
  uint32_t backend = 0;
  uint32_t occupant = 0;             // whose state this is
  bool reported_up = true;           // the latest state that ReportChange reported
  uint32_t failures = 0;             // probes in a row that found it down
  Clock::time_point ports_reported;  // the epoch before the first
  bool judged = false;               // the running probe's result is stored
  Clock::time_point started;         // the latest probe; the epoch before the first
  uint64_t turn = 0;                 // of the addresses to connect from
  Clock::time_point due;             // the next probe
  // What the running probe refers to, if it was begun by an earlier prober.
  std::shared_ptr<const Prober::Options> options;
  std::shared_ptr<const Backends> backends;
  std::optional<Hold> hold;
  std::unique_ptr<Probing> probing;

  void Drop() {
    probing.reset();
    hold.reset();
    options.reset();
    backends.reset();
  }
};

// A probe by one of them finds out the same as a probe by the other.
bool ProbesAlike(const ProbePlan& a, const ProbePlan& b) {
  return a.protocol == b.protocol && a.ask == b.ask && a.must_speak == b.must_speak &&
         a.options.hostname == b.options.hostname &&
         a.options.served_names == b.options.served_names;
}
bool ReachedAlike(const BackendConfig& a, const BackendConfig& b) {
  return a.proxy == b.proxy && a.tls == b.tls && a.sources == b.sources;
}

}  // namespace

struct Prober::Impl {
  Impl(Backends& backends_in, Options options_in);
  ~Impl();

  void Run();
  void Stop();
  void TakeOver(Impl& before, const std::shared_ptr<const Backends>& its_backends);
  void TakeOver(ProbedServer& target, Impl& before, ProbedServer& its_target,
                const std::shared_ptr<const Backends>& its_backends, Clock::time_point now);
  void Begin(ProbedServer& target, Clock::time_point now);
  void Conclude(ProbedServer& target, Clock::time_point now);
  std::chrono::milliseconds WaitAfter(const ProbedServer& target, bool up);
  void Hear(ProbedServer& target, Clock::time_point now);
  void ReportChange(ProbedServer& target, Clock::time_point now);
  void Tell(const ProbedServer& target, News news);
  bool Follow(ProbedServer& target);
  ProbedServer* LongestDue(Clock::time_point now);
  // Ends and starts probes. Returns when there is something to do next.
  Clock::time_point StartDue(Clock::time_point now);

  Backends& backends;
  const std::shared_ptr<const Options> options;
  std::minstd_rand random{std::random_device()()};  // so that gateways do not probe in step
  const int stop_fd;                                // -1: no descriptor was left
  std::atomic<bool> stops{false};
  std::vector<ProbedServer> probed_servers;
  size_t running = 0;
  std::thread thread;
};

Prober::Impl::Impl(Backends& backends_in, Options options_in)
    : backends(backends_in),
      options(std::make_shared<const Options>(std::move(options_in))),
      stop_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      probed_servers(backends.server_count()) {
  for (ServerId id = 0; id < probed_servers.size(); ++id) {
    ProbedServer& target = probed_servers[id];
    target.server = &backends.server(id);
    target.id = id;
    target.backend = backends.BackendOf(id);
    target.occupant = target.server->occupant;
    target.reported_up = target.server->up();
  }
}

Prober::Impl::~Impl() {
  Stop();
  if (stop_fd >= 0) close(stop_fd);
}

void Prober::Impl::Stop() {
  if (!thread.joinable()) return;
  stops.store(true, std::memory_order_relaxed);
  eventfd_write(stop_fd, 1);
  thread.join();
}

void Prober::Impl::TakeOver(Impl& before, const std::shared_ptr<const Backends>& its_backends) {
  before.Stop();
  const Clock::time_point now = Clock::now();
  for (ProbedServer& target : probed_servers) {
    if (target.server->gone()) continue;
    const std::string& backend = backends.config(target.backend).name;
    const auto found = std::ranges::find_if(before.probed_servers, [&](const ProbedServer& its) {
      return its.server->name == target.server->name && its.occupant == its.server->occupant &&
             !its.server->gone() && before.backends.config(its.backend).name == backend;
    });
    if (found != before.probed_servers.end()) TakeOver(target, before, *found, its_backends, now);
  }
}

// However often there is a reload, a probe that runs goes on: one that began again each time would
// never find out that a server is silent.
void Prober::Impl::TakeOver(ProbedServer& target, Impl& before, ProbedServer& its_target,
                            const std::shared_ptr<const Backends>& its_backends,
                            Clock::time_point now) {
  target.reported_up = its_target.reported_up;
  target.failures = its_target.failures;
  target.ports_reported = its_target.ports_reported;
  target.started = its_target.started;
  target.turn = its_target.turn;
  // A new configuration may change what a probe finds, certificates for one.
  target.due = std::min(
      its_target.due, std::max(now, target.started + std::chrono::milliseconds(options->retry_ms)));
  if (its_target.probing == nullptr) return;
  if (!ProbesAlike(options->plans[target.backend], before.options->plans[its_target.backend]) ||
      !ReachedAlike(backends.config(target.backend), before.backends.config(its_target.backend))) {
    target.due = now;
    return;
  }
  target.judged = its_target.judged;
  target.options = its_target.options != nullptr ? its_target.options : before.options;
  target.backends = its_target.backends != nullptr ? its_target.backends : its_backends;
  target.hold = std::move(its_target.hold);
  target.probing = std::move(its_target.probing);
  ++running;
}

// Whether there is a server in the slot. What is known of the one before it is forgotten.
bool Prober::Impl::Follow(ProbedServer& target) {
  const Server& server = *target.server;
  if (server.gone() && target.probing != nullptr) {
    target.Drop();
    --running;
  }
  if (server.gone()) return false;
  const uint32_t occupant = server.occupant;
  // Who holds the server knows which one it is.
  if (target.probing != nullptr || target.occupant == occupant) return true;
  target = ProbedServer{.server = target.server,
                        .id = target.id,
                        .backend = target.backend,
                        .occupant = occupant,
                        .reported_up = true,
                        .ports_reported = {},
                        .started = {},
                        .due = {},
                        .options = {},
                        .backends = {},
                        .hold = {},
                        .probing = {}};
  return true;
}

void Prober::Impl::Begin(ProbedServer& target, Clock::time_point now) {
  const uint32_t backend = target.backend;
  target.hold.emplace(*target.server->state);
  if (!*target.hold || target.server->occupant != target.occupant) {  // it has just changed
    target.hold.reset();
    target.due = now + kChanging;
    return;
  }
  target.started = now;
  target.judged = false;
  // What sessions find from now on wants another probe.
  target.server->state->suspected.store(false, std::memory_order_relaxed);
  UpstreamTls* const tls = backend < options->tls.size() ? options->tls[backend].get() : nullptr;
  const auto index = static_cast<uint32_t>(target.server - backends.ServersOf(backend).data());
  target.probing =
      std::make_unique<Probing>(Probing::Target{*target.server, backends.config(backend),
                                                options->plans[backend], tls, index, target.turn++},
                                now, now + std::chrono::milliseconds(options->timeout_ms));
  ++running;
}

void Prober::Impl::Conclude(ProbedServer& target, Clock::time_point now) {
  const Probing& probing = *target.probing;
  // Only once, because a worker may report something newer while the probe says goodbye.
  if (probing.up() && !target.judged) {
    target.judged = true;
    backends.NoteProbe(target.id, *probing.up());
    if (probing.capabilities()) {
      target.server->state->capabilities.store(*probing.capabilities(), std::memory_order_relaxed);
    }
  }
  if (!probing.over()) return;
  if (!probing.up()) {
    target.due = now + std::chrono::milliseconds(options->retry_ms);
    target.Drop();
    --running;
    return;
  }
  // Reads the current state: since the result, a worker may have found the server down.
  const bool up = target.server->up();
  target.failures = up ? 0 : target.failures + 1;
  target.due = now + WaitAfter(target, up);
  target.Drop();
  --running;
}

// A server that stays down is asked half as often each time, up to a limit. Most are back soon:
// they were restarted.
std::chrono::milliseconds Prober::Impl::WaitAfter(const ProbedServer& target, bool up) {
  if (up) return std::chrono::milliseconds(options->interval_ms);
  const uint32_t doublings = std::min<uint32_t>(target.failures - 1, kMostDoublings);
  const uint64_t first = std::max<uint64_t>(options->retry_ms / 4, 1);
  const uint64_t ms =
      std::min<uint64_t>(first << doublings, std::max(options->retry_ms, options->retry_max_ms));
  if (options->jitter) return std::chrono::milliseconds(options->jitter(static_cast<uint32_t>(ms)));
  return std::chrono::milliseconds(
      std::uniform_int_distribution<uint64_t>(ms - ms / 4, ms)(random));
}

// What sessions have found. A server that one of them suspects, or found down, is probed at
// once, but no more often than every `retry_ms`.
void Prober::Impl::Hear(ProbedServer& target, Clock::time_point now) {
  Server& server = *target.server;
  if (server.state->suspected.load(std::memory_order_relaxed) && target.probing == nullptr) {
    const auto retry = std::chrono::milliseconds(options->retry_ms);
    target.due = std::min(target.due, std::max(now, target.started + retry));
  }
  if (now < target.ports_reported + kPortsReport) return;
  if (!server.state->out_of_ports.exchange(false, std::memory_order_relaxed)) return;
  target.ports_reported = now;
  Tell(target, News::kOutOfPorts);
}

// Reports a change that a probe or a worker has made.
void Prober::Impl::ReportChange(ProbedServer& target, Clock::time_point now) {
  const bool up = target.server->up();
  if (up == target.reported_up) return;
  target.reported_up = up;
  if (!up && target.failures == 0) {
    const auto retry = std::chrono::milliseconds(options->retry_ms);
    target.due = std::min(target.due, std::max(now, target.started + retry));
  }
  Tell(target, up ? News::kUp : News::kDown);
}

void Prober::Impl::Tell(const ProbedServer& target, News news) {
  if (!options->on_news) return;
  // Its name must not change meanwhile.
  const Hold hold(*target.server->state);
  if (hold && target.server->occupant == target.occupant) {
    options->on_news(backends.config(target.backend), *target.server, news);
  }
}

// The server that has waited longest for its probe; null: none waits.
ProbedServer* Prober::Impl::LongestDue(Clock::time_point now) {
  ProbedServer* longest = nullptr;
  for (ProbedServer& target : probed_servers) {
    if (target.probing != nullptr || target.due > now || target.server->gone()) continue;
    if (longest == nullptr || target.due < longest->due) longest = &target;
  }
  return longest;
}

Clock::time_point Prober::Impl::StartDue(Clock::time_point now) {
  // A probe that is over makes room for one that waits.
  for (ProbedServer& target : probed_servers) {
    if (!Follow(target)) continue;
    if (target.probing != nullptr) Conclude(target, now);
    Hear(target, now);
    ReportChange(target, now);
  }
  while (running < options->parallel) {
    ProbedServer* const target = LongestDue(now);
    if (target == nullptr) break;
    Begin(*target, now);
  }
  Clock::time_point next = Clock::time_point::max();
  for (const ProbedServer& target : probed_servers) {
    if (target.server->gone()) continue;
    if (target.probing != nullptr) {
      // A connect may have failed at once.
      next = std::min(next, target.probing->over() ? now : target.probing->wake_at());
    } else if (running < options->parallel) {
      next = std::min(next, target.due);
    }
  }
  return next;
}

void Prober::Impl::Run() {
  std::vector<pollfd> polled;
  std::vector<ProbedServer*> asked;
  while (!stops.load(std::memory_order_relaxed)) {
    const Clock::time_point start = Clock::now();
    const Clock::time_point next = StartDue(start);
    polled.assign({{stop_fd, POLLIN, 0}, {backends.wake_fd(), POLLIN, 0}});
    asked.clear();
    for (ProbedServer& target : probed_servers) {
      if (target.probing == nullptr || target.probing->over()) continue;
      polled.push_back({target.probing->fd(), target.probing->events(), 0});
      asked.push_back(&target);
    }
    int64_t timeout = stop_fd < 0 ? kLateEndMs : -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - start).count();
      timeout = std::clamp<int64_t>(left, 0, stop_fd < 0 ? kLateEndMs : kLongestWaitMs);
    }
    poll(polled.data(), polled.size(), static_cast<int>(timeout));
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

Prober::Prober(const Config& config, std::vector<std::shared_ptr<UpstreamTls>> tls,
               Backends& backends, OnNews on_news)
    : Prober(backends, Options{.plans = PlanProbes(config),
                               .tls = std::move(tls),
                               .interval_ms = config.limits.probe_interval_ms,
                               .retry_ms = config.limits.probe_retry_ms,
                               .retry_max_ms = config.limits.probe_retry_max_ms,
                               .timeout_ms = config.limits.probe_timeout_ms,
                               .on_news = std::move(on_news)}) {}

Prober::~Prober() = default;

void Prober::TakeOver(Prober& before, const std::shared_ptr<const Backends>& its_backends) {
  impl_->TakeOver(*before.impl_, its_backends);
}

void Prober::Start() {
  impl_->thread = std::thread([this] {
    pthread_setname_np(pthread_self(), "prober");
    impl_->Run();
  });
}

}  // namespace starling
