// The servers of a backend that has names: 64 slots, each with one address at a time. All
// configurations that have the backend share them, so that what names resolve to needs no new
// configuration.
//
// A slot is given to another address only when no session and no probe holds it. Until then an
// address that its name no longer has keeps its slot: its sessions go on, and it gets no new one.
//
// The main thread alone changes them. Not for: which addresses a backend has (wanted_servers.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/upstream/server.h"

namespace starling {

// An address that a backend has now.
struct WantedServer {
  SocketAddress address;
  std::string name;      // the address as the log and metrics have it
  std::string tls_name;  // as of Server
  uint32_t weight = 1;
  uint32_t priority = 0;
  uint32_t max_sessions = 0;
  bool drains = false;
};

class AddressSlots {
 public:
  using Wanted = std::vector<WantedServer>;  // each address once
  using SeriesByName = std::map<std::string, uint32_t>;

  AddressSlots();
  AddressSlots(const AddressSlots&) = delete;
  AddressSlots& operator=(const AddressSlots&) = delete;

  std::span<Server> servers() { return servers_; }

  // The names of those that have no slot.
  std::vector<std::string> Missing(const Wanted& wanted) const;
  struct Applied {
    std::vector<std::string> joined, left;  // names
    size_t no_room = 0;                     // there is no slot for them, or no series
  };
  // Gives these addresses slots, and takes it from all others. `series` has those that are missing.
  // `first`: the backend has had none before, so they are as well known as those of the file.
  Applied Apply(const Wanted& wanted, const SeriesByName& series, MonoTime now, bool first);
  // Frees the slots of addresses that have left and that nobody holds. Returns their series.
  std::vector<uint32_t> Sweep();
  bool any_leaving() const;  // an address that has left still has its slot

 private:
  enum class Use : uint8_t { kFree, kOpen, kLeaving };

  size_t Find(const WantedServer& wanted) const;  // kMaxServers: it has no slot
  bool Open(const WantedServer& wanted, const SeriesByName& series, MonoTime now, bool first);
  bool Close(size_t index);

  std::array<Server, kMaxServers> servers_;
  std::array<Use, kMaxServers> uses_{};
  std::vector<uint32_t> freed_;  // series, since the last Sweep()
};

}  // namespace starling
