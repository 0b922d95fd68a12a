#include "gateway/upstream/upstream.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

namespace starling {

Backends::Backends(const std::vector<BackendConfig>& configs, const SeriesOf& series)
    : wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  for (const BackendConfig& config : configs) {
    Backend backend;
    backend.config = std::make_unique<const BackendConfig>(config);
    backend.first = static_cast<uint32_t>(server_count_);
    backend.count = static_cast<uint32_t>(std::min(config.servers.size(), kMaxServers));
    server_count_ += backend.count;
    backends_.push_back(std::move(backend));
  }
  servers_ = std::make_unique<Server[]>(server_count_);
  for (uint32_t b = 0; b < backends_.size(); ++b) {
    for (uint32_t i = 0; i < backends_[b].count; ++i) {
      Server& server = servers_[backends_[b].first + i];
      server.address = backends_[b].config->servers[i];
      server.backend = b;
      server.name = server.address.ToString();
      server.series =
          series ? series(backends_[b].config->name, server.name) : backends_[b].first + i;
    }
  }
}

Backends::~Backends() {
  if (wake_fd_ >= 0) close(wake_fd_);
}

void Backends::Inherit(const Backends& before) {
  std::map<std::pair<std::string_view, std::string_view>, const Server*> known;
  for (ServerId id = 0; id < before.server_count(); ++id) {
    const Server& server = before.server(id);
    known.emplace(std::pair(std::string_view(before.config(server.backend).name),
                            std::string_view(server.name)),
                  &server);
  }
  for (ServerId id = 0; id < server_count_; ++id) {
    const auto found = known.find({config(servers_[id].backend).name, servers_[id].name});
    if (found == known.end()) continue;
    servers_[id].up.store(found->second->up.load(std::memory_order_relaxed));
    servers_[id].capabilities.store(found->second->capabilities.load(std::memory_order_relaxed));
  }
}

int Backends::Pick(uint32_t backend, uint32_t& cursor, uint64_t tried) const {
  const std::span<const Server> servers = ServersOf(backend);
  int down = -1;
  uint32_t index = servers.empty() ? 0 : cursor % static_cast<uint32_t>(servers.size());
  for (size_t i = 0; i < servers.size(); ++i) {
    if ((tried >> index & 1) == 0) {
      if (servers[index].up.load(std::memory_order_relaxed)) {
        cursor = index + 1;
        return static_cast<int>(index);
      }
      if (down < 0) down = static_cast<int>(index);
    }
    index = index + 1 < servers.size() ? index + 1 : 0;
  }
  if (down >= 0) cursor = static_cast<uint32_t>(down) + 1;
  return down;
}

void Backends::MarkDown(ServerId id) {
  if (servers_[id].up.exchange(false, std::memory_order_relaxed)) eventfd_write(wake_fd_, 1);
}

uint64_t Backends::Capabilities(uint32_t backend) const {
  uint64_t of_down = 0;
  for (const Server& server : ServersOf(backend)) {
    const uint64_t capabilities = server.capabilities.load(std::memory_order_relaxed);
    if (capabilities == 0) continue;
    if (server.up.load(std::memory_order_relaxed)) return capabilities;
    if (of_down == 0) of_down = capabilities;
  }
  return of_down;
}

std::string_view Backends::FirstUnavailable() const {
  for (uint32_t b = 0; b < backends_.size(); ++b) {
    const std::span<const Server> servers = ServersOf(b);
    if (std::none_of(servers.begin(), servers.end(), [](const Server& server) {
          return server.up.load(std::memory_order_relaxed);
        })) {
      return backends_[b].config->name;
    }
  }
  return {};
}

}  // namespace starling
