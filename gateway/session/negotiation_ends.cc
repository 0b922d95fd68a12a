// How either side ends while the negotiator speaks: the end of data, a reset, and TLS with
// the server that was cut off.
#include "gateway/session/data_channel.h"
#include "gateway/session/leg_io.h"
#include "gateway/session/link.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/report.h"

namespace starling {
namespace {

// What a side said last may be left unread until the data channel has ended: that side's
// end comes behind it.
bool HasData(const Dialogue& dialogue) { return dialogue.channel && !dialogue.channel_kept; }
bool HoldsForData(WorkerContext& ctx, Session& session) {
  return HasData(*session.dialogue) && !Input(ctx, session.up).empty();
}

Next TellServerGone(WorkerContext& ctx, Session& session) {
  session.dialogue->backend_end_told = true;
  const Next next =
      Tell(ctx, session, {.kind = EventKind::kBackendEnd, .inside_tls = session.tls_up});
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
  Leg& up = session.up;
  // What the server said last may still be unread; a reset receive has none.
  if (up.recv_error == 0) {
    up.out.in_flight = 0;
    DropOutput(ctx, up);
    return Stay();
  }
  if (session.target.all_servers) {
    CloseLink(ctx, session);
    return Again();
  }
  if (HoldsForData(ctx, session)) return Stay();
  const EndReason reason = up.break_reason();
  NoteReason(session, reason);
  Next next = Stay();
  if (!session.dialogue->backend_end_told) next = TellServerGone(ctx, session);
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
  const bool cut_off = session.tls_up && !session.client_closed_tls;
  NoteReason(session, cut_off ? EndReason::kClientTruncated : EndReason::kClientClosed);
  return Again();
}

// The client's octets have ended, and the negotiator can make nothing more of what is left.
bool ClientEndIsDue(const Session& session) {
  const Dialogue& dialogue = *session.dialogue;
  if (dialogue.client_end_told || dialogue.hold) return false;
  if (!session.down.end_of_data && !session.client_closed_tls) return false;
  // With all output sent, what the negotiator has left of the client is not left for want
  // of room: nothing can become of it any more.
  const bool had_room = Flushed(session.down) && (!session.link_up() || Flushed(session.up));
  const bool unread = HasData(dialogue) && !dialogue.opened.empty();
  return had_room && !unread;
}

}  // namespace

Next TellBroken(WorkerContext& ctx, Session& session) {
  if (session.down.recv_error != 0 || session.down.send_error != 0) {
    return ClientBroken(ctx, session);
  }
  const Leg& up = session.up;
  if (session.link_up() && (up.recv_error != 0 || up.send_error != 0)) {
    return ServerBroken(ctx, session);
  }
  return Stay();
}

Next NoteCutOff(WorkerContext& ctx, Session& session) {
  Leg& up = session.up;
  if (!session.link_up() || up.tls == nullptr || !up.tls->cut_off) return Stay();
  // What came before is read as far as it goes; half a line of it is nothing.
  if (!Flushed(session.down) || HoldsForData(ctx, session)) return Stay();
  up.recv_error = kLegTlsError;
  return Again();
}

Next TellEnds(WorkerContext& ctx, Session& session) {
  Dialogue& dialogue = *session.dialogue;
  if (session.target.all_servers) {
    if (!session.up.end_of_data || !session.link_up()) return Stay();
    CloseLink(ctx, session);
    return Again();
  }
  if (ClientEndIsDue(session)) return TellClientEnd(ctx, session);
  // Now, or when what was written last has been sent.
  if (dialogue.client_end_told && session.link_up()) ArmShutdown(ctx, session, session.up);
  // The backend's last octets are sent first, so that there is room for a last word;
  // half a line of it is nothing.
  if (!session.up.end_of_data || !session.link_up() || dialogue.backend_end_told ||
      !Flushed(session.down) || HoldsForData(ctx, session)) {
    return Stay();
  }
  if (!dialogue.client_end_told) return TellServerGone(ctx, session);
  dialogue.backend_end_told = true;
  return EndPolitely(EndReason::kClientClosed);
}

Next TellServerEnd(WorkerContext& ctx, Session& session) {
  if (!session.up.end_of_data || session.dialogue->backend_end_told) return Stay();
  return TellServerGone(ctx, session);
}

}  // namespace starling
