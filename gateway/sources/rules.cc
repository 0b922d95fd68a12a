#include "gateway/sources/rules.h"

#include "gateway/config/source_defaults.h"

namespace starling {

// `balancers`: the listener takes sources with these roles for load balancers.
void SourceRules::Add(const SourceRow& row, const SourceRoles& balancers, uint32_t scope,
                      std::vector<NetworkMap::Entry>& entries) {
  const auto index = static_cast<uint16_t>(rules_.size());
  const SourceRole role = balancers.Has(row.role) ? SourceRole::kBalancer : row.role;
  rules_.push_back({.role = role, .limits = row.limits, .scope = scope});
  for (const Cidr& network : row.from) entries.push_back({.network = network, .value = index});
}

// Of two equal networks the later counts, so a listener's own rows come last.
SourceRules::SourceRules(const Config& config, const ListenerConfig& listener, uint32_t scope)
    : widths_{.v4 = config.limits.source_ipv4_bits, .v6 = config.limits.source_ipv6_bits} {
  rules_.push_back({.role = SourceRole::kClient, .limits = ClientLimits(config)});
  std::vector<NetworkMap::Entry> entries;
  const ProxyIn& proxy = listener.proxy_in;
  Add(LoopbackRow(), proxy.roles, 0, entries);
  for (const SourceRow& row : config.sources) Add(row, proxy.roles, 0, entries);
  for (const SourceRow& row : listener.sources) Add(row, proxy.roles, scope, entries);
  Add({.from = proxy.from, .role = SourceRole::kBalancer}, proxy.roles, scope, entries);
  map_ = NetworkMap(entries);
}

}  // namespace starling
