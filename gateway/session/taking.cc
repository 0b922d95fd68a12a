#include "gateway/session/taking.h"

#include <algorithm>
#include <vector>

#include "gateway/limits.h"
#include "gateway/session/due.h"
#include "gateway/session/pump.h"

namespace starling {
namespace {

int64_t Seconds(MonoTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

uint32_t TakenSince(const Side& side, const Taking& taking) {
  return static_cast<uint32_t>(side.octets_out) - taking.octets;
}

void Begin(const WorkerContext& ctx, const Side& side, Taking& taking) {
  // The next whole second: nobody's time is over too early.
  const auto next = static_cast<uint16_t>(Seconds(ctx.now) + 1);
  taking = {.octets = static_cast<uint32_t>(side.octets_out),
            .since_s = std::max<uint16_t>(next, 1)};
}

// It has taken nothing for a while of what waits for it.
bool IsStuck(const WorkerContext& ctx, const Side& side, const Taking& taking) {
  return taking.since_s != 0 && MsSince(ctx.now, taking) >= kStuckMs &&
         TakenSince(side, taking) == 0;
}

uint32_t HeldBy(const Side& side) {
  const auto held = [](const Block& block) { return block.data == nullptr ? 0 : block.capacity(); };
  return held(side.in) + held(side.out) + (side.tls == nullptr ? 0 : held(side.tls->opened));
}

}  // namespace

uint32_t MsSince(MonoTime now, const Taking& taking) {
  const auto seconds = static_cast<int16_t>(Seconds(now) - taking.since_s);
  return seconds > 0 ? static_cast<uint32_t>(seconds) * 1'000 : 0;
}

void NoteTaking(const WorkerContext& ctx, const Side& side, Taking& taking) {
  if (side.flushed()) {
    taking.since_s = 0;
  } else if (taking.since_s == 0) {
    Begin(ctx, side, taking);
  }
}

bool TakesTooLittle(const WorkerContext& ctx, const Session& session, const Side& side,
                    Taking& taking) {
  const ListenerLimits& limits = LimitsOf(session);
  if (taking.since_s == 0 || MsSince(ctx.now, taking) < limits.slow_reader_ms) return false;
  if (TakenSince(side, taking) < limits.slow_reader_bytes) return true;
  Begin(ctx, side, taking);
  return false;
}

void RelieveMemory(WorkerContext& ctx, uint64_t octets, bool in_kernel) {
  struct Stuck {
    uint32_t octets;
    uint32_t slot;
  };
  std::vector<Stuck> found;
  for (uint32_t slot = 0; slot < ctx.table.size(); ++slot) {
    const Session& session = ctx.table.At(slot);
    if (IdOf(session.stage) != StageId::kRelaying) continue;
    if (IsStuck(ctx, session.client, session.client_takes) ||
        IsStuck(ctx, session.server, session.server_takes)) {
      // The kernel may hold more, and then the next look finds enough memory.
      const uint32_t unsent = in_kernel ? LimitsOf(session).unsent : 0;
      found.push_back({HeldBy(session.client) + HeldBy(session.server) + unsent, slot});
    }
  }
  const size_t ends = std::min(found.size(), kReliefPerTurn);
  std::ranges::partial_sort(found, found.begin() + static_cast<ptrdiff_t>(ends),
                            [](const Stuck& a, const Stuck& b) { return a.octets > b.octets; });
  uint64_t freed = 0;
  for (size_t i = 0; i < ends && freed < octets; ++i) {
    freed += found[i].octets;
    EndByGateway(ctx, ctx.table.At(found[i].slot), EndReason::kMemoryPressure, /*polite=*/false);
  }
}

}  // namespace starling
