#include "gateway/session/due.h"

#include <algorithm>

#include "gateway/session/taking.h"
#include "gateway/session/try_limit.h"

namespace starling {
namespace {

// When all that comes before relaying began. A client that upgrades after work in plaintext
// has been served already: each of the few stages that are left has the time once more.
MonoTime BeganAt(const Session& session) {
  return session.plaintext_leg ? session.stage_at : session.accepted_at;
}

}  // namespace

void AddPreRelay(const WorkerContext& ctx, const Session& session, bool awaits_command,
                 Dues& dues) {
  const ListenerLimits& limits = LimitsOf(session);
  const MonoTime first = After(BeganAt(session), limits.pre_relay_ms);
  const Dialogue* const dialogue = session.dialogue;
  if (dialogue == nullptr || dialogue->command_at == kNever) {
    dues.Add(first, DueKind::kPreRelay, EndReason::kPreRelayDeadline);
    return;
  }
  // A client that has given a command may take its time, as long as there are places for
  // others. However many commands it gives, the time in all is bounded.
  dues.crowded_from = first;
  if (ctx.now < first) {
    dues.Add(first, DueKind::kCrowding);
  } else if (ctx.Crowded()) {
    dues.Add(first, DueKind::kPreRelay, EndReason::kPreRelayCrowded);
    return;
  }
  const MonoTime total = After(BeganAt(session), limits.pre_relay_total_ms);
  dues.Add(total, DueKind::kPreRelay, EndReason::kPreRelayTotal);
  if (!awaits_command) return;
  const MonoTime silent_since = std::max(dialogue->command_at, session.stage_at);
  dues.Add(After(silent_since, limits.pre_relay_silence_ms), DueKind::kPreRelay,
           EndReason::kPreRelaySilence);
}

void AddPatience(const Session& session, Dues& dues) {
  dues.Add(session.dialogue->patience_at, DueKind::kPatience);
}

void AddLink(const Session& session, Dues& dues) {
  if (const auto* const backoff = std::get_if<Backoff>(&session.link)) {
    dues.Add(backoff->retry_at, DueKind::kBackoff);
  }
  // While the connect is being cancelled the limit has been met already.
  if (session.server.has(kOpCancel)) return;
  dues.Add(TryEnds(session), DueKind::kConnect);
}

void AddIdle(const Session& session, Dues& dues) {
  // Its data channel has an idle time of its own.
  const Dialogue* const dialogue = session.dialogue;
  if (dialogue != nullptr && dialogue->channel.serves()) return;
  const ListenerLimits& limits = LimitsOf(session);
  const bool half_closed = session.reason != EndReason::kNone;
  uint32_t ms = limits.idle_ms;
  // The last octets for a slow client of a data channel are still on their way, so it has the
  // time of an idle session, where there is such a limit.
  const bool shorter = session.data == nullptr && limits.half_close_ms < ms;
  if (half_closed && (ms == 0 || shorter)) ms = limits.half_close_ms;
  if (ms != 0) dues.Add(After(session.active_at, ms), DueKind::kIdle);
}

void AddTaking(const WorkerContext& ctx, const Session& session, Dues& dues) {
  const uint32_t window = LimitsOf(session).slow_reader_ms;
  if (window == 0) return;
  for (const Taking& taking : {session.client_takes, session.server_takes}) {
    if (taking.since_s == 0) continue;
    const uint32_t waited = WaitedMs(ctx.now, taking);
    dues.Add(After(ctx.now, waited < window ? window - waited : 0), DueKind::kTaking);
  }
}

void AddRecord(const Session& session, Dues& dues) {
  if (!session.tls_up() || session.client.tls->record_at == kNever) return;
  dues.Add(After(session.client.tls->record_at, LimitsOf(session).record_ms), DueKind::kRecord);
}

void NoteOvertime(WorkerContext& ctx, Session& session, MonoTime crowded_from) {
  if (ctx.now < crowded_from) {
    LeaveOvertime(ctx, session);
  } else if (session.overtime_place == 0) {
    ctx.overtime.push_back(session.slot);
    session.overtime_place = static_cast<uint32_t>(ctx.overtime.size());
  }
}

void LeaveOvertime(WorkerContext& ctx, Session& session) {
  if (session.overtime_place == 0) return;
  // The last one takes its place.
  const uint32_t last = ctx.overtime.back();
  ctx.overtime[session.overtime_place - 1] = last;
  ctx.table.At(last).overtime_place = session.overtime_place;
  ctx.overtime.pop_back();
  session.overtime_place = 0;
}

}  // namespace starling
