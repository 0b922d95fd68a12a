// The backends and their servers: addresses, what is known of each server's
// health and capabilities, and the choice of a server for a session. One object
// a configuration, shared by the workers and the prober.
//
// Not for: connecting (io/), deadlines and the PROXY header of a session
// (session/), or finding out whether a server lives (prober.h).
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
// A session remembers in one word which of its backend's servers it has tried.
static_assert(kMaxServers <= 64);

// One server. Address, backend, name and series do not change; the rest is written by
// the prober and by workers and read by everybody.
struct Server {
  SocketAddress address;
  uint32_t backend = 0;
  std::string name;                       // the address as the configuration writes it
  uint32_t series = 0;                    // the id that metrics and log know it by
  std::atomic<bool> up{true};             // true as well while nothing is known yet
  std::atomic<uint64_t> capabilities{0};  // of the last probe that asked; 0: none did
};

class Backends {
 public:
  // Ids are given in the order of the configuration; `series`, asked by the names of
  // backend and server, keeps its answers over configurations (absent: the id). Of a
  // backend with more than kMaxServers servers, which no loader lets pass, the first
  // ones are used.
  using SeriesOf = std::function<uint32_t(const std::string& backend, const std::string& server)>;
  explicit Backends(const std::vector<BackendConfig>& configs, const SeriesOf& series = nullptr);
  ~Backends();
  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;

  // What is known of servers that `before` had as well.
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

  // The next server of `backend` by `cursor` (round robin; the caller's own, any
  // value to begin with, moved on), or -1 when all are in `tried`, a mask by
  // index that the caller keeps for the session. Servers that are down are
  // chosen only when no other is left.
  int Pick(uint32_t backend, uint32_t& cursor, uint64_t tried) const;

  // What workers have found out by connecting. MarkDown wakes the prober when
  // the server was up so far. Any thread.
  void MarkDown(ServerId id);
  void MarkUp(ServerId id) {
    std::atomic<bool>& up = servers_[id].up;
    // Nearly always true already: no write to what all workers read.
    if (!up.load(std::memory_order_relaxed)) up.store(true, std::memory_order_relaxed);
  }

  // What a server of `backend` was last seen to offer; a server that is up is
  // preferred, and 0 says that none has been asked with success yet.
  uint64_t Capabilities(uint32_t backend) const;

  // The name of a backend all of whose servers are down; empty if there is none.
  std::string_view FirstUnavailable() const;

  // Readable when MarkDown has found a change; the prober's.
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
