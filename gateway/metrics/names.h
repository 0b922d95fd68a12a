// The ids that metrics and log use for listeners and servers. A name keeps its id for the
// life of the process, so that its counters continue across reloads. Main thread only.
//
// Servers whose addresses names resolve to come and go. Their ids are lent: one that is given back
// rests for a while, in which its counters stay to be seen, and then another server may get it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/metrics/metrics.h"

namespace starling {

class NameTable {
 public:
  struct Listener {
    std::string name;
    std::string protocol;  // in the latest configuration that has the listener
  };
  struct Server {
    std::string backend;
    std::string server;             // empty: the id is free
    bool lent = false;              // may be given back
    MonoTime rests_since = kNever;  // given back; kNever: in use
  };

  // Finds or adds the name. nullopt: the table is full.
  std::optional<ListenerId> IdOfListener(const std::string& name, const std::string& protocol);
  std::optional<ServerSeries> IdOfServer(const std::string& backend, const std::string& server);
  // The same of a server that GiveBack() follows. A full table lends the id that has rested
  // longest.
  std::optional<ServerSeries> Lend(const std::string& backend, const std::string& server);
  void GiveBack(ServerSeries id, MonoTime now);
  // Frees ids that have rested for long. True: there were some.
  bool FreeRested(MonoTime now);

  const std::vector<Listener>& listeners() const { return listeners_; }
  const std::vector<Server>& servers() const { return servers_; }

 private:
  std::optional<ServerSeries> Find(const std::string& backend, const std::string& server,
                                   bool lent);

  std::vector<Listener> listeners_;
  std::vector<Server> servers_;
};

}  // namespace starling
