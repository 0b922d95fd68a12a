// Opaque octets both ways: two half pipes, and what the end or the break of each side means.
//
// Not for: how octets move (half_pipe.cc).
#include "gateway/limits.h"
#include "gateway/session/data_channel.h"
#include "gateway/session/half_pipe.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/stages/stages.h"
#include "gateway/session/taking.h"

namespace starling {
namespace {

HalfPipe ToServer(WorkerContext& ctx, Session& session) {
  return {ctx, session.client, session.server};
}
HalfPipe ToClient(WorkerContext& ctx, Session& session) {
  return {ctx, session.server, session.client};
}

bool ServerGone(const Session& s) { return s.server.failed() || s.server.cut_off(); }

// The end of a file is told by each side's own, never by the close.
bool IsData(const Session& session) { return session.data != nullptr; }

// The client has said that it is done: otherwise we do not say so in its place, where the
// server could tell.
bool ClientWhole(const Session& session) {
  const Side& client = session.client;
  return !client.receive_failed() && (!client.secure() || client.ended());
}

// Neither side will say any more, and all that they said has been handed on.
bool BothEnded(const Session& session) {
  return session.client.input_over() && session.server.input_over();
}

EndReason ReasonOfClientsEnd(const Session& session) {
  if (IsData(session) && session.data->bare_end) return EndReason::kClientBareEnd;
  if (session.client.receive_failed()) return EndReason::kClientReset;
  return ClientWhole(session) ? EndReason::kClientClosed : EndReason::kClientTruncated;
}

// Some clients (.NET's) end an upload by closing TCP, without a close_notify before it. That
// is also how an attacker, or a broken network, cuts a file short: so the operator must ask
// for it. Even then an upload does not end amid a record, by a reset, or where the server has
// sent something.
bool MayEndBare(const Session& session) {
  return session.listener->config->ftp.lenient_close && !session.client.receive_failed() &&
         session.server.octets_in == 0 && !session.client.tls->session.MidRecord();
}

// One side of a data channel broke off, and the other is to see that: the connection to it
// is reset.
Next CutOff(WorkerContext& ctx, Session& session) {
  Side& client = session.client;
  if (session.server.was_reset()) return EndNow(EndReason::kBackendReset);
  (void)client.Waiting(ctx);  // notes an end without close_notify
  if (session.data->bare_end || !client.input_over()) return Stay();
  if (session.client_closed_tls() || session.server.input_over()) return Stay();
  session.data->bare_end = MayEndBare(session);
  if (session.data->bare_end) return Stay();
  return EndNow(client.receive_failed() ? EndReason::kClientReset : EndReason::kClientTruncated);
}

// The gateway discards octets behind the client's close_notify.
void DropBehindClose(WorkerContext& ctx, Session& session, Relaying& stage) {
  const size_t octets = session.client.RawInput(ctx).size();
  stage.discarded += static_cast<uint32_t>(octets);
  session.client.RawConsume(ctx, octets);
}

// Decided: TLS with the client failed.
Next StepToServer(WorkerContext& ctx, Session& session, Relaying& stage) {
  HalfPipe pipe = ToServer(ctx, session);
  Side& client = session.client;
  if (ServerGone(session)) {
    if (IsData(session)) session.data->lost = true;
    pipe.Drop();
    client.TimeRecord(ctx.now, false);
    return Stay();
  }
  pipe.Move();
  if (session.client_closed_tls()) {
    NoteReason(session, EndReason::kClientClosed);
    DropBehindClose(ctx, session, stage);
  }
  if (client.tls_failed()) return FailTls(session);
  if (client.input_over()) {
    NoteReason(session, ReasonOfClientsEnd(session));
    const bool by_close = session.server.input_over() && !IsData(session);
    pipe.PassOnEnd(session.ref(), ClientWhole(session), by_close);
  }
  // A server that takes nothing is not the client's fault.
  client.TimeRecord(ctx.now, session.server.nothing_to_send());
  return Stay();
}

// Decided: TLS with the client failed.
Next StepToClient(WorkerContext& ctx, Session& session) {
  HalfPipe pipe = ToClient(ctx, session);
  if (session.client.failed()) {
    if (IsData(session)) session.data->lost |= !session.server.Input(ctx).empty();
    pipe.Drop();
    return Stay();
  }
  pipe.Move();
  if (const Next next = CheckSealing(session); next.decided()) return next;
  if (!session.server.input_over()) return Stay();
  // After a break the client must not take what it has for the whole: it gets the TCP end
  // alone, without close_notify.
  const bool whole = !ServerBroke(session);
  if (session.reason == EndReason::kNone && !session.server.spoken()) SuspectServer(session);
  NoteReason(session, whole ? EndReason::kBackendClosed : ServerBreak(session));
  const bool by_close = session.client.input_over() && !IsData(session);
  pipe.PassOnEnd(session.ref(), whole, by_close);
  return Stay();
}

// A server that waits for its client may hang instead. The session can do nothing about that, but
// a probe finds out, and other sessions go elsewhere.
bool MayHang(const Session& session) {
  return !IsData(session) && session.listener->config->protocol->first_words != nullptr &&
         !session.server.spoken();
}

// NoteTaking gives a peer that has taken enough the same time once more.
Next CheckTaking(const WorkerContext& ctx, Session& session) {
  if (TakesTooLittle(ctx, LimitsOf(session), session.client, session.client_takes)) {
    return EndNow(EndReason::kClientStalled);
  }
  if (TakesTooLittle(ctx, LimitsOf(session), session.server, session.server_takes)) {
    return EndNow(EndReason::kBackendStalled);
  }
  return Stay();
}

// The side from which nothing is received, since the other one takes nothing: nothing is armed on
// its socket, so its reset has to be looked for. (Where neither side takes anything, a send is in
// flight on both.) A data channel that is reset is cut off at once, and what is on its way should
// arrive first.
bool IsUnheard(const Session& session) {
  return !IsData(session) &&
         (session.client_takes.since_s != 0) != (session.server_takes.since_s != 0);
}
Side& Unheard(Session& session) {
  return session.client_takes.since_s != 0 ? session.server : session.client;
}

// Each direction is over when its end was passed on, or its sink is gone.
bool BothOver(WorkerContext& ctx, Session& session) {
  const bool by_close = BothEnded(session) && !IsData(session);
  const bool to_server = ServerGone(session)
                             ? !session.server.has(kOpSend)
                             : ToServer(ctx, session).Over(ClientWhole(session), by_close);
  return to_server && ToClient(ctx, session).Over(!ServerBroke(session), by_close);
}

bool MayReceiveFromClient(WorkerContext& ctx, Session& session, const Relaying& stage) {
  // Behind its close_notify only the end of the connection is to come; a client that sends
  // more is not listened to before the session lingers.
  if (session.client_closed_tls()) return stage.discarded == 0;
  return !session.server.cut_off() && ToServer(ctx, session).MayReceive();
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Relaying& stage) {
  const Side& client = session.client;
  if (client.receive_failed()) NoteReason(session, EndReason::kClientReset);
  if (IsData(session)) {
    if (const Next next = CutOff(ctx, session); next.decided()) return next;
  }
  if (const Next next = StepToServer(ctx, session, stage); next.decided()) return next;
  if (const Next next = StepToClient(ctx, session); next.decided()) return next;
  NoteTaking(ctx, LimitsOf(session), session.client, session.client_takes);
  NoteTaking(ctx, LimitsOf(session), session.server, session.server_takes);
  if (ctx.now - session.active_at < kWholeCheck) stage.checks = 0;
  if (client.send_failed()) NoteReason(session, EndReason::kClientReset);
  if (session.server.send_failed()) NoteReason(session, EndReason::kBackendReset);
  if (stage.asked_at == kNever && client.spoken() && MayHang(session)) stage.asked_at = ctx.now;
  if (!BothOver(ctx, session)) return Stay();
  // Closing with octets of the client unread would reset its connection and lose
  // what it was told last; so read them away unless it has ended itself.
  if (client.failed() || client.inflow == Inflow::kEnded) return EndNow(session.reason);
  return Enter(StageId::kLingering);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Relaying& stage) {
  Dues dues;
  if (stage.asked_at != kNever && !stage.doubted && MayHang(session)) {
    dues.Add(After(stage.asked_at, LimitsOf(session).greeting_try_ms), DueKind::kGreeting);
  }
  if (IsData(session) && IsSentWhole(session)) {
    dues.Add(After(session.active_at, LimitsOf(session).linger_ms), DueKind::kSentWhole);
  }
  if (IsUnheard(session)) {
    dues.Add(session.active_at + (stage.checks + 1) * kWholeCheck, DueKind::kWhole);
  }
  AddRecord(session, dues);
  AddTaking(ctx, session, dues);
  AddIdle(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Relaying& stage, const Due& due) {
  switch (due.kind) {
    case DueKind::kGreeting:
      stage.doubted = true;
      SuspectServer(session);
      return Stay();
    case DueKind::kSentWhole:
      TellSentWhole(ctx, session);
      return Stay();
    case DueKind::kRecord:
      return EndNow(EndReason::kRecordDeadline);
    case DueKind::kTaking:
      return CheckTaking(ctx, session);
    case DueKind::kWhole:
      stage.checks = static_cast<uint32_t>((ctx.now - session.active_at) / kWholeCheck);
      Unheard(session).CheckWhole(ctx, session.ref());
      return Stay();
    case DueKind::kIdle:
      // Half closed: the reason is already there. A protocol's own words could be taken for
      // the server's in the middle of a reply, so the client gets close_notify alone.
      return EndPolitely(EndReason::kIdleDeadline);
    case DueKind::kNothing:
    case DueKind::kGreetingDelay:
    case DueKind::kPlace:
    case DueKind::kProxyHeader:
    case DueKind::kHandshake:
    case DueKind::kPreRelay:
    case DueKind::kPatience:
    case DueKind::kConnect:
    case DueKind::kBackoff:
    case DueKind::kLinger:
    case DueKind::kCrowding:
      break;
  }
  return Stay();
}

Receives Wanted(WorkerContext& ctx, Session& session, const Relaying& stage) {
  return {.client = MayReceiveFromClient(ctx, session, stage),
          .server = session.server.may_bring_more() && ToClient(ctx, session).MayReceive()};
}

}  // namespace starling
