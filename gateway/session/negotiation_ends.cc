// How either side ends while the negotiator speaks: the end of data, a reset, and TLS with
// the server that was cut off.
#include "gateway/session/link.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/report.h"

namespace starling {
namespace {

// What a side said last may be left unread until the data channel has ended: that side's
// end comes behind it.
bool HasData(const Dialogue& dialogue) { return dialogue.channel.serves(); }

bool EndIsTold(const Dialogue& dialogue) {
  return dialogue.server_talk == Dialogue::ServerTalk::kEndTold;
}

bool HoldsForData(WorkerContext& ctx, Session& session) {
  return HasData(*session.dialogue) && !session.server.Input(ctx).empty();
}

void EndServersData(WorkerContext& ctx, Session& session) {
  if (session.server.flushed()) session.server.SendCloseNotify(ctx);
  session.server.EndOutput(ctx, session.ref());
}

Next TellServerGone(WorkerContext& ctx, Session& session) {
  if (!session.server.spoken()) SuspectServer(session);
  session.dialogue->server_talk = Dialogue::ServerTalk::kEndTold;
  const Next next =
      Tell(ctx, session, {.kind = EventKind::kBackendEnd, .inside_tls = session.tls_up()});
  return next.decided() ? next : Again();
}

Next ClientBroken(WorkerContext& ctx, Session& session) {
  NoteReason(session, EndReason::kClientReset);
  if (!session.dialogue->client_end_told) {
    session.dialogue->client_end_told = true;
    Tell(ctx, session, {.kind = EventKind::kClientEnd});  // for its signals
  }
  return EndNow(EndReason::kClientReset);
}

Next ServerBroken(WorkerContext& ctx, Session& session) {
  if (session.target.all_servers) {
    CloseLink(ctx, session);
    return Again();
  }
  if (HoldsForData(ctx, session)) return Stay();
  const EndReason reason = ServerBreak(session);
  NoteReason(session, reason);
  Next next = Stay();
  if (!EndIsTold(*session.dialogue)) next = TellServerGone(ctx, session);
  // Whatever the negotiator made of that, the link is gone.
  return next.leaves() ? next : EndPolitely(reason);
}

Next TellClientEnd(WorkerContext& ctx, Session& session) {
  session.dialogue->client_end_told = true;
  const Next next = Tell(ctx, session, {.kind = EventKind::kClientEnd});
  if (next.leaves()) return next;
  // Nothing can follow from the client. With a link its last replies may be on
  // their way; without one there is nobody to wait for.
  if (!session.link_up()) return EndPolitely(EndReason::kClientLeftEarly);
  const bool cut_off = session.tls_up() && !session.client_closed_tls();
  NoteReason(session, cut_off ? EndReason::kClientTruncated : EndReason::kClientClosed);
  return Again();
}

// The client's octets have ended, and the negotiator can make nothing more of what is left.
bool ClientEndIsDue(const Session& session) {
  const Dialogue& dialogue = *session.dialogue;
  if (dialogue.client_end_told || dialogue.hold) return false;
  if (session.client.inflow != Inflow::kEnded && !session.client_closed_tls()) return false;
  // With all output sent, what the negotiator has left of the client is not left for want
  // of room: nothing can become of it any more.
  const bool had_room =
      session.client.flushed() && (!session.link_up() || session.server.flushed());
  const bool unread = HasData(dialogue) && session.tls_up() && !session.client.tls->opened.empty();
  return had_room && !unread;
}

}  // namespace

Next TellBroken(WorkerContext& ctx, Session& session) {
  if (session.client.failed()) return ClientBroken(ctx, session);
  if (!session.link_up()) return Stay();
  // Behind a cut the reply that came before it is sent first: there must be room to speak.
  const bool lost =
      session.server.receive_failed() || (session.server.cut_off() && session.client.flushed());
  if (lost) return ServerBroken(ctx, session);
  // What the server said last may still be unread.
  if (session.server.send_failed()) session.server.DropOutput(ctx);
  return Stay();
}

Next NoteCutOff(WorkerContext& ctx, Session& session) {
  Side& server = session.server;
  if (!session.link_up() || !server.tls_over() || server.ended()) return Stay();
  // The negotiator has read every whole line. The gateway drops a part of one.
  if (!session.client.flushed() || HoldsForData(ctx, session)) return Stay();
  server.DropInput(ctx);
  return Again();
}

Next TellEnds(WorkerContext& ctx, Session& session) {
  Dialogue& dialogue = *session.dialogue;
  if (session.target.all_servers) {
    if (!session.server.ended() || !session.link_up()) return Stay();
    CloseLink(ctx, session);
    return Again();
  }
  if (ClientEndIsDue(session)) return TellClientEnd(ctx, session);
  // Now, or when what was written last has been sent.
  if (dialogue.client_end_told && session.link_up()) EndServersData(ctx, session);
  // The backend's last octets are sent first, so that there is room for a last word;
  // half a line of it is nothing.
  if (!session.server.ended() || !session.link_up() || EndIsTold(dialogue) ||
      !session.client.flushed() || HoldsForData(ctx, session)) {
    return Stay();
  }
  if (!dialogue.client_end_told) return TellServerGone(ctx, session);
  dialogue.server_talk = Dialogue::ServerTalk::kEndTold;
  return EndPolitely(EndReason::kClientClosed);
}

Next TellServerEnd(WorkerContext& ctx, Session& session) {
  if (!session.server.ended() || EndIsTold(*session.dialogue)) return Stay();
  return TellServerGone(ctx, session);
}

}  // namespace starling
