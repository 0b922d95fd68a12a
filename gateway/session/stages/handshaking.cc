// The TLS handshake with the client: what its first octets are, admission, then the steps of
// the library. A data channel's second connection comes up beside it.
#include <memory>
#include <string_view>

#include "gateway/session/admission.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/skip_space.h"
#include "gateway/session/source.h"
#include "gateway/session/stages/stages.h"
#include "protocols/frames/dialogue.h"

namespace starling {
namespace {

constexpr std::string_view kHttpRefusal =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n"
    "Connection: close\r\n\r\nTLS is spoken here from the first octet\r\n";

// In the protocol that the client speaks: words, where its first octet is one of a
// command or request, and otherwise an alert.
Next RefusePlaintext(WorkerContext& ctx, Session& session, ByteView in) {
  const std::string_view said = AsText(in);
  const bool has_words = session.listener->config->protocol->refuse != nullptr;
  if (LooksLikeHttp(said.substr(0, said.find('\r')))) {
    SayToClient(ctx, session, AsBytes(kHttpRefusal));
  } else if (has_words && IsPrintable(said.substr(0, 1))) {
    return Refuse(ctx, session, Refusal::kTlsExpected, EndReason::kPlainOnTlsPort);
  } else {
    SayAlert(ctx, session, kUnexpectedMessage);
  }
  return EndPolitely(EndReason::kPlainOnTlsPort);
}

// The first octet is not one of TLS. (The gateway refuses an SSLv2 hello, 0x80, as well, which
// the library would parse.)
Next RefuseFirstOctet(WorkerContext& ctx, Session& session, const Handshaking& stage, ByteView in) {
  CountFailure(ctx, session, TlsFailure::kNotTls);
  if (stage.start == TlsStart::kUpgraded) {
    CountAttack(ctx, session, Attack::kPlaintextInjection);
    SayAlert(ctx, session, kUnexpectedMessage);
    return EndPolitely(EndReason::kPlaintextInjection);
  }
  CountAttack(ctx, session, Attack::kPlainOnTlsPort);
  // The octets of a data channel are a file's, and no request that could be answered.
  if (session.data != nullptr) return EndNow(EndReason::kPlainOnTlsPort);
  return RefusePlaintext(ctx, session, in);
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

Next Failed(WorkerContext& ctx, Session& session, TlsFailure failure) {
  CountFailure(ctx, session, failure);
  return EndPolitely(EndReason::kHandshakeFailed);
}

// The library keeps TLS 1.3's ticket for the first octets it is given to send. Sent now, it
// reaches a client that says nothing, and acknowledges the Finished behind which a client may
// hold its request back. But one that only writes and then closes, with the ticket unread,
// has its own kernel reset the connection and forget what is on its way: there it is sent
// with the server's first octet, or with close_notify.
bool MayHaveTicketNow(const Session& session) {
  return session.data == nullptr && !session.listener->config->protocol->client_may_only_write;
}

// Such a client may speak by several small writes: a head and a body, or a file's octets and
// close_notify.
bool ClientSpeaksFirst(const Session& session) {
  return session.data != nullptr || !session.listener->config->protocol->server_first;
}

void CountHandshake(WorkerContext& ctx, const Session& session, const TlsFacts& facts) {
  const ListenerId id = session.listener->id;
  ctx.shard->Add(Family::kHandshakes, id, facts.version, facts.resumed ? 1 : 0);
  ctx.shard->Add(Family::kCipher, id, facts.cipher);
  ctx.shard->Add(Family::kGroup, id, facts.group);
  ctx.shard->Add(Family::kSignature, id, facts.signature);
  if (facts.hello_retry) ctx.shard->Add(Family::kHelloRetry, id);
  if (facts.ticket_unknown) ctx.shard->Add(Family::kTicketUnknown, id);
  ctx.shard->Add(Family::kClientCertificates, id, static_cast<size_t>(facts.client_certificate));
  ctx.shard->Observe(Histogram::kHandshakeSeconds, id, session.handshake_us);
}

Next Completed(WorkerContext& ctx, Session& session, const Handshaking& stage) {
  const TlsFacts facts = session.client.tls->session.Facts();
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(ctx.now - stage.tls_at);
  session.handshake_us = static_cast<uint32_t>(took.count());
  CountHandshake(ctx, session, facts);
  if (MayHaveTicketNow(session)) session.client.SendTickets(ctx);
  if (ClientSpeaksFirst(session)) session.client.acknowledge = Acknowledge::kAnyway;
  if (session.data == nullptr) return Enter(StageId::kOpening);
  if (session.listener->config->ftp.require_resumption && !facts.resumed) {
    return EndNow(EndReason::kHandshakeFailed);
  }
  return Enter(session.link_up() ? StageId::kRelaying : StageId::kOpening);
}

bool StartTls(Session& session, const Handshaking& stage) {
  const bool needs_alpn =
      stage.start == TlsStart::kDirect && session.listener->config->protocol->direct_tls_needs_alpn;
  session.client.tls = session.client_tls.Make();
  return session.client.tls->session.Start(*session.listener->tls, needs_alpn);
}

// A request for another hello is no flight yet: the key is used after that.
void NoteFlight(const Session& session, Handshaking& stage) {
  const bool first_retry = session.client.tls->session.HelloRetried() && !stage.hello_retried;
  if (first_retry) {
    stage.hello_retried = true;
  } else {
    stage.flight_sent = true;
  }
}

// One call of the library.
Next Advance(WorkerContext& ctx, Session& session, Handshaking& stage) {
  const bool granted = !stage.flight_sent;
  const Side::HandshakeStep step = session.client.Handshake(ctx);
  if (step.wrote) {
    NoteFlight(session, stage);
  } else if (granted && step.result == TlsResult::kNeedInput) {
    ReturnGrant(ctx);
  }
  switch (step.result) {
    case TlsResult::kOk:
      return Completed(ctx, session, stage);
    case TlsResult::kNeedInput:
      // What was left of it may have been the client's last.
      return step.consumed ? Again() : Stay();
    case TlsResult::kNeedRoom:
      return Stay();
    case TlsResult::kClosed:
    case TlsResult::kFailed:
      return Failed(ctx, session, session.client.tls->session.failure());
  }
  return Stay();
}

// Whatever the client has sent, before the library has seen any of it.
Next FirstOctets(WorkerContext& ctx, Session& session, Handshaking& stage, ByteView in) {
  if (stage.tls_at == kNever) stage.tls_at = ctx.now;
  if (in[0] != kHandshakeRecord) return RefuseFirstOctet(ctx, session, stage, in);
  if (HelloComplete(in)) return Again();
  return session.client.inflow == Inflow::kEnded ? Failed(ctx, session, TlsFailure::kClosed)
                                                 : Stay();
}

Next TurnAway(WorkerContext& ctx, Session& session, EndReason reason) {
  // A source over its share has been counted already.
  if (reason != EndReason::kSourceHandshakes) NoteRefusal(ctx, session);
  return BreakOffHandshake(ctx, session, reason);
}

// Why a session waits for its turn in vain.
EndReason InVain(WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  if (!stage.last) return EndReason::kHandshakeLate;
  CountInVain(ctx, session);
  return EndReason::kSourceHandshakes;
}

// The source is charged, once.
bool Weigh(WorkerContext& ctx, const Session& session, Handshaking& stage) {
  if (stage.weighed) return true;
  stage.weighed = true;
  const HandshakeShare share = TakeHandshake(ctx, session);
  stage.last = share == HandshakeShare::kOver;
  return share != HandshakeShare::kNone;
}

// The server's first flight is where the private key is used; what follows from the client
// is cheap and not made to wait. Again: go on with the handshake.
Next Enlist(WorkerContext& ctx, Session& session, Handshaking& stage) {
  switch (Admit(ctx, session, stage)) {
    case Admission::kGranted:
      return Again();
    case Admission::kQueued:
      return Stay();
    case Admission::kFull:
      return TurnAway(ctx, session, EndReason::kHandshakeLimit);
    case Admission::kLate:
      break;
  }
  return TurnAway(ctx, session, InVain(ctx, session, stage));
}

// A data channel's other connection.
Next FollowLink(WorkerContext& ctx, Session& session) {
  switch (AdvanceLink(ctx, session).news) {
    case LinkNews::kFailed:
      return EndNow(EndReason::kBackendUnavailable);
    case LinkNews::kUp:
      return Again();
    case LinkNews::kNone:
    case LinkNews::kMoved:
    case LinkNews::kClosed:
    case LinkNews::kNoMemory:
      break;
  }
  return Stay();
}

// A client that says nothing at all on a port of implicit TLS mostly waits for a greeting.
bool WaitsForWords(const Session& session, const Handshaking& stage) {
  const ProtocolRow& protocol = *session.listener->config->protocol;
  return stage.tls_at == kNever && protocol.server_first && protocol.refuse != nullptr &&
         session.data == nullptr;
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Handshaking& stage) {
  Side& client = session.client;
  const bool started = client.tls != nullptr;
  if (session.data != nullptr) {
    if (const Next next = FollowLink(ctx, session); next.decided()) return next;
  }
  if (stage.displaced) return TurnAway(ctx, session, EndReason::kHandshakeLimit);
  if (!started) SkipSpace(ctx, client, stage.space_left);
  if (client.failed()) {
    if (started || !client.Input(ctx).empty()) CountFailure(ctx, session, TlsFailure::kReset);
    return EndNow(EndReason::kClientReset);
  }
  const ByteView in = client.Input(ctx);
  if (in.empty() && !(started && client.tls->wants_room)) {
    if (client.inflow != Inflow::kEnded) return Stay();
    return started ? Failed(ctx, session, TlsFailure::kClosed)
                   : EndPolitely(EndReason::kClientLeftEarly);
  }
  if (!started) {
    const Next next = FirstOctets(ctx, session, stage, in);
    if (next.kind != Next::Kind::kAgain) return next;
  }
  if (!Weigh(ctx, session, stage)) return TurnAway(ctx, session, EndReason::kSourceHandshakes);
  if (!stage.flight_sent) {
    const Next next = Enlist(ctx, session, stage);
    if (next.kind != Next::Kind::kAgain) return next;
  }
  if (!started && !StartTls(session, stage)) return EndNow(EndReason::kBufferLimit);
  return Advance(ctx, session, stage);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Handshaking& stage) {
  Dues dues;
  if (stage.tls_at != kNever) {
    dues.Add(After(stage.tls_at, LimitsOf(session).handshake_ms), DueKind::kHandshake);
  }
  // The turn then looks whether somebody waits for the place.
  dues.Add(StallsAt(ctx, session, stage), DueKind::kPlace);
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Handshaking& stage, const Due& due) {
  if (due.kind == DueKind::kHandshake) {
    if (WaitsForAdmission(ctx, session)) {
      return TurnAway(ctx, session, InVain(ctx, session, stage));
    }
    CountFailure(ctx, session, TlsFailure::kTimeout);
    return EndNow(EndReason::kHandshakeDeadline);
  }
  if (due.kind == DueKind::kPlace) NoteStalled(ctx, session);
  if (due.kind != DueKind::kPreRelay) return Stay();
  if (!WaitsForWords(session, stage)) return EndNow(due.reason);
  return Refuse(ctx, session, Refusal::kTlsExpected, due.reason);
}

Receives Wanted(WorkerContext& ctx, Session& session, const Handshaking& /*stage*/) {
  return {.client = !ctx.admissions.waiting.Has(session.slot)};
}

}  // namespace starling
