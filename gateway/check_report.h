// What `starling -t` tells of a good configuration: which listener serves which
// names with which certificates, and by what policy; for people.
//
// Not for: finding out whether it is good (tls_assets.h), machines (metrics).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/tls_assets.h"

namespace starling {

// Lines, each with its end. `now`: Unix seconds.
std::string CheckReport(const Config& config, const TlsAssets& assets, int64_t now);

// What the names of servers resolve to now. Waits for the answers, but no longer than one look-up
// may take. `warnings`: names without addresses, and addresses that are not used.
std::string NamesReport(const Config& config, std::vector<std::string>& warnings);

}  // namespace starling
