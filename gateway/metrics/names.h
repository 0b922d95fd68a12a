// The ids that metrics and log use for listeners and servers. A name keeps its id for the
// life of the process, so that its counters continue across reloads. Main thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
    std::string server;
  };

  // Finds or adds the name. nullopt: the table is full.
  std::optional<ListenerId> IdOfListener(const std::string& name, const std::string& protocol);
  std::optional<ServerSeries> IdOfServer(const std::string& backend, const std::string& server);

  const std::vector<Listener>& listeners() const { return listeners_; }
  const std::vector<Server>& servers() const { return servers_; }

 private:
  std::vector<Listener> listeners_;
  std::vector<Server> servers_;
};

}  // namespace starling
