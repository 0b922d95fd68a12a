#include "gateway/session/relief.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "gateway/limits.h"
#include "gateway/session/pump.h"
#include "gateway/session/taking.h"

namespace starling {
namespace {

// How long it has not taken what waits for it; 0: not long, or nothing waits. Beyond a minute a
// peer is gone, and it does not matter for how long.
uint32_t StuckMs(const WorkerContext& ctx, const Taking& taking) {
  if (taking.since_s == 0) return 0;
  const uint32_t ms = MsSince(ctx.now, taking);
  return ms < kStuckMs ? 0 : std::min(ms, kSurelyStuckMs);
}

uint32_t HeldBy(const Side& side) {
  const auto held = [](const Block& block) { return block.data == nullptr ? 0 : block.capacity(); };
  return held(side.in) + held(side.out) + (side.tls == nullptr ? 0 : held(side.tls->opened));
}

struct Stuck {
  uint32_t ms;
  uint32_t octets;  // that its end frees
  uint32_t slot;
};

Stuck StuckAt(WorkerContext& ctx, uint32_t slot, bool in_kernel) {
  const Session& session = ctx.table.At(slot);
  const uint32_t client_ms = StuckMs(ctx, session.client_takes);
  const uint32_t server_ms = StuckMs(ctx, session.server_takes);
  uint32_t octets = HeldBy(session.client) + HeldBy(session.server);
  // The kernel may hold more, and then the next look finds enough memory.
  if (in_kernel && client_ms != 0) octets += session.listener->config->limits.unsent;
  if (in_kernel && server_ms != 0) octets += ctx.limits.server_unsent;
  return {.ms = std::max(client_ms, server_ms), .octets = octets, .slot = slot};
}

}  // namespace

void RelieveMemory(WorkerContext& ctx, uint64_t octets, bool in_kernel) {
  std::vector<Stuck> found;
  for (uint32_t slot = 0; slot < ctx.table.made(); ++slot) {
    if (IdOf(ctx.table.At(slot).stage) != StageId::kRelaying) continue;
    const Stuck stuck = StuckAt(ctx, slot, in_kernel);
    if (stuck.ms != 0) found.push_back(stuck);
  }
  const size_t ends = std::min(found.size(), kReliefPerTurn);
  std::ranges::partial_sort(found, found.begin() + static_cast<ptrdiff_t>(ends),
                            [](const Stuck& a, const Stuck& b) {
                              return std::tie(a.ms, a.octets) > std::tie(b.ms, b.octets);
                            });
  uint64_t freed = 0;
  for (size_t i = 0; i < ends && freed < octets; ++i) {
    freed += found[i].octets;
    EndByGateway(ctx, ctx.table.At(found[i].slot), EndReason::kMemoryPressure, /*polite=*/false);
  }
}

}  // namespace starling
