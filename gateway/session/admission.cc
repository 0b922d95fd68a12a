#include "gateway/session/admission.h"

#include "gateway/session/due.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

// Fewer say nothing about those that follow.
constexpr uint32_t kPaceFrom = 32;
// What was longer ago counts for less.
constexpr uint32_t kPaceMost = 256;
// A client has this part of its time for an answer, before its place may go to another source. By
// default that is 1.9 s: a lost packet is sent again after one.
constexpr uint32_t kStallsAfter = 8;
// How many sources a turn looks at, to find one that may have such a place.
constexpr uint32_t kSourceLooks = 16;

constexpr uint32_t Index(WaitRank rank) { return static_cast<uint32_t>(rank); }

// It gives way to another source, and learns that in its next step.
void Displace(WorkerContext& ctx, uint32_t slot) {
  ctx.admissions.waiting.Leave(slot);
  ctx.admissions.places.Leave(slot);
  std::get<Handshaking>(ctx.table.At(slot).stage).displaced = true;
  ctx.again.push_back(slot);
}

// Room in the queue for one of this source: the source of which most wait has less then, and still
// no less than this one. Those who are served last give way to all others.
bool MakeRoomInQueue(WorkerContext& ctx, uint64_t source, WaitRank rank) {
  FairQueue& waiting = ctx.admissions.waiting;
  if (!waiting.full()) return true;
  constexpr uint32_t kLast = Index(WaitRank::kLast);
  for (uint32_t other = kLast + 1; other-- > Index(rank);) {
    const FairQueue::Heaviest heaviest = waiting.HeaviestOf(other);
    const bool goes_last = other == kLast && rank != WaitRank::kLast;
    const uint32_t kept = goes_last ? 0 : waiting.Count(source, other) + 1;
    if (heaviest.count <= kept) continue;
    Displace(ctx, heaviest.newest);
    return true;
  }
  return false;
}

bool IsStalled(const WorkerContext& ctx, uint32_t slot) {
  const Session& session = ctx.table.At(slot);
  return StallsAt(ctx, session, std::get<Handshaking>(session.stage)) <= ctx.now;
}

// All places are taken. The source that has most of them gives one up, to a source that has less
// then: that of the handshake that has had its place longest.
bool ReclaimPlace(WorkerContext& ctx) {
  Admissions& all = ctx.admissions;
  const FairQueue::Heaviest heaviest = all.places.HeaviestOf(0);
  if (heaviest.count < 2 || !IsStalled(ctx, heaviest.oldest)) return false;
  for (uint32_t look = 0; look < kSourceLooks; ++look) {
    const uint32_t next = all.waiting.Next(Index(WaitRank::kUsual));
    if (next == FairQueue::kNone) return false;
    if (all.places.Count(FairnessKey(ctx, ctx.table.At(next)), 0) + 1 < heaviest.count) {
      Displace(ctx, heaviest.oldest);
      return true;
    }
    all.waiting.Skip(Index(WaitRank::kUsual));
  }
  return false;
}

bool ComesTooLate(const WorkerContext& ctx, const Session& session, const Handshaking& stage,
                  uint64_t source, WaitRank rank) {
  const std::chrono::nanoseconds each = ctx.admissions.pace.Each();
  const FairQueue& waiting = ctx.admissions.waiting;
  const std::chrono::nanoseconds left =
      After(stage.tls_at, LimitsOf(session).handshake_ms) - ctx.now;
  // All of them could go first, and there would be time. Mostly that is all there is to ask.
  if (each * waiting.size() <= left) return false;
  return each * waiting.Ahead(source, Index(rank)) > left;
}

Admission Join(WorkerContext& ctx, const Session& session, Handshaking& stage) {
  Admissions& all = ctx.admissions;
  const uint64_t source = FairnessKey(ctx, session);
  if (all.open && all.key_operations == 0) CountLimit(ctx, Limit::kKeyOperations);
  WaitRank rank = stage.last ? WaitRank::kLast : WaitRank::kUsual;
  if (all.places.Has(session.slot)) {
    rank = WaitRank::kHasPlace;
  } else if (all.places.full()) {
    CountLimit(ctx, Limit::kHandshakesInFlight);
  }
  if (ComesTooLate(ctx, session, stage, source, rank)) return Admission::kLate;
  if (!MakeRoomInQueue(ctx, source, rank)) {
    CountLimit(ctx, Limit::kHandshakeQueue);
    return Admission::kFull;
  }
  all.waiting.Join(session.slot, source, Index(rank));
  return Admission::kQueued;
}

// Where nobody waits, nobody is passed over.
bool MayGoAtOnce(const Admissions& all, const Session& session, const Handshaking& stage) {
  return all.key_operations > 0 && all.waiting.empty() && !stage.last &&
         (all.places.Has(session.slot) || !all.places.full());
}

}  // namespace

void ServicePace::Note(MonoTime now, uint32_t served, bool others_wait) {
  if (since_ != kNever) {
    took_ += now - since_;
    served_ += last_served_;
  }
  if (served_ > kPaceMost) {
    took_ /= 2;
    served_ /= 2;
  }
  if (!others_wait) *this = {};
  if (!others_wait) return;
  since_ = now;
  last_served_ = served;
}

std::chrono::nanoseconds ServicePace::Each() const {
  return served_ < kPaceFrom ? std::chrono::nanoseconds(0) : took_ / served_;
}

Admission Admit(WorkerContext& ctx, Session& session, Handshaking& stage) {
  Admissions& all = ctx.admissions;
  if (all.waiting.Has(session.slot)) return Admission::kQueued;
  if (all.called != session.slot && !MayGoAtOnce(all, session, stage)) {
    return Join(ctx, session, stage);
  }
  all.called = FairQueue::kNone;
  --all.key_operations;
  if (!all.places.Has(session.slot)) {
    all.places.Join(session.slot, FairnessKey(ctx, session), 0);
    const auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(ctx.now - stage.tls_at);
    stage.place_ms = static_cast<uint32_t>(waited.count());
  }
  return Admission::kGranted;
}

void ReturnGrant(WorkerContext& ctx) { ++ctx.admissions.key_operations; }

void LeaveAdmission(WorkerContext& ctx, const Session& session) {
  ctx.admissions.waiting.Leave(session.slot);
  ctx.admissions.places.Leave(session.slot);
}

uint32_t TakeAdmitted(WorkerContext& ctx, bool last) {
  Admissions& all = ctx.admissions;
  uint32_t slot = all.waiting.Take(Index(WaitRank::kHasPlace));
  if (slot != FairQueue::kNone || (all.places.full() && !ReclaimPlace(ctx))) return slot;
  slot = all.waiting.Take(Index(WaitRank::kUsual));
  if (slot != FairQueue::kNone || !last) return slot;
  return all.waiting.Take(Index(WaitRank::kLast));
}

MonoTime StallsAt(const WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  if (!ctx.admissions.places.Has(session.slot)) return kNever;
  return After(stage.tls_at, stage.place_ms + LimitsOf(session).handshake_ms / kStallsAfter);
}

bool WaitsForAdmission(const WorkerContext& ctx, const Session& session) {
  return ctx.admissions.waiting.Has(session.slot) || ctx.admissions.called == session.slot;
}

bool AdmissionOpen(const WorkerContext& ctx) {
  const Admissions& all = ctx.admissions;
  if (all.waiting.empty()) return false;
  return !all.places.full() || all.cut_short || all.waiting.size(Index(WaitRank::kHasPlace)) > 0;
}

}  // namespace starling
