#include "gateway/upstream/address_slots.h"

#include <algorithm>
#include <utility>

#include "gateway/upstream/balance.h"

namespace starling {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

void Describe(Server& server, const WantedServer& wanted) {
  server.weight = wanted.weight;
  server.priority = wanted.priority;
  server.max_sessions = wanted.max_sessions;
  server.drains = wanted.drains;
}

// One session tries it before the others, and then it begins with little.
void Introduce(ServerState& state, MonoTime now) {
  state.came_up.store(now, kRelaxed);
  state.trial_until.store(MonoTime::min(), kRelaxed);
  state.health.store(Health::kTrial, kRelaxed);
}

}  // namespace

AddressSlots::AddressSlots() {
  for (Server& server : servers_) {
    server.state = std::make_shared<ServerState>();
    server.state->gone.store(true, kRelaxed);
    server.state->sessions.Close();
    server.state->probes.Close();
  }
}

// Another name in the certificate makes another server of it.
size_t AddressSlots::Find(const WantedServer& wanted) const {
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (uses_[i] != Use::kFree && servers_[i].address == wanted.address &&
        servers_[i].tls_name == wanted.tls_name) {
      return i;
    }
  }
  return kMaxServers;
}

std::vector<std::string> AddressSlots::Missing(const Wanted& wanted) const {
  std::vector<std::string> names;
  for (const WantedServer& one : wanted) {
    if (Find(one) == kMaxServers) names.push_back(one.name);
  }
  return names;
}

AddressSlots::Applied AddressSlots::Apply(const Wanted& wanted, const SeriesByName& series,
                                          MonoTime now, bool first) {
  Applied applied;
  std::vector<const WantedServer*> later;
  // Those that join come first: there is no moment without a server.
  std::array<bool, kMaxServers> stays{};
  for (const WantedServer& one : wanted) {
    const size_t known = Find(one);
    if (known == kMaxServers) {
      if (Open(one, series, now, first)) {
        stays[Find(one)] = true;
        applied.joined.push_back(one.name);
      } else {
        later.push_back(&one);
      }
      continue;
    }
    stays[known] = true;
    Describe(servers_[known], one);
    if (std::exchange(uses_[known], Use::kOpen) == Use::kOpen) continue;
    Introduce(*servers_[known].state, now);
    servers_[known].state->gone.store(false, std::memory_order_release);
    applied.joined.push_back(one.name);
  }
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (uses_[i] != Use::kOpen || stays[i]) continue;
    uses_[i] = Use::kLeaving;
    servers_[i].state->gone.store(true, kRelaxed);
    applied.left.push_back(servers_[i].name);
    if (!later.empty()) Close(i);
  }
  for (const WantedServer* const one : later) {
    if (Open(*one, series, now, first)) {
      applied.joined.push_back(one->name);
    } else {
      ++applied.no_room;
    }
  }
  return applied;
}

bool AddressSlots::Open(const WantedServer& wanted, const SeriesByName& series, MonoTime now,
                        bool first) {
  const auto free = std::ranges::find(uses_, Use::kFree);
  const auto id = series.find(wanted.name);
  if (free == uses_.end() || id == series.end()) return false;
  *free = Use::kOpen;
  Server& server = servers_[static_cast<size_t>(free - uses_.begin())];
  server.address = wanted.address;
  server.name = wanted.name;
  server.tls_name = wanted.tls_name;
  server.series = id->second;
  server.key = HashOf(wanted.name);
  server.occupant = server.occupant + 1;
  Describe(server, wanted);
  server.state->Forget();
  if (!first) Introduce(*server.state, now);
  server.state->probes.Open();
  server.state->sessions.Open();
  server.state->gone.store(false, std::memory_order_release);
  return true;
}

// False: somebody holds it.
bool AddressSlots::Close(size_t index) {
  ServerState& state = *servers_[index].state;
  if (!state.sessions.Close()) return false;
  if (!state.probes.Close()) {
    state.sessions.Open();
    return false;
  }
  uses_[index] = Use::kFree;
  freed_.push_back(servers_[index].series);
  return true;
}

std::vector<uint32_t> AddressSlots::Sweep() {
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (uses_[i] == Use::kLeaving) Close(i);
  }
  return std::exchange(freed_, {});
}

bool AddressSlots::any_leaving() const {
  return std::ranges::find(uses_, Use::kLeaving) != uses_.end();
}

}  // namespace starling
