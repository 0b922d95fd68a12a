#include "gateway/session/relief.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "gateway/limits.h"
#include "gateway/session/pump.h"
#include "gateway/session/source.h"
#include "gateway/session/taking.h"

namespace starling {
namespace {

// How long it has not taken what waits for it, and one more; 0: not long, or nothing waits. Beyond
// a minute a peer is gone, and it does not matter for how long.
uint32_t StuckMs(const WorkerContext& ctx, const Taking& taking, StuckFor least) {
  if (taking.since_s == 0) return 0;
  const uint32_t ms = MsSince(ctx.now, taking);
  if (least == StuckFor::kLong && ms < kStuckMs) return 0;
  if (least == StuckFor::kSecond && !SecondHasPassed(ctx.now, taking)) return 0;
  return std::min(ms, kSurelyStuckMs) + 1;
}

uint32_t HeldBy(const Side& side) {
  const auto held = [](const Block& block) { return block.data == nullptr ? 0 : block.capacity(); };
  return held(side.in) + held(side.out) + (side.tls == nullptr ? 0 : held(side.tls->opened));
}

uint32_t HeldBy(const Session& session) { return HeldBy(session.client) + HeldBy(session.server); }

struct Stuck {
  uint64_t source;     // FairnessKey()
  uint64_t of_source;  // that all stuck sessions of the source hold, for one of its users
  uint32_t ms;
  uint32_t octets;  // that its end frees
  uint32_t slot;
};

Stuck StuckAt(WorkerContext& ctx, uint32_t slot, const Relief& relief) {
  const Session& session = ctx.table.At(slot);
  const uint32_t client_ms = StuckMs(ctx, session.client_takes, relief.stuck);
  const uint32_t server_ms = StuckMs(ctx, session.server_takes, relief.stuck);
  uint32_t octets = HeldBy(session);
  // The kernel may hold more, and then the next look finds enough memory.
  if (relief.in_kernel && client_ms != 0) octets += session.listener->config->limits.unsent;
  if (relief.in_kernel && server_ms != 0) octets += ctx.limits.server_unsent;
  return {.source = 0,
          .of_source = 0,
          .ms = std::max(client_ms, server_ms),
          .octets = octets,
          .slot = slot};
}

void WeighSources(const WorkerContext& ctx, std::vector<Stuck>& found) {
  for (Stuck& stuck : found) stuck.source = FairnessKey(ctx, ctx.table.At(stuck.slot));
  std::ranges::sort(found, {}, &Stuck::source);
  for (auto first = found.begin(); first != found.end();) {
    auto last = first;
    uint64_t octets = 0;
    for (; last != found.end() && last->source == first->source; ++last) octets += last->octets;
    for (; first != last; ++first) {
      const bool many = RoleOf(ctx.table.At(first->slot)) != SourceRole::kClient;
      first->of_source = many ? octets / kHalfOpenOfMany : octets;
    }
  }
}

// Those that hold something and have been stuck for long enough. `leaving`: what sessions hold that
// end already.
std::vector<Stuck> FindStuck(WorkerContext& ctx, const Relief& relief, uint64_t& leaving) {
  std::vector<Stuck> found;
  for (uint32_t slot = 0; slot < ctx.table.made(); ++slot) {
    const Session& session = ctx.table.At(slot);
    const StageId stage = IdOf(session.stage);
    if (stage == StageId::kClosing) leaving += HeldBy(session);
    if (stage != StageId::kRelaying) continue;
    const Stuck stuck = StuckAt(ctx, slot, relief);
    if (stuck.ms != 0) found.push_back(stuck);
  }
  if (relief.stuck != StuckFor::kLong) WeighSources(ctx, found);
  return found;
}

// Relays wait, or are about to, and it does not end by itself where peers take nothing.
bool HasUsedShare(const WorkerContext& ctx) {
  return ctx.share.ends && ctx.OctetsOut() >= (ctx.held ? ctx.HoldsUntil() : ctx.share.hold);
}

}  // namespace

void RelieveMemory(WorkerContext& ctx, const Relief& relief) {
  uint64_t freed = 0;
  std::vector<Stuck> found = FindStuck(ctx, relief, freed);
  const size_t ends =
      relief.stuck == StuckFor::kLong ? std::min(found.size(), kReliefPerTurn) : found.size();
  std::ranges::partial_sort(
      found, found.begin() + static_cast<ptrdiff_t>(ends), [](const Stuck& a, const Stuck& b) {
        return std::tie(a.of_source, a.ms, a.octets) > std::tie(b.of_source, b.ms, b.octets);
      });
  for (size_t i = 0; i < ends && freed < relief.octets; ++i) {
    freed += found[i].octets;
    EndByGateway(ctx, ctx.table.At(found[i].slot), EndReason::kMemoryPressure, /*polite=*/false);
  }
}

void KeepShare(WorkerContext& ctx) {
  if (!HasUsedShare(ctx)) return;
  const uint64_t out = ctx.OctetsOut();
  const uint64_t octets = out - ctx.HoldsUntil() + 1;
  if (out > ctx.share.most) {
    RelieveMemory(ctx, {.octets = octets, .stuck = StuckFor::kAnyTime});
  } else if (ctx.now >= ctx.relief_at) {
    ctx.relief_at = ctx.now + kHeldReliefEvery;
    RelieveMemory(ctx, {.octets = octets, .stuck = StuckFor::kSecond});
  }
}

MonoTime KeepShareAt(const WorkerContext& ctx) {
  return HasUsedShare(ctx) ? std::max(ctx.relief_at, ctx.now + kHeldReliefEvery / 10) : kNever;
}

void TrimBlocks(WorkerContext& ctx) {
  ctx.pool.Trim();
  ctx.bulk_pool.Trim();
  ctx.tiny_pool.Trim();
  ctx.small_pool.Trim();
}

}  // namespace starling
