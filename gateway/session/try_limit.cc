#include "gateway/session/try_limit.h"

#include <algorithm>

namespace starling {
namespace {

struct Times {
  MonoTime all = kNever;  // all tries together are over
  MonoTime one = kNever;  // this one has had its time
  bool stays = false;     // that does not end it
};

Times TimesOf(const Session& session) {
  const ListenerLimits& limits = LimitsOf(session);
  const bool stays = session.target.stays;
  const auto connects = [&](MonoTime since, MonoTime try_at) {
    return Times{.all = After(since, limits.connect_ms),
                 .one = After(try_at, limits.connect_try_ms),
                 .stays = stays};
  };
  switch (IdOf(session.link)) {
    case LinkId::kConnecting: {
      const auto& connecting = std::get<Connecting>(session.link);
      return connects(connecting.since, connecting.try_at);
    }
    case LinkId::kTlsHandshake: {
      const auto& handshake = std::get<TlsHandshake>(session.link);
      return connects(handshake.since, handshake.try_at);
    }
    case LinkId::kBackoff:
      return {.all = After(std::get<Backoff>(session.link).since, limits.connect_ms)};
    case LinkId::kGreeting: {
      const auto& greeting = std::get<ReadsGreeting>(session.link);
      const uint32_t used = std::min(limits.greeting_ms, session.target.greeting_ms);
      MonoTime one = After(greeting.since, limits.greeting_try_ms);
      if (greeting.doubted) one = After(one, limits.greeting_try_ms);
      return {.all = After(greeting.since, limits.greeting_ms - used), .one = one, .stays = stays};
    }
    case LinkId::kNone:
    case LinkId::kUp:
    case LinkId::kClosing:
    case LinkId::kCount:
      break;
  }
  return {};
}

TimeLeft LeftOf(const WorkerContext& ctx, const Session& session, MonoTime all) {
  const ListenerLimits& limits = LimitsOf(session);
  const uint32_t left = MillisBetween(ctx.now, all);
  if (const auto* const greeting = std::get_if<ReadsGreeting>(&session.link)) {
    const uint32_t used = std::min(limits.connect_ms, greeting->connect_ms);
    return {.reach_ms = limits.connect_ms - used, .greeting_ms = left};
  }
  const uint32_t used = std::min(limits.greeting_ms, session.target.greeting_ms);
  return {.reach_ms = left, .greeting_ms = limits.greeting_ms - used};
}

// Who would most likely wait just as long elsewhere stays, and so never fares worse for having
// several servers. But a host that does not even accept is worse than any that may, and who has a
// message for each server is not to wait for one.
bool Leaves(const WorkerContext& ctx, const Session& session, const Times& times) {
  const Target& target = session.target;
  const Backends& backends = *session.listener->backends;
  const Backends::Request request = RetryOf(ctx, session);
  const ListenerLimits& limits = LimitsOf(session);
  const bool greets = IdOf(session.link) == LinkId::kGreeting;
  // A second server is not left for a last moment at a third: all may be slow alike.
  const uint32_t try_ms = greets ? limits.greeting_try_ms : limits.connect_try_ms;
  if (target.left_slow && !target.all_servers && times.all < After(ctx.now, try_ms)) return false;
  const ServerId present = backends.IdOf(target.backend, target.server);
  if (IdOf(session.link) == LinkId::kConnecting || target.all_servers) {
    return backends.HasOther(target.backend, request, present);
  }
  return backends.HasSooner(target.backend, request, present, LeftOf(ctx, session, times.all));
}

// Some servers say a line at once and the rest a little more than a try later, to find clients that
// do not wait. A session that leaves one of them is only tested again by the next one. So a
// greeting that has begun has the time of a second try.
bool StaysForRest(Session& session) {
  auto* const greeting = std::get_if<ReadsGreeting>(&session.link);
  if (greeting == nullptr || !greeting->begun || greeting->doubted) return false;
  greeting->doubted = true;
  return true;
}

}  // namespace

MonoTime TryEnds(const Session& session) {
  const Times times = TimesOf(session);
  return times.stays ? times.all : std::min(times.all, times.one);
}

Backends::Request RetryOf(const WorkerContext& ctx, const Session& session) {
  const Target& target = session.target;
  return {.tried = target.tried | 1ull << target.server,
          .now = ctx.now,
          .retries = true,
          .all = target.all_servers};
}

uint32_t TrialWaitOf(const Session& session) {
  return session.listener->owner->config().limits.probe_retry_ms;
}

bool StaysOn(WorkerContext& ctx, Session& session) {
  const Times times = TimesOf(session);
  Target& target = session.target;
  Backends& backends = *session.listener->backends;
  const ServerId id = backends.IdOf(target.backend, target.server);
  const Wait wait = IdOf(session.link) == LinkId::kGreeting ? Wait::kGreeting : Wait::kReach;
  const MonoTime trial_at = After(ctx.now, TrialWaitOf(session));
  if (ctx.now >= times.all) {
    // The session may have been short of time, which says nothing about the server.
    if (ctx.now >= times.one) backends.NoteMute(id, wait, trial_at);
    return false;
  }
  backends.NoteSlow(id, wait, trial_at);
  if (StaysForRest(session)) return true;
  if (Leaves(ctx, session, times)) {
    target.left_slow = true;
    return false;
  }
  target.stays = true;
  return true;
}

}  // namespace starling
