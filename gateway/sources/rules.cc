#include "gateway/sources/rules.h"

#include "gateway/config/source_defaults.h"

namespace starling {

void SourceRules::Add(const SourceRow& row, uint32_t scope,
                      std::vector<NetworkMap::Entry>& entries) {
  const auto index = static_cast<uint16_t>(rules_.size());
  rules_.push_back({.role = row.role, .limits = row.limits, .scope = scope});
  for (const Cidr& network : row.from) entries.push_back({.network = network, .value = index});
}

// Of two equal networks the later counts, so a listener's own rows come last.
SourceRules::SourceRules(const Config& config, const ListenerConfig& listener, uint32_t scope)
    : widths_{.v4 = config.limits.source_ipv4_bits, .v6 = config.limits.source_ipv6_bits} {
  rules_.push_back({.role = SourceRole::kClient, .limits = ClientLimits(config)});
  std::vector<NetworkMap::Entry> entries;
  Add(LoopbackRow(), 0, entries);
  for (const SourceRow& row : config.sources) Add(row, 0, entries);
  for (const SourceRow& row : listener.sources) Add(row, scope, entries);
  if (!listener.proxy_from.empty()) {
    Add({.from = listener.proxy_from, .role = SourceRole::kBalancer}, scope, entries);
  }
  map_ = NetworkMap(entries);
}

}  // namespace starling
