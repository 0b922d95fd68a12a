// The simulated time, which implements gateway/io/clock.h.
#include "gateway/io/clock.h"
#include "tests/sim/sim_world.h"

namespace starling {

MonoTime MonotonicNow() { return sim::World::Current().now(); }

WallMicros WallNow() {
  // 2026-01-01 plus the time since the run began.
  constexpr WallMicros kStart = 1'767'225'600'000'000;
  return kStart + std::chrono::duration_cast<std::chrono::microseconds>(
                      sim::World::Current().now().time_since_epoch())
                      .count();
}

}  // namespace starling
