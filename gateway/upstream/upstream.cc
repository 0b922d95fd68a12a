#include "gateway/upstream/upstream.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "gateway/limits.h"
#include "gateway/upstream/balance.h"

namespace starling {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::chrono::milliseconds kTrialTime{kTrialMs};
// The places of a server without a limit. The sum for a backend's servers stays defined.
constexpr uint64_t kUnlimited = UINT32_MAX;

// `always`: although it has as many sessions as it may have.
bool TakePlace(const Server& server, bool always) {
  const uint32_t most = server.max_sessions;
  return server.state->sessions.Take(always ? 0 : most);
}

uint64_t PlacesLeft(const Server& server) {
  const uint32_t most = server.max_sessions;
  if (most == 0) return kUnlimited;
  return most - std::min(server.state->sessions.count(), most);
}

// Whether a session may have it at all.
bool IsOffered(const Server& server, bool all) {
  if (server.gone()) return all && server.state->sessions.count() > 0;
  return all || !server.drains;
}

bool InTrial(const Server& server) { return server.state->health.load(kRelaxed) == Health::kTrial; }

// For one session at a time. One that takes too long no longer counts.
bool TakeTrial(Server& server, MonoTime now) {
  MonoTime until = server.state->trial_until.load(kRelaxed);
  return until <= now &&
         server.state->trial_until.compare_exchange_strong(until, now + kTrialTime, kRelaxed);
}

// It may get sessions as one that is up.
bool TakesSessions(const Server& server, MonoTime now) {
  const Health health = server.state->health.load(kRelaxed);
  return health == Health::kUp ||
         (health == Health::kTrial && server.state->trial_until.load(kRelaxed) <= now);
}

bool IsTried(uint64_t tried, size_t index) { return (tried >> index & 1) != 0; }

// A slow server counts as prompt for the session that is to find out whether it is.
Pace PaceFor(const Server& server, const Backends::Request& request) {
  const ServerPace& pace = server.state->pace;
  const bool finds_out = !request.retries && pace.IsTrialDue(request.now);
  return request.all || finds_out ? Pace::kPrompt : pace.pace();
}

}  // namespace

Endpoint SourceFor(const BackendConfig& backend, const SocketAddress& server, uint64_t turn) {
  const Endpoint::Family family = server.endpoint().family;
  const auto fits = [&](const Endpoint& source) { return source.family == family; };
  const auto count = static_cast<uint64_t>(std::ranges::count_if(backend.sources, fits));
  if (count == 0) return {};
  uint64_t skip = turn % count;
  for (const Endpoint& source : backend.sources) {
    if (fits(source) && skip-- == 0) return source;
  }
  return {};
}

Backends::Backends(const std::vector<BackendConfig>& configs, const SeriesOf& series)
    : backend_count_(configs.size()),
      backends_(std::make_unique<Backend[]>(configs.size())),
      wakeup_(std::make_shared<const Wakeup>()) {
  for (uint32_t b = 0; b < backend_count_; ++b) {
    Backend& backend = backends_[b];
    backend.config = std::make_unique<const BackendConfig>(configs[b]);
    backend.first = static_cast<uint32_t>(servers_.size());
    backend.limited = std::ranges::any_of(
        configs[b].servers, [](const ServerConfig& server) { return server.max_sessions != 0; });
    const bool named = HasNames(configs[b]);
    backend.count = static_cast<uint32_t>(named ? kMaxServers
                                                : std::min(configs[b].servers.size(), kMaxServers));
    servers_.resize(servers_.size() + backend.count);
    if (named) {
      UseSlots(b, std::make_shared<AddressSlots>());
    } else {
      MakeServers(b, series);
    }
  }
}

void Backends::UseSlots(uint32_t backend, std::shared_ptr<AddressSlots> slots) {
  Backend& of = backends_[backend];
  of.servers = std::shared_ptr<Server[]>(slots, slots->servers().data());
  of.slots = std::move(slots);
  for (uint32_t i = 0; i < of.count; ++i) servers_[of.first + i] = {&of.servers[i], backend};
}

void Backends::MakeServers(uint32_t backend, const SeriesOf& series) {
  Backend& of = backends_[backend];
  of.servers = std::shared_ptr<Server[]>(new Server[of.count]);
  for (uint32_t i = 0; i < of.count; ++i) {
    const ServerConfig& config = of.config->servers[i];
    Server& server = of.servers[i];
    server.address = config.address;
    server.name = server.address.ToString();
    server.series = series ? series(of.config->name, server.name) : of.first + i;
    server.key = HashOf(server.name);
    server.weight = config.weight;
    server.priority = config.priority;
    server.max_sessions = config.max_sessions;
    server.drains = config.drains;
    server.state = std::make_shared<ServerState>();
    servers_[of.first + i] = {&server, backend};
  }
}

Backends::Wakeup::Wakeup() : fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Backends::Wakeup::~Wakeup() {
  if (fd >= 0) close(fd);
}

// Until its names are looked up, a backend that had none before keeps the servers that it had.
void Backends::Seed(uint32_t backend, const Backends& before) {
  AddressSlots::Wanted wanted;
  AddressSlots::SeriesByName series;
  for (uint32_t b = 0; b < before.size(); ++b) {
    if (before.config(b).name != config(backend).name) continue;
    for (const Server& server : before.ServersOf(b)) {
      wanted.push_back({.address = server.address,
                        .name = server.name,
                        .tls_name = server.tls_name,
                        .weight = server.weight,
                        .priority = server.priority,
                        .max_sessions = server.max_sessions,
                        .drains = server.drains});
      series.emplace(server.name, server.series);
    }
  }
  slots(backend)->Apply(wanted, series, MonoTime{}, /*first=*/true);
}

void Backends::Inherit(const Backends& before) {
  std::map<std::pair<std::string_view, std::string_view>, const Server*> known;
  std::map<std::string_view, std::shared_ptr<AddressSlots>> slots;
  for (uint32_t b = 0; b < before.size(); ++b) {
    const std::string_view name = before.config(b).name;
    if (before.backends_[b].slots != nullptr) slots.emplace(name, before.backends_[b].slots);
    for (const Server& server : before.ServersOf(b)) {
      if (!server.gone()) known.emplace(std::pair(name, std::string_view(server.name)), &server);
    }
  }
  for (uint32_t b = 0; b < backend_count_; ++b) {
    const std::string_view name = config(b).name;
    if (backends_[b].slots != nullptr) {
      if (const auto found = slots.find(name); found != slots.end()) {
        UseSlots(b, found->second);
      } else {
        Seed(b, before);
      }
      continue;
    }
    for (Server& server : ServersOf(b)) {
      const auto found = known.find({name, server.name});
      if (found != known.end()) server.state = found->second->state;
    }
  }
  wakeup_ = before.wakeup_;
}

// --- The choice of a server ---

// Servers that may be chosen now: of one priority, and of those the ones of the best pace.
struct Backends::Tier {
  std::array<Candidate, kMaxServers> candidates;
  size_t count = 0;
  Pace pace = Pace::kMute;
  uint64_t places = 0;   // that servers of this priority have left
  bool full = false;     // others would be among them, if they had a place
  uint64_t members = 0;  // mask of all servers that may be chosen of this priority

  void Add(const Candidate& candidate, Pace its_pace) {
    if (its_pace > pace) return;
    if (its_pace < pace) count = 0;
    pace = its_pace;
    candidates[count++] = candidate;
  }
};

// A server that has just come up gets little at first: its caches are cold, and whatever
// took it down may do so again.
double Backends::WeightOf(const Server& server, uint32_t slow_start_ms, MonoTime now) const {
  const MonoTime came_up = server.state->came_up.load(kRelaxed);
  if (slow_start_ms == 0 || came_up == MonoTime::min()) return server.weight;
  const std::chrono::duration<double, std::milli> age = now - came_up;
  return server.weight * std::clamp(age.count() / slow_start_ms, kLeastShare, 1.0);
}

Backends::Tier Backends::TierOf(uint32_t backend, const Request& request, bool up,
                                uint64_t passed_over) const {
  Tier tier;
  const std::span<const Server> servers = ServersOf(backend);
  const auto may_be = [&](size_t i) {
    return !IsTried(request.tried | passed_over, i) && IsOffered(servers[i], request.all) &&
           TakesSessions(servers[i], request.now) == up;
  };
  uint32_t priority = UINT32_MAX;
  for (size_t i = 0; i < servers.size(); ++i) {
    if (may_be(i)) priority = std::min<uint32_t>(priority, servers[i].priority);
  }
  const uint32_t slow_start_ms = config(backend).slow_start_ms;
  for (size_t i = 0; i < servers.size(); ++i) {
    const Server& server = servers[i];
    if (server.priority != priority || !may_be(i)) continue;
    tier.members |= uint64_t{1} << i;
    const uint64_t places = request.all ? kUnlimited : PlacesLeft(server);
    if (places == 0) {
      tier.full = true;
      continue;
    }
    tier.places += places;
    tier.Add({.index = static_cast<int>(i),
              .weight = WeightOf(server, slow_start_ms, request.now),
              .sessions = server.state->sessions.count(),
              .key = server.key},
             PaceFor(server, request));
  }
  return tier;
}

// A backup that is prompt is better than a server before it that is not. It is no better than one
// that is full: those who set limits have a queue.
Backends::Tier Backends::Best(uint32_t backend, const Request& request, bool up) const {
  const uint64_t keep = PlacesKept(backend, request);
  Tier best = TierOf(backend, request, up, 0);
  uint64_t passed_over = best.members;
  while (best.count > 0 && best.pace != Pace::kPrompt) {
    const Tier next = TierOf(backend, request, up, passed_over);
    if (next.members == 0) break;
    passed_over |= next.members;
    if (next.places > keep && next.pace < best.pace) best = next;
  }
  return best;
}

// Each session that waits has one of the places. Some servers may be out of the question for it, so
// places beyond that are for those that come now.
uint64_t Backends::PlacesKept(uint32_t backend, const Request& request) const {
  const Backend& of = backends_[backend];
  return of.limited && !request.waited && !request.all ? of.waiting.load(kRelaxed) : 0;
}

Backends::Picked Backends::Pick(uint32_t backend, const Request& request) {
  const Backend& of = backends_[backend];
  const uint64_t keep = PlacesKept(backend, request);
  for (const bool up : {true, false}) {
    // Another worker may take a place or a trial meanwhile.
    for (uint32_t round = 0; round <= of.count; ++round) {
      const Tier tier = Best(backend, request, up);
      if (tier.count == 0 && !tier.full) break;
      if (tier.count == 0 || tier.places <= keep) return {.full = true};
      if (tier.places <= keep + request.spares) return {.full = true, .spared = true};
      const int chosen = Choose(of.config->balance, {tier.candidates.data(), tier.count}, of.count,
                                *request.cursor, request.source);
      Server& server = of.servers[static_cast<size_t>(chosen)];
      if (up && InTrial(server) && !TakeTrial(server, request.now)) continue;
      if (!TakePlace(server, request.all)) continue;
      if (server.state->pace.pace() != Pace::kPrompt) {
        server.state->pace.TakeTrial(request.next_trial);
      }
      return {.server = chosen};
    }
  }
  return {};
}

bool Backends::HasOther(uint32_t backend, const Request& request, ServerId present) const {
  const uint64_t keep = PlacesKept(backend, request);
  return Best(backend, request, /*up=*/true).places > keep ||
         ((request.all || !server(present).up()) &&
          Best(backend, request, /*up=*/false).places > keep);
}

bool Backends::HasSooner(uint32_t backend, const Request& request, ServerId present,
                         const TimeLeft& left) const {
  const Tier tier = Best(backend, request, /*up=*/true);
  if (tier.places <= PlacesKept(backend, request)) return false;
  if (tier.pace >= server(present).state->pace.pace()) return false;
  return std::ranges::all_of(std::span(tier.candidates.data(), tier.count),
                             [&](const Candidate& candidate) {
                               return server(IdOf(backend, candidate.index)).state->pace.Fits(left);
                             });
}

bool Backends::JoinQueue(uint32_t backend) {
  std::atomic<uint32_t>& waiting = backends_[backend].waiting;
  uint32_t before = waiting.load(kRelaxed);
  while (before < config(backend).queue) {
    if (waiting.compare_exchange_weak(before, before + 1, kRelaxed)) return true;
  }
  return false;
}

// --- Health ---

void Backends::Wake() const { eventfd_write(wakeup_->fd, 1); }

void Backends::MarkDown(ServerId id) {
  if (server(id).state->health.exchange(Health::kDown, kRelaxed) != Health::kDown) Wake();
}

void Backends::MarkUp(ServerId id, MonoTime now) {
  Server& server = this->server(id);
  // It is nearly always up already. Not writing spares the cache line that all workers read.
  if (server.state->health.load(kRelaxed) == Health::kUp) return;
  server.state->came_up.store(now, kRelaxed);
  if (server.state->health.exchange(Health::kUp, kRelaxed) == Health::kDown) Wake();
}

void Backends::ConfirmTrial(ServerId id, MonoTime now) {
  if (InTrial(server(id))) MarkUp(id, now);
}

void Backends::NoteProbe(ServerId id, bool up) {
  Server& server = this->server(id);
  if (!up) {
    server.state->health.store(Health::kDown, kRelaxed);
  } else if (server.state->health.load(kRelaxed) == Health::kDown) {
    server.state->trial_until.store(MonoTime::min(), kRelaxed);
    server.state->health.store(Health::kTrial, kRelaxed);
  }
}

// `changed`: the prober has something to report as well.
void Backends::AskForProbe(const Server& server, bool changed) {
  if (!server.state->suspected.exchange(true, kRelaxed) || changed) Wake();
}

void Backends::Suspect(ServerId id) {
  const Server& server = this->server(id);
  Health trial = Health::kTrial;
  AskForProbe(server, server.state->health.compare_exchange_strong(trial, Health::kDown, kRelaxed));
}

void Backends::NoteRefusal(ServerId id) {
  const Server& server = this->server(id);
  if (InTrial(server)) server.state->trial_until.store(MonoTime::min(), kRelaxed);
  AskForProbe(server, /*changed=*/false);
}

void Backends::DoubtFull(uint32_t backend, uint64_t tried) {
  const std::span<const Server> servers = ServersOf(backend);
  for (size_t i = 0; i < servers.size(); ++i) {
    const Server& server = servers[i];
    if (IsTried(tried, i) || server.drains || !server.up() || PlacesLeft(server) > 0) continue;
    AskForProbe(server, /*changed=*/false);
  }
}

void Backends::NoteSlow(ServerId id, Wait wait, MonoTime trial_at) {
  server(id).state->pace.NoteSlow(wait, trial_at);
  AskForProbe(server(id), /*changed=*/false);
}

void Backends::NoteMute(ServerId id, Wait wait, MonoTime trial_at) {
  server(id).state->pace.NoteMute(wait, trial_at);
  AskForProbe(server(id), /*changed=*/false);
}

void Backends::NoteOutOfPorts(ServerId id) {
  if (!server(id).state->out_of_ports.exchange(true, kRelaxed)) Wake();
}

uint64_t Backends::Capabilities(uint32_t backend) const {
  uint64_t of_down = 0;
  for (const Server& server : ServersOf(backend)) {
    const uint64_t capabilities = server.state->capabilities.load(kRelaxed);
    if (capabilities == 0 || server.gone()) continue;
    if (server.up()) return capabilities;
    if (of_down == 0) of_down = capabilities;
  }
  return of_down;
}

bool Backends::IsAvailable(uint32_t backend) const {
  return std::ranges::any_of(ServersOf(backend),
                             [](const Server& server) { return server.up() && !server.drains; });
}

std::string_view Backends::FirstUnavailable() const {
  for (uint32_t b = 0; b < backend_count_; ++b) {
    if (!IsAvailable(b)) return backends_[b].config->name;
  }
  return {};
}

bool Backends::NoneAvailable() const {
  for (uint32_t b = 0; b < backend_count_; ++b) {
    if (IsAvailable(b)) return false;
  }
  return true;
}

}  // namespace starling
