#include "gateway/config/source_defaults.h"

#include <algorithm>

namespace starling {

SourceLimits ClientLimits(const Config& config) {
  SourceLimits limits;
  const uint64_t table = uint64_t{config.workers} * config.limits.sessions;
  const uint64_t most = std::max<uint64_t>(1, table * 3 / 4);
  limits.sessions = static_cast<uint32_t>(std::min<uint64_t>(limits.sessions, most));
  return limits;
}

SourceRow LoopbackRow() {
  SourceRow row{.role = SourceRole::kTrusted, .limits = kNoSourceLimits};
  for (const std::string_view network : {"127.0.0.0/8", "::1"}) {
    row.from.push_back(*Cidr::Parse(network));
  }
  return row;
}

}  // namespace starling
