// The backends and their servers: addresses, health, capabilities, and the choice of a
// server for a session. Each configuration has one Backends, which the workers and the
// prober share.
//
// Not for: connecting (io/), deadlines and the PROXY header of a session (session/), or
// probing servers (prober.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/socket_address.h"

namespace starling {

// An index into Backends::server().
using ServerId = uint32_t;
// A session keeps the servers that it has tried in a 64-bit mask.
static_assert(kMaxServers <= 64);

// One server. Address, backend, name and series never change. The prober and the workers
// write the atomics; every thread may read them.
struct Server {
  SocketAddress address;
  uint32_t backend = 0;
  std::string name;                       // the address as the configuration writes it
  uint32_t series = 0;                    // its id in metrics and log
  std::atomic<bool> up{true};             // also true before the first result
  std::atomic<uint64_t> capabilities{0};  // from the latest probe that asked; 0: unknown
};

class Backends {
 public:
  // Server ids follow the order of the configuration. `series` maps the names of backend
  // and server to an id that stays the same across configurations; without it, the series
  // is the server id. A backend has at most kMaxServers servers, as the loader ensures;
  // further ones are ignored.
  using SeriesOf = std::function<uint32_t(const std::string& backend, const std::string& server)>;
  explicit Backends(const std::vector<BackendConfig>& configs, const SeriesOf& series = nullptr);
  ~Backends();
  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;

  // Copies health and capabilities of the servers that `before` has too.
  void Inherit(const Backends& before);

  size_t size() const { return backends_.size(); }
  const BackendConfig& config(uint32_t backend) const { return *backends_[backend].config; }

  size_t server_count() const { return server_count_; }
  Server& server(ServerId id) { return servers_[id]; }
  const Server& server(ServerId id) const { return servers_[id]; }
  ServerId IdOf(uint32_t backend, int index) const {
    return backends_[backend].first + static_cast<uint32_t>(index);
  }
  std::span<Server> ServersOf(uint32_t backend) {
    return {&servers_[backends_[backend].first], backends_[backend].count};
  }
  std::span<const Server> ServersOf(uint32_t backend) const {
    return {&servers_[backends_[backend].first], backends_[backend].count};
  }

  // The index of the next server of `backend` in round robin, or -1 if `tried` has all of
  // them. `cursor` belongs to the caller, may begin with any value, and advances. `tried`
  // is a mask of indices that the caller keeps for the session. Pick chooses a server
  // that is down only if no other is left.
  int Pick(uint32_t backend, uint32_t& cursor, uint64_t tried) const;

  // Workers report here what they find by connecting. MarkDown wakes the prober if the
  // server was up before. Any thread.
  void MarkDown(ServerId id);
  void MarkUp(ServerId id) {
    std::atomic<bool>& up = servers_[id].up;
    // It is nearly always true already. Not writing spares the cache line that all
    // workers read.
    if (!up.load(std::memory_order_relaxed)) up.store(true, std::memory_order_relaxed);
  }

  // The latest capabilities of a server of `backend`, preferably of one that is up; 0
  // before any probe has found them.
  uint64_t Capabilities(uint32_t backend) const;

  // The name of the first backend whose servers are all down; empty if every backend has
  // one that is up.
  std::string_view FirstUnavailable() const;

  // Readable after MarkDown has changed a state. For the prober.
  int wake_fd() const { return wake_fd_; }

 private:
  struct Backend {
    std::unique_ptr<const BackendConfig> config;
    uint32_t first = 0;
    uint32_t count = 0;
  };

  std::vector<Backend> backends_;
  size_t server_count_ = 0;
  std::unique_ptr<Server[]> servers_;
  int wake_fd_ = -1;
};

}  // namespace starling
