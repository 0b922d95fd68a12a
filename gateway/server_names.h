// The names of servers in the configuration in use: has them looked up, and gives their addresses
// to the backends. That makes no new generation of the configuration.
//
// For the main thread, except where a comment says otherwise. Not for: look-ups (resolve/), or how
// sessions keep a server whose address has left (upstream/address_slots.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/gateway_state.h"
#include "gateway/resolve/resolver.h"
#include "gateway/resolve/wanted_servers.h"

namespace starling {

// All names of the configuration, each once.
std::vector<NameQuery> NamesOf(const Config& config);
ResolverOptions ResolverOptionsOf(const ResolveOptions& options);

// A name as the configuration writes it.
std::string ToString(const NameQuery& query);
// Why a look-up brought no addresses.
std::string WhyNone(LookupResult result, const std::string& error);
// Of an address that is not used.
std::string RefusalText(const BackendConfig& backend, const RefusedServer& refused);

class ServerNames {
 public:
  explicit ServerNames(GatewayState& state) : state_(state) {}

  // Waits for the first answers, but not for long. Call it before there are sessions.
  void Begin();
  // Also sees by itself that another configuration is in use.
  void Step(MonoTime now);

  int fd() const { return resolver_.fd(); }  // readable when there is something to do
  MonoTime NextStep(MonoTime now) const;
  std::vector<Exporter::Resolved> Shown() const;  // any thread

 private:
  // What is known of a name.
  struct Known {
    std::vector<FoundAddress> addresses;
    size_t left_out = 0;
    bool trouble = false;
    bool unknown = true;  // neither addresses nor that it has none
    WallMicros good_at = 0;
  };
  // What is counted of a backend, for the life of the process.
  struct Counts {
    LookupCounts lookups{};
    std::array<uint64_t, std::size(kRefusedAddressLabels)> refused{};
    uint64_t addresses = 0;
    WallMicros answered = 0;
    bool has_names = false;
    MonoTime refusal_line_at = MonoTime::min();
  };

  void Follow(MonoTime now);
  void TakeNews(MonoTime now);
  void Note(const Resolver::News& news);
  void Apply(uint32_t backend, MonoTime now, bool counts);
  void KeepWhileUnknown(uint32_t backend, WantedServers& wanted) const;
  AddressSlots::SeriesByName SeriesFor(const BackendConfig& backend,
                                       const std::vector<std::string>& names);
  void Refuse(const BackendConfig& backend, const WantedServers& wanted, size_t no_room,
              MonoTime now, bool counts);
  void SayChange(const BackendConfig& backend, const AddressSlots::Applied& applied,
                 size_t servers);
  void Sweep(MonoTime now);
  void GiveBack(const std::vector<uint32_t>& series, MonoTime now);

  GatewayState& state_;
  Resolver resolver_;
  uint64_t generation_ = 0;  // of the configuration whose names these are
  bool waits_ = false;       // for a thread
  std::map<NameQuery, Known> known_;
  std::vector<std::shared_ptr<AddressSlots>> slots_;    // of the backends in use
  std::vector<std::shared_ptr<AddressSlots>> retired_;  // of earlier configurations
  bool any_leaving_ = false;
  MonoTime swept_at_ = MonoTime::min();
  mutable Mutex mutex_;
  std::map<std::string, Counts> counts_ ABSL_GUARDED_BY(mutex_);  // by backend
};

}  // namespace starling
