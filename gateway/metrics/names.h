// The ids by which metrics and log know listeners and servers: a name keeps its id
// for the life of the process, whatever configurations come and go, so that its
// counters go on. Main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/metrics/metrics.h"

namespace starling {

// What Shard has cells for; names beyond are refused.
inline constexpr size_t kMaxListenerNames = 256;
inline constexpr size_t kMaxServerNames = 2'048;

class NameTable {
 public:
  struct Listener {
    std::string name;
    std::string protocol;  // as it was last
  };
  struct Server {
    std::string backend;
    std::string server;
  };

  // nullopt: the table is full.
  std::optional<ListenerId> IdOfListener(const std::string& name, const std::string& protocol);
  std::optional<ServerSeries> IdOfServer(const std::string& backend, const std::string& server);

  const std::vector<Listener>& listeners() const { return listeners_; }
  const std::vector<Server>& servers() const { return servers_; }

 private:
  std::vector<Listener> listeners_;
  std::vector<Server> servers_;
};

}  // namespace starling
