#include "gateway/session/generation.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace starling {

absl::StatusOr<std::unique_ptr<Generation>> Generation::Make(const Blueprint& blueprint) {
  std::unique_ptr<Generation> made(new Generation());
  made->number_ = blueprint.number;
  made->config_ = blueprint.config;
  made->backends_ = blueprint.backends;
  const std::vector<ListenerConfig>& configs = made->config_->listeners;
  for (size_t p = 0; p < blueprint.policies.size(); ++p) {
    absl::StatusOr<std::unique_ptr<TlsContext>> context = TlsContext::Create(blueprint.policies[p]);
    if (!context.ok()) {
      size_t first = 0;
      while (blueprint.policy_of[first] != p) ++first;
      return absl::Status(context.status().code(), absl::StrCat("listener ", configs[first].name,
                                                                ": ", context.status().message()));
    }
    made->contexts_.push_back(*std::move(context));
  }
  for (uint32_t b = 0; b < blueprint.upstream.size(); ++b) {
    made->upstream_.emplace_back();
    if (!blueprint.upstream[b]) continue;
    absl::StatusOr<std::unique_ptr<UpstreamTls>> upstream =
        UpstreamTls::Create(*blueprint.upstream[b], made->backends_->ServersOf(b).size());
    if (!upstream.ok()) {
      return absl::Status(upstream.status().code(),
                          absl::StrCat("backend ", made->config_->backends[b].name, ": ",
                                       upstream.status().message()));
    }
    made->upstream_.back() = *std::move(upstream);
  }
  for (size_t i = 0; i < configs.size(); ++i) {
    made->listeners_.push_back({.config = &configs[i],
                                .generation = made.get(),
                                .backends = made->backends_.get(),
                                .id = blueprint.ids[i],
                                .tls = made->contexts_[blueprint.policy_of[i]].get()});
  }
  return made;
}

}  // namespace starling
