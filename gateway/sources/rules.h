// What each network means to a listener, and which limits its clients have: what `sources` of the
// configuration says, in the form in which an accept looks it up. Made once for each listener and
// configuration.
//
// Not for: what a source has used of its limits (shares.h), or who is turned away at any rate
// (deny_lists.h).
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/sources/network_map.h"
#include "gateway/sources/source_key.h"

namespace starling {

struct SourceRule {
  SourceRole role = SourceRole::kClient;
  SourceLimits limits;
  // Clients count together where their rules stand together: 0 for those of the whole program;
  // otherwise the listener's.
  uint32_t scope = 0;

  // What its clients have is counted.
  bool counted() const { return role == SourceRole::kClient || role == SourceRole::kTrusted; }
};

class SourceRules {
 public:
  // `scope` of the listener: not 0, and the same for the life of the process.
  SourceRules(const Config& config, const ListenerConfig& listener, uint32_t scope);

  // An index, which stands for the same rule as long as the object lives.
  uint16_t Find(const Endpoint& client) const { return map_.Find(client); }
  const SourceRule& At(uint16_t index) const { return rules_[index]; }
  const SourceWidths& widths() const { return widths_; }

 private:
  void Add(const SourceRow& row, const SourceRoles& balancers, uint32_t scope,
           std::vector<NetworkMap::Entry>& entries);

  std::vector<SourceRule> rules_;  // the first is for those that no network has
  NetworkMap map_;
  SourceWidths widths_;
};

}  // namespace starling
