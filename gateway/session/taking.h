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
inline uint32_t MsSince(MonoTime now, const Taking& taking) {
  const auto seconds = static_cast<int16_t>(SecondsOf(now) - taking.since_s);
  return seconds > 0 ? static_cast<uint32_t>(seconds) * 1'000 : 0;
}
// Notes when octets began to wait for the side, and that none do.
// Its time begins again whenever it has taken enough.
void NoteTaking(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                Taking& taking);
// Its time is over, and it has taken too little. If it has taken enough, its time begins again.
bool TakesTooLittle(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                    Taking& taking);

}  // namespace starling
