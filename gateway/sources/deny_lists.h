// Networks whose clients are turned away: those of the configuration and of the files that it
// names, for all listeners and for some.
//
// Made once; then any number of threads may look. Not for: reading and watching the files
// (gateway/deny_files.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "gateway/config/config.h"
#include "gateway/metrics/metrics.h"
#include "gateway/sources/network_map.h"

namespace starling {

// Adds the networks of a file: an address or a range in each line. What follows a '#' or a ';' is
// a comment. The error names the line.
absl::Status ParseDenyFile(std::string_view text, std::vector<NetworkMap::Entry>& networks);

class DenyLists {
 public:
  DenyLists() = default;
  explicit DenyLists(std::shared_ptr<const NetworkMap> general) : general_(std::move(general)) {}
  void Set(ListenerId listener, std::shared_ptr<const NetworkMap> own) {
    own_[listener] = std::move(own);
  }

  bool empty() const { return general_ == nullptr && own_.empty(); }
  bool Has(ListenerId listener, const Endpoint& client) const;

 private:
  std::shared_ptr<const NetworkMap> general_;
  std::map<ListenerId, std::shared_ptr<const NetworkMap>> own_;
};

}  // namespace starling
