// The gateway's clock. The linker chooses the implementation: the system's clock (:clock)
// or the simulation's.
#pragma once

#include <chrono>
#include <cstdint>

namespace starling {

// Monotonic time, in nanoseconds since an arbitrary start.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
// Microseconds since the Unix epoch.
using WallMicros = int64_t;

inline constexpr MonoTime kNever = MonoTime::max();

MonoTime MonotonicNow();
WallMicros WallNow();

}  // namespace starling
