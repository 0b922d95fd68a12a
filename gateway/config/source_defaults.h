// What holds for networks of which the configuration says nothing.
#pragma once

#include "gateway/config/config.h"

namespace starling {

// Of a client that no row of `sources` has. A single source never gets the whole table.
SourceLimits ClientLimits(const Config& config);

// The addresses of this machine: webmail and tunnels bring many users from there, and a local
// user can do worse than connect.
SourceRow LoopbackRow();

// No limit but those that a row gives.
inline constexpr SourceLimits kNoSourceLimits{.sessions = 0,
                                              .connections_per_second = 0,
                                              .handshakes_per_second = 0,
                                              .failures_per_minute = 0};

}  // namespace starling
