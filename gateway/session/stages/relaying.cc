// Opaque octets both ways, each direction with its own flow control: it receives
// only when what it received before has been passed on whole.
#include <algorithm>

#include "gateway/session/data_channel.h"
#include "gateway/session/inside_tls.h"
#include "gateway/session/leg_io.h"
#include "gateway/session/report.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

bool UpBroken(const Session& s) { return s.up.send_error != 0 || s.up.recv_error != 0; }
bool DownBroken(const Session& s) { return s.down.send_error != 0 || s.down.recv_error != 0; }

// --- client to server ---

// Opens what has come into up.out. False: TLS failed and the session ends.
bool OpenRecords(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  while (!session.client_closed_tls) {
    const ByteView in = Input(ctx, down);
    if (in.empty() && !session.plain_pending) return true;
    const std::span<uint8_t> room = OutRoom(ctx, session.up, 1, in.size());
    if (room.empty()) return true;
    const OpenedRecord opened = OpenRecord(ctx, session, in, room);
    Produced(session.up, opened.octets);
    if (opened.failed) return false;
    if (!opened.progress) return true;
  }
  return true;
}

void CopyInput(WorkerContext& ctx, Leg& from, Leg& to) {
  for (;;) {
    const ByteView in = Input(ctx, from);
    if (in.empty()) return;
    const std::span<uint8_t> room = OutRoom(ctx, to, 1, in.size());
    if (room.empty()) return;
    const size_t n = std::min(in.size(), room.size());
    std::copy_n(in.data(), n, room.data());
    Produced(to, n);
    Consume(ctx, from, n);
  }
}

bool ClientGone(WorkerContext& ctx, Session& session) {
  const Leg& down = session.down;
  if (down.recv_error != 0) return true;
  return down.end_of_data && Input(ctx, session.down).empty() && !session.plain_pending;
}

// The client will send no more, and all of it has been handed on.
bool ClientEnded(WorkerContext& ctx, Session& session) {
  return session.client_closed_tls || ClientGone(ctx, session);
}

bool ServerEnded(WorkerContext& ctx, Session& session) {
  if (session.up.recv_error != 0) return true;
  return session.up.end_of_data && Input(ctx, session.up).empty();
}

// The end of a file is told by each side's own, never by the close.
bool IsData(const Session& session) { return session.data != nullptr; }

bool CloseNotifyOver(const Leg& leg) { return leg.tls == nullptr || leg.tls->close_notify_over; }

// Passes on to the peer of `leg` that the other will say no more. Where it has ended
// itself nothing is left to be said in either direction, and the close that follows
// tells as much.
void TellEnd(WorkerContext& ctx, Session& session, Leg& leg, bool ended_itself) {
  if (!Flushed(leg) || (ended_itself && CloseNotifyOver(leg) && !IsData(session))) return;
  ArmShutdown(ctx, session, leg);
}

// A client that was cut off has not said that it is done: nor do we in its place,
// where the server could tell.
void WithholdClose(Leg& up) {
  if (up.tls != nullptr) up.tls->close_notify_over = true;
}

// Decided: TLS failed.
Next StepToServer(WorkerContext& ctx, Session& session, Relaying& stage) {
  Leg& down = session.down;
  Leg& up = session.up;
  if (UpBroken(session)) {
    if (IsData(session)) session.data->lost = true;
    DropInput(ctx, down);
    session.plain_pending = false;
    stage.record_at = kNever;
    DropOutput(ctx, up);
    return Stay();
  }
  if (session.tls_up) {
    if (!OpenRecords(ctx, session)) return EndPolitely(EndReason::kTlsError);
  } else {
    CopyInput(ctx, down, up);
  }
  ReleaseIdleOutput(ctx, up);
  if (session.client_closed_tls) {
    stage.discarded += static_cast<uint32_t>(Input(ctx, down).size());
    DropInput(ctx, down);
  }
  if (ClientEnded(ctx, session)) {
    if (IsData(session) && session.data->bare_end) {
      NoteReason(session, EndReason::kClientBareEnd);
    } else if (down.recv_error != 0) {
      NoteReason(session, EndReason::kClientReset);
      WithholdClose(up);
    } else if (session.tls_up && !session.client_closed_tls) {
      NoteReason(session, EndReason::kClientTruncated);
      WithholdClose(up);
    } else {
      NoteReason(session, EndReason::kClientClosed);
    }
    TellEnd(ctx, session, up, ServerEnded(ctx, session));
  }
  TimeRecord(ctx, session, stage.record_at);
  return Stay();
}

// --- server to client ---

// False: TLS failed.
bool SealRecords(WorkerContext& ctx, Session& session) {
  // Room for one full record; less would split what was received at odd places.
  constexpr size_t kRecordRoom = 16384 + 512;
  // Of all that is there: several records' and a ticket.
  constexpr size_t kBestOverhead = 1024;
  for (;;) {
    const ByteView in = Input(ctx, session.up);
    if (in.empty()) return true;
    const size_t wanted = std::min<size_t>(in.size() + 512, kRecordRoom);
    const std::span<uint8_t> room = OutRoom(ctx, session.down, wanted, in.size() + kBestOverhead);
    if (room.empty()) return true;
    TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
    size_t taken = 0;
    const TlsResult result =
        session.tls.Write(io, in.first(std::min<size_t>(in.size(), 16384)), taken);
    Consume(ctx, session.up, taken);
    Produced(session.down, io.written);
    if (result == TlsResult::kFailed) {
      session.tls_failure = session.tls.failure();
      return false;
    }
    if (taken == 0) return true;
  }
}

void EndOfServer(WorkerContext& ctx, Session& session) {
  const bool broke = session.up.was_reset();
  NoteReason(session, broke ? session.up.break_reason() : EndReason::kBackendClosed);
  // After a reset the client must not take what it has for the whole: it gets
  // the TCP end alone, without close_notify.
  if (session.tls_up && !session.close_notify_sent && !session.up.was_reset()) {
    const std::span<uint8_t> room = OutRoom(ctx, session.down, 512);
    if (room.empty()) return;
    TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
    const TlsResult result = session.tls.CloseNotify(io);
    Produced(session.down, io.written);
    ReleaseIfEmpty(ctx, session.down.out);
    if (result == TlsResult::kNeedRoom) return;  // again when that has been sent
    session.close_notify_sent = true;
  }
  TellEnd(ctx, session, session.down, ClientEnded(ctx, session));
}

// Decided: TLS failed.
Next StepToClient(WorkerContext& ctx, Session& session) {
  if (DownBroken(session)) {
    if (IsData(session)) session.data->lost |= !Input(ctx, session.up).empty();
    DropInput(ctx, session.up);
    if ((session.down.in_flight & kOpSend) == 0) ReleaseBlock(ctx, session.down.out);
    return Stay();
  }
  if (!session.tls_up) {
    CopyInput(ctx, session.up, session.down);
  } else if (!SealRecords(ctx, session)) {
    return EndNow(EndReason::kTlsError);
  }
  ReleaseIfEmpty(ctx, session.down.out);
  if (ServerEnded(ctx, session)) EndOfServer(ctx, session);
  return Stay();
}

// What was received from the other side has been sent to `leg`, and its end told, or to
// be told by the close.
bool PassedOn(const Leg& leg, bool both_ended) {
  if ((leg.in_flight & kOpShutdown) != 0) return false;
  return leg.write_ended || (both_ended && Flushed(leg) && CloseNotifyOver(leg));
}

// Each direction is over when its end was passed on, or its sink is gone.
bool ToServerOver(const Session& session, bool both_ended) {
  if (UpBroken(session)) return (session.up.in_flight & kOpSend) == 0;
  return PassedOn(session.up, both_ended && !IsData(session));
}

bool ToClientOver(const Session& session, bool both_ended) {
  if (DownBroken(session)) return (session.down.in_flight & kOpSend) == 0;
  const bool told = !session.tls_up || session.close_notify_sent || session.up.was_reset();
  return told && PassedOn(session.down, both_ended && !IsData(session));
}

// Some clients (.NET's) end an upload by closing TCP, without a close_notify before it. That
// is also how an attacker, or a broken network, cuts a file short: so the operator must ask
// for it. Even then an upload does not end amid a record, by a reset, or where the server has
// sent something.
bool MayEndBare(const Session& session) {
  return session.listener->config->ftp.lenient_close && session.down.recv_error == 0 &&
         session.up.octets_in == 0 && !session.tls.MidRecord();
}

// One side of a data channel broke off, and the other is to see that: the connection to it
// is reset.
Next CutOff(WorkerContext& ctx, Session& session) {
  if (session.up.was_reset()) return EndNow(EndReason::kBackendReset);
  if (session.data->bare_end || !ClientGone(ctx, session)) return Stay();
  if (session.client_closed_tls || ServerEnded(ctx, session)) return Stay();
  session.data->bare_end = MayEndBare(session);
  if (session.data->bare_end) return Stay();
  return EndNow(session.down.recv_error != 0 ? EndReason::kClientReset
                                             : EndReason::kClientTruncated);
}

bool NoBlockToSend(const Leg& leg) {
  return leg.out.data == nullptr && (leg.tls == nullptr || leg.tls->out.data == nullptr);
}

bool MayReceiveFromClient(const Session& session, const Relaying& stage) {
  // Behind its close_notify only the end of the connection is to come; a client that sends
  // more is not listened to before the session lingers.
  if (session.client_closed_tls) return stage.discarded == 0;
  return !session.plain_pending && NoBlockToSend(session.up) && !UpBroken(session) &&
         session.down.in.empty();
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Relaying& stage) {
  if (session.down.recv_error != 0) NoteReason(session, EndReason::kClientReset);
  if (IsData(session)) {
    if (const Next next = CutOff(ctx, session); next.decided()) return next;
  }
  if (const Next next = StepToServer(ctx, session, stage); next.decided()) return next;
  if (const Next next = StepToClient(ctx, session); next.decided()) return next;
  if (session.down.send_error != 0) NoteReason(session, EndReason::kClientReset);
  if (session.up.send_error != 0) NoteReason(session, EndReason::kBackendReset);
  const bool both_ended = ClientEnded(ctx, session) && ServerEnded(ctx, session);
  if (!ToServerOver(session, both_ended) || !ToClientOver(session, both_ended)) return Stay();
  // Closing with octets of the client unread would reset its connection and lose
  // what it was told last; so read them away unless it has ended itself.
  if (DownBroken(session) || session.down.end_of_data) return EndNow(session.reason);
  return Enter(StageId::kLingering);
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& session, const Relaying& stage) {
  Dues dues;
  if (IsData(session) && IsSentWhole(session)) {
    dues.Add(After(session.active_at, LimitsOf(session).linger_ms), DueKind::kSentWhole);
  }
  AddRecord(session, stage.record_at, dues);
  AddIdle(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Relaying& /*stage*/, const Due& due) {
  switch (due.kind) {
    case DueKind::kSentWhole:
      TellSentWhole(ctx, session);
      return Stay();
    case DueKind::kRecord:
      return EndNow(EndReason::kRecordDeadline);
    case DueKind::kIdle:
      // Half closed: the reason is already there. A protocol's own words could be taken for
      // the server's in the middle of a reply, so the client gets close_notify alone.
      return EndPolitely(EndReason::kIdleDeadline);
    default:
      return Stay();
  }
}

Receives Wanted(const Session& session, const Relaying& stage) {
  const Leg& down = session.down;
  const Leg& up = session.up;
  Receives wanted;
  wanted.client = MayReceiveFromClient(session, stage);
  wanted.server = down.out.data == nullptr && !DownBroken(session) && up.in.empty() &&
                  (up.tls == nullptr || up.tls->in.empty());
  return wanted;
}

}  // namespace starling
