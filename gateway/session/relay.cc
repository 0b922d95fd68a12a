// Opaque octets both ways, each direction with its own flow control: it receives
// only when what it received before has been passed on whole.
#include <algorithm>

#include "gateway/session/steps.h"

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

bool StepToServer(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  Leg& up = session.up;
  if (UpBroken(session)) {
    if (IsData(session)) session.data->lost = true;
    DropInput(ctx, down);
    session.plain_pending = false;
    session.record_at = kNever;
    DropOutput(ctx, up);
    return true;
  }
  if (session.tls_up) {
    if (!OpenRecords(ctx, session)) return false;
  } else {
    CopyInput(ctx, down, up);
  }
  ReleaseIdleOutput(ctx, up);
  if (session.client_closed_tls) {
    session.lingered += static_cast<uint32_t>(Input(ctx, down).size());
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
  TimeRecord(ctx, session);
  return true;
}

// --- server to client ---

void SealRecords(WorkerContext& ctx, Session& session) {
  // Room for one full record; less would split what was received at odd places.
  constexpr size_t kRecordRoom = 16384 + 512;
  // Of all that is there: several records' and a ticket.
  constexpr size_t kBestOverhead = 1024;
  for (;;) {
    const ByteView in = Input(ctx, session.up);
    if (in.empty()) return;
    const size_t wanted = std::min<size_t>(in.size() + 512, kRecordRoom);
    const std::span<uint8_t> room = OutRoom(ctx, session.down, wanted, in.size() + kBestOverhead);
    if (room.empty()) return;
    TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
    size_t taken = 0;
    const TlsResult result =
        session.tls.Write(io, in.first(std::min<size_t>(in.size(), 16384)), taken);
    Consume(ctx, session.up, taken);
    Produced(session.down, io.written);
    if (result == TlsResult::kFailed) {
      session.tls_failure = session.tls.failure();
      EndNow(ctx, session, EndReason::kTlsError);
      return;
    }
    if (taken == 0) return;
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

void StepToClient(WorkerContext& ctx, Session& session) {
  if (DownBroken(session)) {
    if (IsData(session)) session.data->lost |= !Input(ctx, session.up).empty();
    DropInput(ctx, session.up);
    if ((session.down.in_flight & kOpSend) == 0) ReleaseBlock(ctx, session.down.out);
    return;
  }
  if (session.tls_up) {
    SealRecords(ctx, session);
  } else {
    CopyInput(ctx, session.up, session.down);
  }
  if (session.phase != Phase::kRelay) return;
  ReleaseIfEmpty(ctx, session.down.out);
  if (ServerEnded(ctx, session)) EndOfServer(ctx, session);
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
bool CutOff(WorkerContext& ctx, Session& session) {
  if (session.up.was_reset()) {
    EndNow(ctx, session, EndReason::kBackendReset);
    return true;
  }
  if (session.data->bare_end || !ClientGone(ctx, session)) return false;
  if (session.client_closed_tls || ServerEnded(ctx, session)) return false;
  session.data->bare_end = MayEndBare(session);
  if (session.data->bare_end) return false;
  EndNow(ctx, session,
         session.down.recv_error != 0 ? EndReason::kClientReset : EndReason::kClientTruncated);
  return true;
}

}  // namespace

OpenedRecord OpenRecord(WorkerContext& ctx, Session& session, ByteView in,
                        std::span<uint8_t> room) {
  Leg& down = session.down;
  // Replies of the library itself: an alert, or the answer to a KeyUpdate.
  uint8_t reply[512];
  TlsSession::Io io{.in = in, .consumed = 0, .out = reply, .written = 0};
  OpenedRecord opened;
  const TlsResult result = session.tls.Read(io, room, opened.octets);
  Consume(ctx, down, io.consumed);
  if (io.written > 0 && !down.write_ended) {
    const std::span<uint8_t> out = OutRoom(ctx, down, io.written);
    if (!out.empty()) {
      std::copy_n(reply, io.written, out.data());
      Produced(down, io.written);
    }
  }
  session.plain_pending = result == TlsResult::kOk && opened.octets == room.size();
  opened.progress = opened.octets > 0 || io.consumed > 0;
  switch (result) {
    case TlsResult::kOk:
    case TlsResult::kNeedInput:
      break;
    case TlsResult::kClosed:
      session.client_closed_tls = true;
      NoteReason(session, EndReason::kClientClosed);
      break;
    case TlsResult::kNeedRoom:
    case TlsResult::kFailed:
      session.tls_failure = session.tls.failure();
      EndPolitely(ctx, session, EndReason::kTlsError);
      opened.failed = true;
  }
  return opened;
}

void TimeRecord(const WorkerContext& ctx, Session& session) {
  const bool waits = session.tls_up && !session.client_closed_tls && !session.down.end_of_data &&
                     NothingToSend(session.up) && session.tls.MidRecord();
  session.record_at = waits ? std::min(session.record_at, ctx.now) : kNever;
}

void StartRelay(WorkerContext& ctx, Session& session) {
  DropDialogue(ctx, session);
  SetPhase(ctx, session, Phase::kRelay);
  session.active_at = ctx.now;
  LogEstablished(ctx, session);
}

bool StepRelay(WorkerContext& ctx, Session& session) {
  if (session.down.recv_error != 0) NoteReason(session, EndReason::kClientReset);
  if (IsData(session) && CutOff(ctx, session)) return true;
  if (!StepToServer(ctx, session)) return true;
  StepToClient(ctx, session);
  if (session.phase != Phase::kRelay) return true;
  if (session.down.send_error != 0) NoteReason(session, EndReason::kClientReset);
  if (session.up.send_error != 0) NoteReason(session, EndReason::kBackendReset);
  const bool both_ended = ClientEnded(ctx, session) && ServerEnded(ctx, session);
  if (!ToServerOver(session, both_ended) || !ToClientOver(session, both_ended)) return false;
  // Closing with octets of the client unread would reset its connection and lose
  // what it was told last; so read them away unless it has ended itself.
  if (DownBroken(session) || session.down.end_of_data) {
    EndNow(ctx, session, session.reason);
  } else {
    SetPhase(ctx, session, Phase::kLinger);
  }
  return true;
}

}  // namespace starling
