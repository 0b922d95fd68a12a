#include "gateway/io/clock.h"

#include <ctime>

namespace starling {

MonoTime MonotonicNow() {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now());
}

WallMicros WallNow() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<WallMicros>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace starling
