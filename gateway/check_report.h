// What `starling -t` tells of a good configuration: which listener serves which
// names with which certificates, and by what policy; for people.
//
// Not for: finding out whether it is good (tls_assets.h), machines (metrics).
#pragma once

#include <cstdint>
#include <string>

#include "gateway/config/config.h"
#include "gateway/tls_assets.h"

namespace starling {

// Lines, each with its end. `now`: Unix seconds.
std::string CheckReport(const Config& config, const TlsAssets& assets, int64_t now);

}  // namespace starling
