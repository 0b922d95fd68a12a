#include "gateway/session/crowding.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>
#include <variant>

#include "gateway/limits.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

const SourceRule& RuleOf(const WorkerListener& listener, const SourceHold& source) {
  return listener.sources->At(source.rule);
}

// Probes and exempt sources: nobody's limits are theirs, this one neither.
bool HasPrivilege(SourceRole role) {
  return role == SourceRole::kProbe || role == SourceRole::kExempt;
}

// Besides the session that asks. Of an ordinary client: others are treated as if they had none.
uint64_t OtherSessions(const WorkerContext& ctx, const SourceRule& rule, const SourceHold& source) {
  if (rule.role != SourceRole::kClient) return 0;
  const uint64_t sessions = ctx.sources->shares.Sessions(source.cells);
  return sessions - std::min<uint64_t>(sessions, source.counted ? 1 : 0);
}

// A place that is kept for sources without a session may be its own.
bool MayBeNew(const WorkerContext& ctx, const SourceRule& rule, const SourceHold& source) {
  return OtherSessions(ctx, rule, source) == 0;
}

bool HasFew(const WorkerContext& ctx, const SourceRule& rule, const SourceHold& source) {
  return OtherSessions(ctx, rule, source) < kFewSessions;
}

AgeListKey KeyOf(PlacePool pool, const SourceHold& source) {
  return {.pool = pool,
          .source = static_cast<uint32_t>(source.cells.first) << 16 | source.cells.second};
}

AgeListKey ServedKeyOf(const Session& session) {
  static_assert(kMaxBackends <= kNoPlace);
  return KeyOf(static_cast<PlacePool>(session.target.backend), session.source);
}

uint16_t SessionsOfWeight(SourceRole role) {
  return role == SourceRole::kClient ? 1 : kHalfOpenOfMany;
}

// The session in these lists that gives way to a newcomer of this source; kNone: none does. The
// newcomer's source must not become heavier than the heaviest other one is: with sixteen users of a
// webmail server it is no heavier than an address with one, and neither is one that has just opened
// four. One that has few sessions in all may become heavier by a place that has been held for long.
uint32_t FindVictim(const WorkerContext& ctx, const AgeLists& lists, PlacePool pool,
                    const SourceRule& rule, const SourceHold& source) {
  const AgeListKey key = KeyOf(pool, source);
  const uint32_t own =
      HasPrivilege(rule.role) ? 1 : lists.WeightWithOneMore(key, SessionsOfWeight(rule.role));
  const uint32_t heaviest = lists.HeaviestBut(key);
  const uint32_t victim = lists.OldestOfHeaviestBut(key);
  if (victim == AgeLists::kNone) return AgeLists::kNone;
  const bool lighter = own <= heaviest;
  const bool few = HasFew(ctx, rule, source);
  if (lighter && (few || heaviest > kFewSessions)) return victim;
  if (!lighter && !few) return AgeLists::kNone;
  // The weight says nothing of the sessions that this source has established. Many of them give it
  // no right to the place of a client that has only just come.
  const bool fresh = ctx.now - ctx.table.At(victim).accepted_at < kFreshHalfOpen;
  return fresh ? AgeLists::kNone : victim;
}

// The same, of a pool of the table. Where no source is a crowd, all that a newcomer learns from
// weights is that each has a session or two: those that have lost a place before lose one again.
uint32_t FindInPool(const WorkerContext& ctx, PlacePool pool, const SourceRule& rule,
                    const SourceHold& source) {
  const AgeListKey key = KeyOf(pool, source);
  const uint32_t usual = FindVictim(ctx, ctx.half_open, pool, rule, source);
  if (usual == AgeLists::kNone || ctx.half_open.HeaviestBut(key) > kFewSessions) return usual;
  const uint32_t again = ctx.half_open_again.OldestOfHeaviestBut(key);
  if (again != AgeLists::kNone) return again;
  const bool fresh = ctx.now - ctx.table.At(usual).accepted_at < kFreshHalfOpen;
  return fresh && WasCrowdedOut(ctx, source) ? AgeLists::kNone : usual;
}

// The session whose place the newcomer may have. Where two pools have one, the heavier source's.
uint32_t FindVictim(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source) {
  const SourceRule& rule = RuleOf(listener, source);
  const auto own = static_cast<PlacePool>(listener.id);
  ctx.half_open.Settle(ctx.now);
  ctx.half_open_again.Settle(ctx.now);
  ctx.half_open_capped.Settle(ctx.now);
  // Only the place of another session of the listener helps.
  if (!ctx.places.BelowMost(own)) return FindVictim(ctx, ctx.half_open_capped, own, rule, source);
  const uint32_t in_own = FindInPool(ctx, own, rule, source);
  const uint32_t in_shared = FindInPool(ctx, kSharedPlaces, rule, source);
  if (in_own == AgeLists::kNone) return in_shared;
  const bool own_is_heavier = ctx.half_open.Heaviest(own) > ctx.half_open.Heaviest(kSharedPlaces);
  return in_shared == AgeLists::kNone || own_is_heavier ? in_own : in_shared;
}

void LeaveLists(WorkerContext& ctx, const Session& session) {
  ctx.half_open.Remove(session.slot);
  ctx.half_open_again.Remove(session.slot);
  ctx.half_open_capped.Remove(session.slot);
  ctx.half_open_served.Remove(session.slot);
}

// The session is in half_open, and in the lists of its listener if that has a limit.
void NoteCap(WorkerContext& ctx, const Session& session) {
  const auto listener = static_cast<PlacePool>(session.listener->id);
  if (!ctx.places.HasMost(listener)) {
    ctx.half_open_capped.Remove(session.slot);
  } else if (!ctx.half_open_capped.Has(session.slot)) {
    const SourceRole role = RuleOf(*session.listener, session.source).role;
    ctx.half_open_capped.Add(session.slot, KeyOf(listener, session.source), SessionsOfWeight(role),
                             ctx.now);
  }
}

// The session is in half_open, and in the lists of its backend if it has a place there that others
// may wait for, and its client has the word.
void NoteServed(WorkerContext& ctx, const Session& session) {
  const StageId stage = IdOf(session.stage);
  const bool served = session.target.server >= 0 &&
                      session.listener->backends->limited(session.target.backend) &&
                      (stage == StageId::kTalking || stage == StageId::kInside);
  if (!served) {
    ctx.half_open_served.Remove(session.slot);
  } else if (!ctx.half_open_served.Has(session.slot)) {
    const SourceRole role = RuleOf(*session.listener, session.source).role;
    ctx.half_open_served.Add(session.slot, ServedKeyOf(session), SessionsOfWeight(role), ctx.now);
  }
}

// Its place is free at once. Its slot is not, before nothing of it is in flight.
void LetGiveWay(WorkerContext& ctx, Session& session) {
  LeaveLists(ctx, session);
  if (session.data != nullptr) EndWaiting(ctx, session);
  if (session.use == SlotUse::kSession) ctx.places.Leave(session.listener->id, session.pool);
  // A word for it holds its slot for as long as the client takes to read it.
  session.gives_way = ctx.table.leaving() < kLeavingSlots / 2 ? Leave::kPolitely : Leave::kAtOnce;
  ctx.table.LetLeave(session);
  // One that lingers had its end before, for another reason.
  if (!IsOver(IdOf(session.stage))) NoteRefusal(ctx, session);
  ctx.Ready(session);
}

Room LetOneGiveWay(WorkerContext& ctx, AgeLists& lists, PlacePool pool, const SourceRule& rule,
                   const SourceHold& source) {
  lists.Settle(ctx.now);
  const uint32_t victim = FindVictim(ctx, lists, pool, rule, source);
  if (victim == AgeLists::kNone) return Room::kNone;
  if (!ctx.table.MayLetLeave()) return Room::kLater;
  LetGiveWay(ctx, ctx.table.At(victim));
  return Room::kTaken;
}

struct HalfOpen {
  bool now = false;
  MonoTime from = kNever;  // later, if nothing happens until then
};

HalfOpen Look(const WorkerContext& ctx, const Session& session) {
  if (session.use == SlotUse::kArriving) return {.now = IdOf(session.stage) != StageId::kClosing};
  if (session.use != SlotUse::kSession) return {};
  switch (IdOf(session.stage)) {
    case StageId::kProxyHeader:
    case StageId::kDataWait:
    case StageId::kUpgrading:
    case StageId::kHandshaking:
    case StageId::kOpening:
    case StageId::kGreeting:
      return {.now = true};
    case StageId::kInside:
      return {.now = !session.dialogue->serving};
    case StageId::kLingering:
      // All has been said, and the client keeps its connection open. Behind a relay much of it may
      // still be on its way.
      return {.now = session.data == nullptr && !(session.established && session.tls_up())};
    case StageId::kTalking: {
      // What has not reached the server yet, such as the end of a mail, makes it owe an answer.
      const bool servers_turn = session.server_owes || !session.server.flushed();
      if (!session.plaintext_leg || !servers_turn) return {.now = true};
      // The server is at work, or the client has stopped in the middle of what it sends.
      const MonoTime stalled = session.active_at + kStalledLeg;
      return {.now = ctx.now >= stalled, .from = stalled};
    }
    case StageId::kFree:
    case StageId::kRelaying:
    case StageId::kLastWords:
    case StageId::kClosing:
    case StageId::kCount:
      break;
  }
  return {};
}

// What the session has done so far, as far as it counts for its age. A client takes but a few such
// steps: it cannot stay young by them.
uint8_t StepOf(const Session& session) {
  const auto step = [&session](bool first, bool second) {
    return static_cast<uint8_t>(session.stage.index() * 4 + (first ? 1 : 0) + (second ? 2 : 0));
  };
  if (const auto* const talking = std::get_if<Talking>(&session.stage)) {
    return step(talking->greeted, session.dialogue->command_at != kNever);
  }
  if (const auto* const handshaking = std::get_if<Handshaking>(&session.stage)) {
    return step(handshaking->weighed, handshaking->flight_sent);
  }
  // All has been said before.
  return IsOver(IdOf(session.stage)) ? AgeLists::kAnyStep : step(false, false);
}

// A place for a session of this source: a free one, or that of another, which gives way.
Room FindPlace(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source,
               PlacePool& pool) {
  const bool new_source = MayBeNew(ctx, RuleOf(listener, source), source);
  std::optional<PlacePool> found = ctx.places.FindFree(listener.id, new_source);
  if (!found) {
    const uint32_t victim = FindVictim(ctx, listener, source);
    if (victim == AgeLists::kNone) return Room::kNone;
    if (!ctx.table.MayLetLeave()) return Room::kLater;
    found = ctx.table.At(victim).pool;
    NoteCrowdedOut(ctx, ctx.table.At(victim));
    LetGiveWay(ctx, ctx.table.At(victim));
  }
  pool = *found;
  return Room::kTaken;
}

void Occupy(WorkerContext& ctx, Session& session, PlacePool pool) {
  session.pool = pool;
  ctx.places.Take(session.listener->id, pool);
}

// A slot without a place. If all are taken, the busiest load balancer loses one: that of its client
// that has waited longest for its header. Most headers come at once.
Room TakeArrivingSlot(WorkerContext& ctx, Session*& session) {
  session = ctx.table.TakeArriving();
  if (session == nullptr) {
    ctx.half_open.Settle(ctx.now);
    const uint32_t victim = ctx.half_open.OldestOfHeaviest(kNoPlace);
    if (victim == AgeLists::kNone || !ctx.table.MayLetLeave()) return Room::kLater;
    LetGiveWay(ctx, ctx.table.At(victim));
    session = ctx.table.TakeArriving();
  }
  session->pool = kNoPlace;
  return Room::kTaken;
}

}  // namespace

Room TakePlace(WorkerContext& ctx, WorkerListener& listener, const SourceHold& source,
               Session*& session) {
  PlacePool pool = kNoPlace;
  const bool arrives = RuleOf(listener, source).role == SourceRole::kBalancer &&
                       !ctx.places.FindFree(listener.id, /*new_source=*/true);
  const Room room =
      arrives ? TakeArrivingSlot(ctx, session) : FindPlace(ctx, listener, source, pool);
  if (room != Room::kTaken) return room;
  if (!arrives) session = ctx.table.Take();
  assert(session != nullptr);
  session->listener = &listener;
  session->source = source;
  if (!arrives) Occupy(ctx, *session, pool);
  return room;
}

Room KeepPlace(WorkerContext& ctx, Session& session) {
  // What it weighed so far was the load balancer's.
  LeaveLists(ctx, session);
  if (session.use == SlotUse::kArriving) {
    PlacePool pool = kNoPlace;
    const Room room = FindPlace(ctx, *session.listener, session.source, pool);
    if (room == Room::kTaken) {
      ctx.table.Settle(session);
      Occupy(ctx, session, pool);
    }
    return room;
  }
  const SourceRule& rule = RuleOf(*session.listener, session.source);
  const bool new_source = MayBeNew(ctx, rule, session.source);
  if (new_source || ctx.places.SparesNewSources(session.pool)) return Room::kTaken;
  ctx.half_open.Settle(ctx.now);
  ctx.half_open_again.Settle(ctx.now);
  const uint32_t victim = FindInPool(ctx, session.pool, rule, session.source);
  if (victim == AgeLists::kNone) return Room::kNone;
  // It has one of the places for new sources, and makes up for that.
  if (ctx.table.MayLetLeave()) LetGiveWay(ctx, ctx.table.At(victim));
  return Room::kTaken;
}

void FreePlace(WorkerContext& ctx, Session& session) {
  LeaveLists(ctx, session);
  if (session.use == SlotUse::kSession) ctx.places.Leave(session.listener->id, session.pool);
  ctx.table.Free(session);
}

Room FindWaitingRoom(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source) {
  if (ctx.waiting_channels < ctx.limits.data_listeners) return Room::kTaken;
  return LetOneGiveWay(ctx, ctx.half_open_channels, kSharedPlaces, RuleOf(listener, source),
                       source);
}

Room FindPort(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source) {
  // A socket that is about to close may leave its port.
  if (ctx.data_sockets > ctx.waiting_channels) return Room::kLater;
  const Room room =
      LetOneGiveWay(ctx, ctx.half_open_ports, listener.port_pool, RuleOf(listener, source), source);
  return room == Room::kTaken ? Room::kLater : room;
}

void BeginWaiting(WorkerContext& ctx, Session& channel) {
  channel.data->waits = true;
  ++ctx.waiting_channels;
  const SourceRole role = RuleOf(*channel.listener, channel.source).role;
  if (HasPrivilege(role)) return;
  const uint16_t of_weight = SessionsOfWeight(role);
  ctx.half_open_channels.Add(channel.slot, KeyOf(kSharedPlaces, channel.source), of_weight,
                             ctx.now);
  // One that waits for the server has any port, and takes none of those.
  if (channel.reversed()) return;
  ctx.half_open_ports.Add(channel.slot, KeyOf(channel.listener->port_pool, channel.source),
                          of_weight, ctx.now);
}

void EndWaiting(WorkerContext& ctx, Session& channel) {
  if (!std::exchange(channel.data->waits, false)) return;
  --ctx.waiting_channels;
  ctx.half_open_channels.Remove(channel.slot);
  ctx.half_open_ports.Remove(channel.slot);
}

bool MakeRoomAtServers(WorkerContext& ctx, const Session& session) {
  // Each look but the last renews an age.
  constexpr int kLooks = 16;
  AgeLists& lists = ctx.half_open_served;
  const SourceRule& rule = RuleOf(*session.listener, session.source);
  const AgeListKey key = ServedKeyOf(session);
  if (!ctx.table.MayLetLeave()) return false;
  lists.Settle(ctx.now);
  for (int look = 0; look < kLooks; ++look) {
    const uint32_t slot = FindVictim(ctx, lists, key.pool, rule, session.source);
    if (slot == AgeLists::kNone) return false;
    Session& victim = ctx.table.At(slot);
    // Servers are full on many a good day, and a client that says something now and then is done
    // sooner or later: only crowds have to go while they talk.
    const bool may_stay =
        lists.HeaviestBut(key) <= kFewSessions && ctx.now - victim.active_at < kFreshHalfOpen;
    // In an earlier configuration the number may have been another backend's.
    if (!may_stay && BackendKey(victim) == BackendKey(session)) {
      LetGiveWay(ctx, victim);
      return true;
    }
    lists.Remove(slot);
    lists.Add(slot, ServedKeyOf(victim),
              SessionsOfWeight(RuleOf(*victim.listener, victim.source).role), ctx.now);
  }
  return false;
}

void NoteCaps(WorkerContext& ctx) {
  for (uint32_t slot = 0; slot < ctx.table.size(); ++slot) {
    Session& session = ctx.table.At(slot);
    if (ctx.half_open.Has(slot) && session.use == SlotUse::kSession) NoteCap(ctx, session);
  }
}

MonoTime NoteHalfOpen(WorkerContext& ctx, Session& session) {
  const HalfOpen half_open = Look(ctx, session);
  const SourceRole role = RuleOf(*session.listener, session.source).role;
  // One that arrives has no place that its role could keep for it.
  const bool stays = HasPrivilege(role) && session.use != SlotUse::kArriving;
  const bool wanted = half_open.now && !stays;
  const uint8_t step = StepOf(session);
  if (!wanted) {
    LeaveLists(ctx, session);
  } else if (!ctx.half_open.HasAt(session.slot, step)) {
    LeaveLists(ctx, session);
    ctx.half_open.Add(session.slot, KeyOf(session.pool, session.source), SessionsOfWeight(role),
                      ctx.now, step);
    if (WasCrowdedOut(ctx, session.source)) {
      ctx.half_open_again.Add(session.slot, KeyOf(session.pool, session.source),
                              SessionsOfWeight(role), ctx.now, step);
    }
    if (session.use == SlotUse::kSession) NoteCap(ctx, session);
  }
  if (wanted) NoteServed(ctx, session);
  return half_open.now ? kNever : half_open.from;
}

}  // namespace starling
