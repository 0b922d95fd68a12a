#include "gateway/server_names.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace starling {
namespace {

// Where there is no descriptor to be woken by, and while a thread is missing.
constexpr std::chrono::seconds kLate{1};
constexpr std::chrono::minutes kSeriesCheck{1};

bool Has(const BackendConfig& backend, const NameQuery& query) {
  return std::ranges::any_of(backend.servers, [&](const ServerConfig& server) {
    return server.is_named() && QueryOf(server.by_name) == query;
  });
}

std::string_view WhyRefused(RefusedAddress reason) {
  switch (reason) {
    case RefusedAddress::kNetwork:
      return "it is not in allow_plaintext_network, and the backend has no tls";
    case RefusedAddress::kUnusable:
      return "no server can have it";
    case RefusedAddress::kNoRoom:
      break;
  }
  return "a backend has at most 64 addresses, those included that have left and still have "
         "sessions";
}

}  // namespace

std::vector<NameQuery> NamesOf(const Config& config) {
  std::set<NameQuery> names;
  for (const BackendConfig& backend : config.backends) {
    for (const ServerConfig& server : backend.servers) {
      if (server.is_named()) names.insert(QueryOf(server.by_name));
    }
  }
  return {names.begin(), names.end()};
}

ResolverOptions ResolverOptionsOf(const ResolveOptions& options) {
  std::vector<std::string> servers;
  servers.reserve(options.servers.size());
  for (const SocketAddress& server : options.servers) servers.push_back(server.ToString());
  return {.times = {.min_ms = options.min_ms, .max_ms = options.max_ms, .hold_ms = options.hold_ms},
          .lookup = {.timeout_ms = options.timeout_ms,
                     .servers = absl::StrJoin(servers, ","),
                     .resolv_conf = options.resolv_conf}};
}

std::string ToString(const NameQuery& query) {
  return ServerName{.host = query.name, .port = query.port, .srv = query.srv}.ToString();
}

std::string WhyNone(LookupResult result, const std::string& error) {
  if (result == LookupResult::kNoName) return "the name does not exist (NXDOMAIN)";
  if (result == LookupResult::kNoAddress) return "the name has no addresses";
  return error;
}

std::string RefusalText(const BackendConfig& backend, const RefusedServer& refused) {
  return absl::StrCat("backend ", backend.name, " does not use ",
                      refused.address.length() == 0 ? absl::StrCat(refused.count, " addresses")
                                                    : refused.address.ToString(),
                      ": ", std::string(WhyRefused(refused.reason)));
}

void ServerNames::Begin() {
  Follow(MonotonicNow());
  resolver_.AwaitAll(MonotonicNow() + kFirstLookups);
  TakeNews(MonotonicNow());
}

void ServerNames::Step(MonoTime now) {
  if (generation_ != state_.generation || waits_) Follow(now);
  TakeNews(now);
  if (now >= swept_at_ + kSlotSweep) Sweep(now);
}

MonoTime ServerNames::NextStep(MonoTime now) const {
  if (known_.empty() && !any_leaving_ && !waits_ && generation_ == state_.generation) return kNever;
  if (generation_ != state_.generation) return now;
  if (resolver_.fd() < 0 || waits_) return now + kLate;
  return any_leaving_ ? now + kSlotSweep : now + kSeriesCheck;
}

// The names of the configuration that is in use now. What is known of those that stay is kept.
void ServerNames::Follow(MonoTime now) {
  generation_ = state_.generation;
  const std::vector<NameQuery> names = NamesOf(*state_.config);
  std::erase_if(known_,
                [&](const auto& one) { return !std::ranges::binary_search(names, one.first); });
  {
    const MutexLock lock(mutex_);
    for (auto& [name, counts] : counts_) counts.has_names = false;
    for (const BackendConfig& backend : state_.config->backends) {
      if (HasNames(backend)) counts_[backend.name].has_names = true;
    }
  }
  try {
    resolver_.Use(ResolverOptionsOf(state_.config->resolve), names);
    waits_ = false;
  } catch (const std::system_error&) {
    waits_ = true;
  }
  const std::vector<std::shared_ptr<AddressSlots>> before = std::exchange(slots_, {});
  for (uint32_t b = 0; b < state_.backends->size(); ++b) {
    if (state_.backends->slots(b) != nullptr) slots_.push_back(state_.backends->slots(b));
    Apply(b, now, /*counts=*/false);
  }
  for (const std::shared_ptr<AddressSlots>& slots : before) {
    if (std::ranges::find(slots_, slots) == slots_.end()) retired_.push_back(slots);
  }
}

void ServerNames::TakeNews(MonoTime now) {
  std::set<uint32_t> concerned;
  for (const Resolver::News& news : resolver_.Take()) {
    Note(news);
    for (uint32_t b = 0; b < state_.backends->size(); ++b) {
      const BackendConfig& backend = state_.backends->config(b);
      if (!Has(backend, news.query)) continue;
      concerned.insert(b);
      const MutexLock lock(mutex_);
      LookupCounts& counts = counts_[backend.name].lookups;
      for (size_t i = 0; i < counts.size(); ++i) counts[i] += news.counts[i];
    }
  }
  for (const uint32_t backend : concerned) Apply(backend, now, /*counts=*/true);
}

// Tells the log when a name begins to be in trouble, and when that is over.
void ServerNames::Note(const Resolver::News& news) {
  Known& known = known_[news.query];
  known.addresses = news.addresses;
  known.left_out = news.left_out;
  if (news.good_at != 0) known.good_at = news.good_at;
  const bool failed =
      news.result == LookupResult::kTimeout || news.result == LookupResult::kFailure;
  known.unknown = known.unknown && failed;
  if (std::exchange(known.trouble, news.trouble) == news.trouble) return;
  if (news.trouble) {
    state_.Say(LogMessage::kNameUnresolved, {{"name", ToString(news.query)},
                                             {"error", WhyNone(news.result, news.error)},
                                             {"kept", absl::StrCat(news.addresses.size())}});
  } else {
    state_.Say(LogMessage::kNameResolved, {{"name", ToString(news.query)},
                                           {"addresses", absl::StrCat(news.addresses.size())}});
  }
}

// As long as it is not known what one of its names has, nothing leaves the backend: a reload that
// replaces its names is no moment without servers.
void ServerNames::KeepWhileUnknown(uint32_t backend, WantedServers& wanted) const {
  const BackendConfig& config = state_.backends->config(backend);
  const bool unknown = std::ranges::any_of(config.servers, [&](const ServerConfig& server) {
    const auto known = known_.find(QueryOf(server.by_name));
    return server.is_named() && (known == known_.end() || known->second.unknown);
  });
  if (!unknown) return;
  for (const Server& server : state_.backends->slots(backend)->servers()) {
    const bool is_wanted = std::ranges::any_of(
        wanted.servers, [&](const WantedServer& one) { return one.address == server.address; });
    if (server.gone() || is_wanted || !MayReach(config, server.address)) continue;
    if (wanted.servers.size() == kMaxServers) return;
    wanted.servers.push_back({.address = server.address,
                              .name = server.name,
                              .tls_name = server.tls_name,
                              .weight = server.weight,
                              .priority = server.priority,
                              .max_sessions = server.max_sessions,
                              .drains = server.drains});
  }
}

// Log and metrics learn the names before a session can use the servers.
AddressSlots::SeriesByName ServerNames::SeriesFor(const BackendConfig& backend,
                                                  const std::vector<std::string>& names) {
  AddressSlots::SeriesByName series;
  for (const std::string& name : names) {
    if (const auto id = state_.names.Lend(backend.name, name)) series.emplace(name, *id);
  }
  if (!series.empty()) state_.ShowNames();
  return series;
}

void ServerNames::Apply(uint32_t backend, MonoTime now, bool counts) {
  AddressSlots* const slots = state_.backends->slots(backend).get();
  if (slots == nullptr) return;
  const BackendConfig& config = state_.backends->config(backend);
  WallMicros answered = WallNow();
  WantedServers wanted = ServersNow(config, [&](const NameQuery& query) {
    const auto found = known_.find(query);
    answered = std::min(answered, found == known_.end() ? 0 : found->second.good_at);
    if (found == known_.end()) return NamedAddresses{};
    return NamedAddresses{&found->second.addresses, found->second.left_out};
  });
  KeepWhileUnknown(backend, wanted);
  const bool first = std::ranges::none_of(
      slots->servers(), [](const Server& server) { return server.occupant != 0; });
  const AddressSlots::Applied applied =
      slots->Apply(wanted.servers, SeriesFor(config, slots->Missing(wanted.servers)), now, first);
  if (!applied.joined.empty() || !applied.left.empty()) state_.backends->NoteSlots();
  const size_t servers = wanted.servers.size() - applied.no_room;
  SayChange(config, applied, servers);
  Refuse(config, wanted, applied.no_room, now, counts);
  Sweep(now);
  const MutexLock lock(mutex_);
  counts_[config.name].addresses = servers;
  counts_[config.name].answered = answered;
}

void ServerNames::SayChange(const BackendConfig& backend, const AddressSlots::Applied& applied,
                            size_t servers) {
  if (applied.joined.empty() && applied.left.empty()) return;
  state_.Say(LogMessage::kServersChanged, {{"backend", backend.name},
                                           {"joined", absl::StrJoin(applied.joined, ", ")},
                                           {"left", absl::StrJoin(applied.left, ", ")},
                                           {"servers", absl::StrCat(servers)}});
}

// Counts the addresses that are not used, and tells the log of one of them now and then.
void ServerNames::Refuse(const BackendConfig& backend, const WantedServers& wanted, size_t no_room,
                         MonoTime now, bool counts) {
  std::vector<RefusedServer> refused = wanted.refused;
  if (no_room > 0)
    refused.push_back({.address = {}, .reason = RefusedAddress::kNoRoom, .count = no_room});
  if (refused.empty()) return;
  size_t all = 0;
  {
    const MutexLock lock(mutex_);
    Counts& of = counts_[backend.name];
    for (const RefusedServer& one : refused) {
      all += one.count;
      if (counts) of.refused[static_cast<size_t>(one.reason)] += one.count;
    }
    if (now < of.refusal_line_at) return;
    of.refusal_line_at = now + kRefusedAddressLines;
  }
  const RefusedServer& one = refused.front();
  state_.Say(LogMessage::kAddressRefused,
             {{"backend", backend.name},
              {"address", one.address.length() == 0 ? "several" : one.address.ToString()},
              {"reason", WhyRefused(one.reason)},
              {"refused", absl::StrCat(all)}});
}

void ServerNames::Sweep(MonoTime now) {
  swept_at_ = now;
  any_leaving_ = !retired_.empty();
  for (const std::shared_ptr<AddressSlots>& slots : slots_) {
    GiveBack(slots->Sweep(), now);
    any_leaving_ = any_leaving_ || slots->any_leaving();
  }
  // Sessions of earlier configurations may still choose a server among the others.
  std::erase_if(retired_, [&](const std::shared_ptr<AddressSlots>& slots) {
    if (slots.use_count() > 1) return false;
    slots->Apply({}, {}, now, /*first=*/false);
    GiveBack(slots->Sweep(), now);
    return true;
  });
  if (state_.names.FreeRested(now)) state_.ShowNames();
}

// Series of servers that have left go to others, but not at once.
void ServerNames::GiveBack(const std::vector<uint32_t>& series, MonoTime now) {
  for (const uint32_t id : series) {
    const bool in_use = std::ranges::any_of(slots_, [&](const auto& slots) {
      return std::ranges::any_of(slots->servers(), [&](const Server& server) {
        return !server.gone() && server.series == id;
      });
    });
    if (!in_use) state_.names.GiveBack(id, now);
  }
}

std::vector<Exporter::Resolved> ServerNames::Shown() const {
  std::vector<Exporter::Resolved> shown;
  const MutexLock lock(mutex_);
  for (const auto& [backend, counts] : counts_) {
    if (!counts.has_names) continue;
    shown.push_back({.backend = backend,
                     .lookups = {counts.lookups.begin(), counts.lookups.end()},
                     .refused = {counts.refused.begin(), counts.refused.end()},
                     .addresses = counts.addresses,
                     .answered = counts.answered / 1'000'000});
  }
  return shown;
}

}  // namespace starling
