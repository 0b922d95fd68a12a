// The TLS handshake: admission first, so that a flood of hellos costs neither
// memory nor the time of sessions that relay, then the steps of it.
#include <cassert>
#include <cstring>
#include <string_view>

#include "gateway/session/steps.h"
#include "protocols/frames/dialogue.h"

namespace starling {
namespace {

constexpr std::string_view kHttpRefusal =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n"
    "Connection: close\r\n\r\nTLS is spoken here from the first octet\r\n";

// Certificates with a long chain, and all the rest of a server's flight.
constexpr size_t kFlightRoom = 8192;

// A session in the admission queue receives nothing until its turn comes.
void Wait(WorkerContext& ctx, Session& session) {
  if (session.waiting_admission) return;
  session.waiting_admission = true;
  ctx.admission.push_back(session.slot);
}

// The queue holds none that does not wait: dead entries would fill it.
void StopWaiting(WorkerContext& ctx, Session& session) {
  if (!session.waiting_admission) return;
  session.waiting_admission = false;
  std::erase(ctx.admission, session.slot);
}

// May this session do a private-key operation now?
bool Admit(WorkerContext& ctx, Session& session) {
  const GlobalLimits& limits = ctx.limits;
  if (!session.admitted && ctx.handshakes_in_flight >= limits.handshakes_in_flight) {
    if (!session.waiting_admission) {
      ctx.shard->AddWorker(WorkerFamily::kLimitReached,
                           static_cast<size_t>(Limit::kHandshakesInFlight));
    }
  } else if (ctx.key_operations > 0) {
    --ctx.key_operations;
    if (!session.admitted) ++ctx.handshakes_in_flight;
    session.admitted = true;
    StopWaiting(ctx, session);  // a timer may have brought it here before its turn
    return true;
  }
  if (!session.waiting_admission && ctx.key_operations == 0) {
    ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kKeyOperations));
  }
  if (!session.waiting_admission && ctx.admission.size() >= limits.handshake_queue) {
    ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kHandshakeQueue));
    SayAlert(ctx, session, kInternalError);
    EndPolitely(ctx, session, EndReason::kHandshakeLimit);
    return false;
  }
  Wait(ctx, session);
  return false;
}

// In the tongue that the client speaks: words, where its first octet is one of a
// command or request, and otherwise an alert.
void RefusePlaintext(WorkerContext& ctx, Session& session, ByteView in) {
  const std::string_view said = AsText(in);
  const bool has_words = session.listener->config->protocol->refuse != nullptr;
  if (LooksLikeHttp(said.substr(0, said.find('\r')))) {
    SayToClient(ctx, session, AsBytes(kHttpRefusal));
    EndPolitely(ctx, session, EndReason::kPlainOnTlsPort);
  } else if (has_words && IsPrintable(said.substr(0, 1))) {
    Refuse(ctx, session, Refusal::kTlsExpected, EndReason::kPlainOnTlsPort);
  } else {
    SayAlert(ctx, session, kUnexpectedMessage);
    EndPolitely(ctx, session, EndReason::kPlainOnTlsPort);
  }
}

// The first octet says whether this is TLS at all; an SSLv2-style hello (0x80)
// is not, though the library would parse it.
bool FirstOctetIsTls(WorkerContext& ctx, Session& session, ByteView in) {
  if (in[0] == kHandshakeRecord) return true;
  CountFailure(ctx, session, TlsFailure::kNotTls);
  if (session.data != nullptr) {
    // Not a word: what follows are octets of a file.
    CountAttack(ctx, session, Attack::kPlainOnTlsPort);
    EndNow(ctx, session, EndReason::kPlainOnTlsPort);
    return false;
  }
  if (session.upgraded) {
    CountAttack(ctx, session, Attack::kPlaintextInjection);
    SayAlert(ctx, session, kUnexpectedMessage);
    EndPolitely(ctx, session, EndReason::kPlaintextInjection);
  } else {
    CountAttack(ctx, session, Attack::kPlainOnTlsPort);
    RefusePlaintext(ctx, session, in);
  }
  return false;
}

// Is the first record there, all of it? Until then there is nothing to do for the
// library, and a client that stalls amid its hello holds no place of others. A
// record that claims more than one may have is the library's to refuse.
bool HelloComplete(ByteView in) {
  constexpr size_t kRecordHeader = 5;
  constexpr size_t kMaxRecord = 16384;
  if (in.size() < kRecordHeader) return false;
  const size_t length = static_cast<size_t>(in[3]) << 8 | in[4];
  return length > kMaxRecord || in.size() >= kRecordHeader + length;
}

void Failed(WorkerContext& ctx, Session& session, TlsFailure failure) {
  CountFailure(ctx, session, failure);
  EndPolitely(ctx, session, EndReason::kHandshakeFailed);
}

// The library keeps TLS 1.3's ticket for the first octets it is given to send. Sent now, it
// reaches a client that says nothing, and acknowledges the Finished behind which a client may
// hold its request back. But one that only writes and then closes, with the ticket unread,
// has its own kernel reset the connection and forget what is on its way: there it is sent
// with the server's first octet, or with close_notify.
bool MayHaveTicketNow(const Session& session) {
  return session.data == nullptr && !session.listener->config->protocol->client_may_only_write;
}

void SendTicketsNow(WorkerContext& ctx, Session& session) {
  const std::span<uint8_t> room = OutRoom(ctx, session.down, 1024);
  if (room.empty()) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  session.tls.SendTickets(io);
  Produced(session.down, io.written);
  ReleaseIfEmpty(ctx, session.down.out);
}

// Such a client may speak by several small writes: a head and a body, or a file's octets and
// close_notify.
bool ClientSpeaksFirst(const Session& session) {
  return session.data != nullptr || !session.listener->config->protocol->server_first;
}

void Completed(WorkerContext& ctx, Session& session) {
  const TlsFacts facts = session.tls.Facts();
  const ListenerId id = session.listener->id;
  session.tls_up = true;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(ctx.now - session.tls_at);
  session.handshake_us = static_cast<uint32_t>(took.count());
  ctx.shard->Add(Family::kHandshakes, id, facts.version, facts.resumed ? 1 : 0);
  ctx.shard->Add(Family::kCipher, id, facts.cipher);
  ctx.shard->Add(Family::kGroup, id, facts.group);
  ctx.shard->Add(Family::kSignature, id, facts.signature);
  if (facts.hello_retry) ctx.shard->Add(Family::kHelloRetry, id);
  if (facts.ticket_unknown) ctx.shard->Add(Family::kTicketUnknown, id);
  ctx.shard->Add(Family::kClientCertificates, id, static_cast<size_t>(facts.client_certificate));
  ctx.shard->Observe(Histogram::kHandshakeSeconds, id, static_cast<uint64_t>(took.count()));
  LeaveHandshake(ctx, session);
  if (MayHaveTicketNow(session)) SendTicketsNow(ctx, session);
  if (ClientSpeaksFirst(session)) session.down.acknowledge = Acknowledge::kAnyway;
  if (session.data != nullptr) return DataTlsUp(ctx, session);
  SetPhase(ctx, session, Phase::kOpening);
  OpenLeg(ctx, session, session.listener->config->backend);
}

bool StartTls(WorkerContext& ctx, Session& session) {
  const bool needs_alpn =
      session.direct_tls && session.listener->config->protocol->direct_tls_needs_alpn;
  if (session.tls.Start(*session.listener->tls, needs_alpn)) return true;
  EndNow(ctx, session, EndReason::kBufferLimit);
  return false;
}

// A request for another hello is no flight yet: the key is used after that.
void NoteFlight(Session& session) {
  const bool first_retry = session.tls.HelloRetried() && !session.hello_retried;
  session.hello_retried |= first_retry;
  session.flight_sent |= !first_retry;
}

// One call of the library. True: the session changed.
bool Advance(WorkerContext& ctx, Session& session) {
  const std::span<uint8_t> room = OutRoom(ctx, session.down, kFlightRoom);
  if (room.empty()) return false;
  TlsSession::Io io{.in = Input(ctx, session.down), .consumed = 0, .out = room, .written = 0};
  const TlsResult result = session.tls.Handshake(io);
  Consume(ctx, session.down, io.consumed);
  Produced(session.down, io.written);
  if (io.written > 0) NoteFlight(session);
  ReleaseIfEmpty(ctx, session.down.out);
  session.tls_wants_room = result == TlsResult::kNeedRoom;
  switch (result) {
    case TlsResult::kOk:
      Completed(ctx, session);
      return true;
    case TlsResult::kNeedInput:
      return io.consumed > 0;  // what was left of it may have been the client's last
    case TlsResult::kNeedRoom:
      return false;
    case TlsResult::kClosed:
    case TlsResult::kFailed:
      Failed(ctx, session, session.tls.failure());
      return true;
  }
  return false;
}

}  // namespace

void LeaveHandshake(WorkerContext& ctx, Session& session) {
  StopWaiting(ctx, session);
  if (!session.admitted) return;
  session.admitted = false;
  assert(ctx.handshakes_in_flight > 0);
  --ctx.handshakes_in_flight;
}

bool StepHandshake(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  if (!session.tls) SkipSpace(ctx, session);
  if (down.recv_error != 0 || down.send_error != 0) {
    if (session.tls || !Input(ctx, down).empty()) CountFailure(ctx, session, TlsFailure::kReset);
    EndNow(ctx, session, EndReason::kClientReset);
    return true;
  }
  const ByteView in = Input(ctx, down);
  if (in.empty() && !session.tls_wants_room) {
    if (!down.end_of_data) return false;
    if (session.tls) {
      Failed(ctx, session, TlsFailure::kClosed);
    } else {
      EndPolitely(ctx, session, EndReason::kClientLeftEarly);
    }
    return true;
  }
  if (!session.tls) {
    if (session.tls_at == kNever) session.tls_at = ctx.now;
    if (!FirstOctetIsTls(ctx, session, in)) return true;
    if (!HelloComplete(in)) {
      if (!down.end_of_data) return false;
      Failed(ctx, session, TlsFailure::kClosed);
      return true;
    }
  }
  // The server's first flight is where the private key is used; what follows
  // from the client is cheap and not made to wait.
  if (!session.flight_sent && !Admit(ctx, session)) return session.phase != Phase::kHandshake;
  if (!session.tls && !StartTls(ctx, session)) return true;
  return Advance(ctx, session);
}

}  // namespace starling
