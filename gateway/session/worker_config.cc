#include "gateway/session/worker_config.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace starling {

namespace {

bool ShareDataPorts(const ListenerConfig& a, const ListenerConfig& b) {
  return a.protocol->data_channels && b.protocol->data_channels &&
         a.ftp.first_port <= b.ftp.last_port && b.ftp.first_port <= a.ftp.last_port;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerConfig>> WorkerConfig::Make(const ConfigSnapshot& snapshot) {
  std::unique_ptr<WorkerConfig> made(new WorkerConfig());
  made->generation_ = snapshot.generation;
  made->config_ = snapshot.config;
  made->backends_ = snapshot.backends;
  const std::vector<ListenerConfig>& configs = made->config_->listeners;
  for (size_t p = 0; p < snapshot.policies.size(); ++p) {
    absl::StatusOr<std::unique_ptr<TlsContext>> context = TlsContext::Create(snapshot.policies[p]);
    if (!context.ok()) {
      size_t first = 0;
      while (snapshot.policy_of[first] != p) ++first;
      return absl::Status(context.status().code(), absl::StrCat("listener ", configs[first].name,
                                                                ": ", context.status().message()));
    }
    made->contexts_.push_back(*std::move(context));
  }
  for (const BackendConfig& backend : made->config_->backends) {
    const bool limited = std::ranges::any_of(
        backend.servers, [](const ServerConfig& server) { return server.max_sessions != 0; });
    made->queues_.push_back(
        limited ? std::make_unique<FairQueue>(SlotsOf(made->config_->limits), backend.queue, 1)
                : nullptr);
  }
  for (uint32_t b = 0; b < snapshot.upstream.size(); ++b) {
    made->upstream_.emplace_back();
    if (!snapshot.upstream[b]) continue;
    absl::StatusOr<std::unique_ptr<UpstreamTls>> upstream =
        UpstreamTls::Create(*snapshot.upstream[b], made->backends_->ServersOf(b).size());
    if (!upstream.ok()) {
      return absl::Status(upstream.status().code(),
                          absl::StrCat("backend ", made->config_->backends[b].name, ": ",
                                       upstream.status().message()));
    }
    made->upstream_.back() = *std::move(upstream);
  }
  for (size_t i = 0; i < configs.size(); ++i) {
    made->rules_.push_back(
        std::make_unique<SourceRules>(*made->config_, configs[i], snapshot.ids[i] + 1));
    made->listeners_.push_back({.config = &configs[i],
                                .owner = made.get(),
                                .backends = made->backends_.get(),
                                .id = snapshot.ids[i],
                                .tls = made->contexts_[snapshot.policy_of[i]].get(),
                                .sources = made->rules_[i].get(),
                                .port_pool = static_cast<PlacePool>(snapshot.ids[i])});
    for (size_t other = 0; other < i; ++other) {
      if (!ShareDataPorts(configs[other], configs[i])) continue;
      made->listeners_[i].port_pool = made->listeners_[other].port_pool;
      break;
    }
  }
  return made;
}

}  // namespace starling
