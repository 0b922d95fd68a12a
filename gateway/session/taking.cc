#include "gateway/session/taking.h"

#include <algorithm>

namespace starling {
namespace {

// The next whole second: nobody's time is over too early.
uint16_t NextSecond(MonoTime now) {
  return std::max<uint16_t>(static_cast<uint16_t>(SecondsOf(now) + 1), 1);
}

}  // namespace

void NoteTaking(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                Taking& taking) {
  if (TakenSince(side, taking) >= limits.slow_reader_bytes) {
    taking = {.octets = static_cast<uint32_t>(side.octets_out)};
  }
  if (!side.flushed()) {
    if (taking.since_s == 0) taking.since_s = NextSecond(ctx.now);
  } else if (taking.since_s != 0) {
    // A relay sends block by block: a peer that is slower than the server waits for each of them.
    taking.waited_s =
        static_cast<uint16_t>(std::min<uint32_t>(WaitedMs(ctx.now, taking) / 1'000, UINT16_MAX));
    taking.since_s = 0;
  }
}

bool TakesTooLittle(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                    const Taking& taking) {
  return WaitedMs(ctx.now, taking) >= limits.slow_reader_ms &&
         TakenSince(side, taking) < limits.slow_reader_bytes;
}

}  // namespace starling
