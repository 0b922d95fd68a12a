#include "gateway/session/turn.h"

#include <sys/eventfd.h>

#include <algorithm>

#include "gateway/limits.h"
#include "gateway/session/due.h"
#include "gateway/session/pump.h"
#include "gateway/session/relief.h"

namespace starling {
namespace {

// For this long after a relay was last busy, a turn does only one private-key operation. It is
// longer than the pause between two messages of a busy session. Where nobody relays, several
// operations in a turn cost a twentieth less each.
constexpr std::chrono::milliseconds kRelayRecent{5};

// Only a session that has relayed for a while is one to protect: of those that come and
// go, each is in its relay for a moment.
constexpr std::chrono::milliseconds kEstablished{100};

// Where more than so many handshakes wait, a turn does one as well: a client of another source then
// waits less until the gateway looks at what it has sent. The twentieth is worth that in a flood.
constexpr uint32_t kFloodFrom = 64;

// Fewer sessions leave too little memory behind to be worth it.
constexpr size_t kTrimFrom = 1'000;

// May want the private key in this turn.
bool BeforeFlight(const Session& session) {
  const auto* const handshaking = std::get_if<Handshaking>(&session.stage);
  return handshaking != nullptr && !handshaking->flight_sent;
}

// Pumps all but those that may want the private key, which are kept for later.
void PumpOthers(WorkerContext& ctx) {
  for (size_t i = 0; i < ctx.ready.size(); ++i) {
    Session& session = ctx.table.At(ctx.ready[i]);
    if (BeforeFlight(session)) {
      ctx.hellos.push_back(session.slot);
      continue;
    }
    if (IdOf(session.stage) == StageId::kRelaying && session.stage_at + kEstablished < ctx.now) {
      ctx.relayed_at = ctx.now;
    }
    Pump(ctx, session);
  }
  ctx.ready.clear();
}

void PumpHellos(WorkerContext& ctx) {
  for (const uint32_t slot : ctx.hellos) Pump(ctx, ctx.table.At(slot));
  ctx.hellos.clear();
}

// A handshake that is served last gets an operation only in a turn that has done none for others,
// and then it is the only one of that turn.
void ServeWaiting(WorkerContext& ctx, uint32_t most) {
  Admissions& all = ctx.admissions;
  while (all.key_operations > 0) {
    const bool last = all.key_operations == most;
    const uint32_t slot = TakeAdmitted(ctx, last);
    if (slot == FairQueue::kNone) return;
    all.called = slot;
    const bool served_last = std::get<Handshaking>(ctx.table.At(slot).stage).last;
    Pump(ctx, ctx.table.At(slot));
    all.called = FairQueue::kNone;
    if (served_last) return;
  }
}

// So many of the starved, those first that have waited longest, go on.
void Wake(WorkerContext& ctx, uint64_t most) {
  const auto end =
      ctx.starved.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(most, ctx.starved.size()));
  for (auto slot = ctx.starved.begin(); slot != end; ++slot) {
    Session& session = ctx.table.At(*slot);
    session.starving = session.client.starved = session.server.starved = false;
    ctx.again.push_back(*slot);
  }
  ctx.starved.erase(ctx.starved.begin(), end);
}

// Relays that wait for memory: as many as it suffices for if their peers take nothing.
uint64_t RoomForHeld(const WorkerContext& ctx) {
  const uint64_t until = ctx.HoldsUntil();
  const uint64_t out = ctx.OctetsOut();
  if (ctx.sent >= ctx.share.moved || out >= until) return 0;
  return (until - out) / (2 * BufferPool::kBulkBlockSize) + 1;
}

}  // namespace

void PumpReady(WorkerContext& ctx) {
  // Whatever reaches its handshake while the others are pumped queues for it.
  Admissions& all = ctx.admissions;
  all.key_operations = 0;
  all.open = false;
  PumpOthers(ctx);
  const bool relaying = ctx.relayed_at + kRelayRecent > ctx.now;
  if (relaying && (AdmissionOpen(ctx) || !ctx.hellos.empty())) ctx.ring->Submit();
  const bool one = relaying || all.waiting.size() > kFloodFrom;
  const uint32_t most = one ? 1 : ctx.limits.key_operations_per_turn;
  // New hellos go at once if nobody waits. Otherwise all of them join first: one of a source that
  // has no other may have its turn before those that have waited longer.
  const bool others_wait = !all.waiting.empty();
  all.open = true;
  all.key_operations = others_wait ? 0 : most;
  PumpHellos(ctx);
  if (others_wait) all.key_operations = most;
  ServeWaiting(ctx, most);
  all.cut_short = all.key_operations == 0 && !all.waiting.empty();
  all.pace.Note(ctx.now, most - all.key_operations, !all.waiting.empty());
}

void TrimMemory(WorkerContext& ctx) {
  const size_t sessions = ctx.table.in_use();
  ctx.most_sessions = std::max(ctx.most_sessions, sessions);
  if (ctx.most_sessions < kTrimFrom || sessions >= ctx.most_sessions / 2) return;
  ctx.most_sessions = sessions;
  TrimBlocks(ctx);
  ctx.dialogues.Trim();
  if (ctx.trim_fd >= 0) eventfd_write(ctx.trim_fd, 1);
}

void WakeOvertime(WorkerContext& ctx) {
  for (size_t i = 0; i < kOvertimePerTurn && OvertimeIsDue(ctx); ++i) {
    Session& session = ctx.table.At(ctx.overtime.back());
    LeaveOvertime(ctx, session);
    ctx.Ready(session);
  }
}

void WakeStarved(WorkerContext& ctx) {
  if (ctx.starved.empty()) {
    ctx.held = false;
    return;
  }
  // Receive buffers are all back at the end of a turn, unless blocks are short. A session that
  // found no block finds none until another session returns one: looking again before that
  // would keep the worker from ever waiting.
  const size_t out = ctx.BlocksOut();
  const bool receives = ctx.starved_of_receives && ctx.ring->BuffersOut() == 0;
  const bool blocks = out < ctx.starved_at;
  if (!receives && !blocks) {
    // Those that wait for a block wait on, and the others with them.
    if (ctx.held && ctx.starved_at == 0) Wake(ctx, RoomForHeld(ctx));
    return;
  }
  ctx.starved_at = 0;
  ctx.starved_of_receives = false;
  Wake(ctx, ctx.starved.size());
}

}  // namespace starling
