#include "gateway/session/taking.h"

#include <algorithm>

namespace starling {
namespace {

void Begin(const WorkerContext& ctx, const Side& side, Taking& taking) {
  // The next whole second: nobody's time is over too early.
  const auto next = static_cast<uint16_t>(SecondsOf(ctx.now) + 1);
  taking = {.octets = static_cast<uint32_t>(side.octets_out),
            .since_s = std::max<uint16_t>(next, 1)};
}

}  // namespace

void NoteTaking(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                Taking& taking) {
  if (side.flushed()) {
    taking.since_s = 0;
  } else if (taking.since_s == 0 || TakenSince(side, taking) >= limits.slow_reader_bytes) {
    Begin(ctx, side, taking);
  }
}

bool TakesTooLittle(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                    Taking& taking) {
  if (taking.since_s == 0 || MsSince(ctx.now, taking) < limits.slow_reader_ms) return false;
  if (TakenSince(side, taking) < limits.slow_reader_bytes) return true;
  Begin(ctx, side, taking);
  return false;
}

}  // namespace starling
