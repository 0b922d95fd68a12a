#include "gateway/session/admission.h"

#include <algorithm>

#include "gateway/session/due.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

// Fewer say nothing about those that follow.
constexpr uint32_t kPaceFrom = 32;
// What was longer ago counts for less.
constexpr uint32_t kPaceMost = 256;
// A client has an eighth of its time for an answer, before its place may go to another source. By
// default that is 1.9 s: a lost packet is sent again after one. Where more sources wait than there
// are places, it has some eighths of that, so that each of them gets a place the sooner.
constexpr uint32_t kEighths = 8;
// A handshake that fails has wasted its place after one of them, 0.2 s. One that fails sooner costs
// others little.
constexpr uint32_t kWastedAfter = 1;
// How many sources a turn looks at, to find one that may have such a place.
constexpr uint32_t kSourceLooks = 64;

constexpr uint32_t Index(WaitRank rank) { return static_cast<uint32_t>(rank); }

AgeListKey KeyOf(PlacePool pool, uint64_t source) {
  return {.pool = pool, .source = static_cast<uint32_t>(source)};
}

// So many eighths of the time for an answer after it got its place.
MonoTime HeldFor(const Session& session, const Handshaking& stage, uint32_t eighths) {
  const uint32_t ms = LimitsOf(session).handshake_ms / (kEighths * kEighths) * eighths;
  return After(stage.tls_at, stage.place_ms + ms);
}

MonoTime Stalls(const Session& session, const Handshaking& stage) {
  return HeldFor(session, stage, kEighths - stage.haste);
}

uint8_t HasteNow(const Admissions& all) {
  const uint32_t sources = all.waiting.sources(Index(WaitRank::kUsual));
  const uint32_t places = all.places.most();
  if (sources <= places) return 0;
  return static_cast<uint8_t>(kEighths -
                              std::max(uint64_t{kEighths} * places / sources, uint64_t{1}));
}

void TakePlaceFor(WorkerContext& ctx, const Session& session, Handshaking& stage) {
  Admissions& all = ctx.admissions;
  const uint64_t source = FairnessKey(ctx, session);
  all.places.Join(session.slot, source, 0);
  if (IsWasteful(ctx, session)) {
    all.yielding.Add(session.slot, KeyOf(kWastefulPlaces, source), 1, ctx.now);
  }
  stage.place_ms = MillisBetween(stage.tls_at, ctx.now);
  stage.haste = HasteNow(all);
}

// Its place is free. The source has wasted it if there is no TLS after a while; what else it wants
// then comes later.
void FreePlaceOf(WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  Admissions& all = ctx.admissions;
  if (!all.places.Has(session.slot)) return;
  all.places.Leave(session.slot);
  all.yielding.Remove(session.slot);
  if (session.tls_up() || ctx.now < HeldFor(session, stage, kWastedAfter)) return;
  NoteWasteful(ctx, session);
  all.waiting.Move(FairnessKey(ctx, session), Index(WaitRank::kUsual), Index(WaitRank::kWasteful));
}

// It gives way to another source, and learns that in its next step.
void Displace(WorkerContext& ctx, uint32_t slot) {
  const Session& session = ctx.table.At(slot);
  Handshaking& stage = std::get<Handshaking>(ctx.table.At(slot).stage);
  ctx.admissions.waiting.Leave(slot);
  FreePlaceOf(ctx, session, stage);
  stage.displaced = true;
  ctx.again.push_back(slot);
}

// Room in the queue for one of this source: the source of which most wait has less then, and still
// no less than this one. Those who are served last give way to all others.
bool MakeRoomInQueue(WorkerContext& ctx, uint64_t source, WaitRank rank) {
  FairQueue& waiting = ctx.admissions.waiting;
  if (!waiting.full()) return true;
  for (uint32_t other = Index(WaitRank::kLast) + 1; other-- > Index(rank);) {
    const FairQueue::Heaviest heaviest = waiting.HeaviestOf(other);
    const bool goes_later = other > Index(rank) && other > Index(WaitRank::kUsual);
    const uint32_t kept = goes_later ? 0 : waiting.Count(source, other) + 1;
    if (heaviest.count <= kept) continue;
    Displace(ctx, heaviest.newest);
    return true;
  }
  return false;
}

// The place that goes to a waiter of this source and rank; kNone: none does.
uint32_t FindPlaceFor(const WorkerContext& ctx, uint64_t source, WaitRank rank) {
  const Admissions& all = ctx.admissions;
  const bool usual = rank == WaitRank::kUsual;
  const auto places_of = [&](uint32_t slot) {
    return all.places.Count(FairnessKey(ctx, ctx.table.At(slot)), 0);
  };
  const uint32_t own = all.places.Count(source, 0) + 1;
  const uint32_t wasteful = all.yielding.OldestOfHeaviestBut(KeyOf(kWastefulPlaces, source));
  if (wasteful != AgeLists::kNone) {
    const Session& session = ctx.table.At(wasteful);
    const bool stalled = Stalls(session, std::get<Handshaking>(session.stage)) <= ctx.now;
    if (usual || (stalled && own <= places_of(wasteful))) return wasteful;
  }
  const uint32_t stalled = all.yielding.OldestOfHeaviestBut(KeyOf(kStalledPlaces, source));
  if (stalled == AgeLists::kNone) return FairQueue::kNone;
  const uint32_t most = places_of(stalled);
  return own < most || (usual && own == most) ? stalled : FairQueue::kNone;
}

// All places are taken. One goes to the first in turn of that rank who may have one. Those before
// it have had their turn then. Where nobody may have one, the turns stay as they are.
bool ReclaimPlace(WorkerContext& ctx, WaitRank rank) {
  FairQueue& waiting = ctx.admissions.waiting;
  ctx.admissions.yielding.Settle(ctx.now);
  const uint32_t first = waiting.Next(Index(rank));
  uint32_t slot = first;
  for (uint32_t look = 0; look < kSourceLooks; ++look) {
    const uint32_t place = FindPlaceFor(ctx, FairnessKey(ctx, ctx.table.At(slot)), rank);
    if (place != FairQueue::kNone) {
      waiting.TurnTo(slot);
      Displace(ctx, place);
      return true;
    }
    slot = waiting.Following(slot);
    if (slot == first) return false;
  }
  // The next look begins where this one ends.
  waiting.TurnTo(slot);
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

WaitRank RankOf(const WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  if (stage.last) return WaitRank::kLast;
  return IsWasteful(ctx, session) ? WaitRank::kWasteful : WaitRank::kUsual;
}

Admission Join(WorkerContext& ctx, const Session& session, Handshaking& stage) {
  Admissions& all = ctx.admissions;
  const uint64_t source = FairnessKey(ctx, session);
  if (all.open && all.key_operations == 0) CountLimit(ctx, Limit::kKeyOperations);
  WaitRank rank = RankOf(ctx, session, stage);
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
  if (!all.places.Has(session.slot)) TakePlaceFor(ctx, session, stage);
  return Admission::kGranted;
}

void ReturnGrant(WorkerContext& ctx) { ++ctx.admissions.key_operations; }

void LeaveAdmission(WorkerContext& ctx, const Session& session) {
  ctx.admissions.waiting.Leave(session.slot);
  FreePlaceOf(ctx, session, std::get<Handshaking>(session.stage));
}

void NoteStalled(WorkerContext& ctx, const Session& session) {
  AgeLists& yielding = ctx.admissions.yielding;
  if (!ctx.admissions.places.Has(session.slot) || yielding.Has(session.slot)) return;
  yielding.Add(session.slot, KeyOf(kStalledPlaces, FairnessKey(ctx, session)), 1, ctx.now);
}

uint32_t TakeAdmitted(WorkerContext& ctx, bool last) {
  Admissions& all = ctx.admissions;
  if (all.waiting.size(Index(WaitRank::kHasPlace)) > 0) {
    return all.waiting.Take(Index(WaitRank::kHasPlace));
  }
  for (const WaitRank rank : {WaitRank::kUsual, WaitRank::kWasteful}) {
    if (all.waiting.size(Index(rank)) == 0) continue;
    if (all.places.full() && !ReclaimPlace(ctx, rank)) continue;
    return all.waiting.Take(Index(rank));
  }
  return last && !all.places.full() ? all.waiting.Take(Index(WaitRank::kLast)) : FairQueue::kNone;
}

MonoTime StallsAt(const WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  if (!ctx.admissions.places.Has(session.slot)) return kNever;
  const MonoTime at = Stalls(session, stage);
  return at <= ctx.now && ctx.admissions.yielding.Has(session.slot) ? kNever : at;
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
