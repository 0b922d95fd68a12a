// Peers that do not take what waits for them: since when, and how much they have taken.
//
// Not for: how long anything else may take (due.h), or which of them end when memory is short
// (relief.h).
#pragma once

#include <chrono>
#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

inline int64_t SecondsOf(MonoTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
inline uint32_t TakenSince(const Side& side, const Taking& taking) {
  return static_cast<uint32_t>(side.octets_out) - taking.octets;
}
// How long octets have waited for it now, without a pause.
inline uint32_t MsSince(MonoTime now, const Taking& taking) {
  const auto seconds = static_cast<int16_t>(SecondsOf(now) - taking.since_s);
  return seconds > 0 ? static_cast<uint32_t>(seconds) * 1'000 : 0;
}
// Octets have waited for it since before this second of the clock began.
inline bool SecondHasPassed(MonoTime now, const Taking& taking) {
  return taking.since_s != 0 && static_cast<int16_t>(SecondsOf(now) - taking.since_s) >= 0;
}
// How long octets have waited for it in its window, in all.
inline uint32_t WaitedMs(MonoTime now, const Taking& taking) {
  return uint32_t{taking.waited_s} * 1'000 + (taking.since_s == 0 ? 0 : MsSince(now, taking));
}
// Notes when octets begin to wait for the side, and when it has taken them. Its window begins again
// whenever it has taken enough.
void NoteTaking(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                Taking& taking);
// Octets have waited for it for its whole time, and it has taken too little.
bool TakesTooLittle(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                    const Taking& taking);

}  // namespace starling
