// The negotiator speaks in plaintext: as the server, or between the client and a plaintext
// server to which the gateway has opened a link.
#include <algorithm>

#include "gateway/session/link_tries.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/place_queue.h"
#include "gateway/session/pregreet.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Next Greet(WorkerContext& ctx, Session& session) {
  const Next next =
      Tell(ctx, session,
           {.kind = EventKind::kStart,
            .capabilities = session.listener->backends->Capabilities(PlaintextBackend(session)),
            .random = ctx.random.Next(),
            .client = &session.peer,
            .local = &session.local});
  return next.decided() ? next : Again();
}

Next LinkIsUp(WorkerContext& ctx, Session& session) {
  if (!session.target.all_servers) {
    // This leg is there for the whole session.
    if (!session.plaintext_leg) {
      session.plaintext_leg = true;
      ctx.shard->Add(Family::kPlaintext, session.listener->id);
    }
    LogEstablished(ctx, session);
  }
  session.dialogue->server_talk = Dialogue::ServerTalk::kSilent;
  const Next next = Tell(
      ctx, session, {.kind = EventKind::kLegUp, .client = &session.peer, .local = &session.local});
  return next.decided() ? next : Again();
}

Next LinkFailed(WorkerContext& ctx, Session& session, EndReason reason) {
  if (reason != EndReason::kBackendUnavailable) NoteReason(session, reason);
  const Next next = Tell(ctx, session, {.kind = EventKind::kLegFailed});
  // Nothing else would ever come.
  return next.leaves() ? next : EndPolitely(reason);
}

Next LinkIsGone(WorkerContext& ctx, Session& session, Talking& stage) {
  if (session.target.all_servers) {
    StartNextLink(ctx, session);
  } else if (stage.wants_link) {
    stage.wants_link = false;
    StartLink(ctx, session, PlaintextBackend(session));
  }
  return Again();
}

Next FollowLink(WorkerContext& ctx, Session& session, Talking& stage) {
  const LinkResult result = AdvanceLink(ctx, session);
  switch (result.news) {
    case LinkNews::kNone:
      return Stay();
    case LinkNews::kMoved:
      return Again();
    case LinkNews::kUp:
      return LinkIsUp(ctx, session);
    case LinkNews::kFailed:
      return LinkFailed(ctx, session, result.reason);
    case LinkNews::kClosed:
      return LinkIsGone(ctx, session, stage);
    case LinkNews::kNoMemory:
      return EndNow(EndReason::kBufferLimit);
  }
  return Stay();
}

Next HearClient(WorkerContext& ctx, Session& session, Talking& stage) {
  const ByteView in = session.client.Input(ctx);
  if (in.empty()) return Stay();
  // A direct-TLS client bypasses the dialogue.
  const bool direct_tls = session.listener->config->protocol->direct_tls;
  if (direct_tls && !stage.fed && in[0] == kHandshakeRecord) {
    return Enter(StageId::kHandshaking, static_cast<uint32_t>(TlsStart::kDirect));
  }
  stage.fed = true;
  return FeedClient(ctx, session);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Talking& stage) {
  if (!stage.greeted && !session.client.Input(ctx).empty()) NotePregreet(ctx, session);
  if (stage.held) {
    const Next next = AwaitGreeting(ctx, session, stage);
    if (next.decided() || stage.held) return next;
  }
  if (!stage.greeted) {
    stage.greeted = true;
    return Greet(ctx, session);
  }
  if (const Next next = WatchClientInQueue(ctx, session); next.decided()) return next;
  if (const Next next = FollowLink(ctx, session, stage); next.decided()) return next;
  if (const Next next = TellBroken(ctx, session); next.decided()) return next;
  if (session.link_up()) {
    if (const Next next = FeedServer(ctx, session); next.decided()) return next;
  }
  if (!session.dialogue->hold) {
    if (const Next next = HearClient(ctx, session, stage); next.decided()) return next;
  }
  if (const Next next = NoteCutOff(ctx, session); next.decided()) return next;
  return TellEnds(ctx, session);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Talking& stage) {
  Dues dues;
  const Dialogue& dialogue = *session.dialogue;
  const ListenerLimits& limits = LimitsOf(session);
  if (stage.held) {
    const uint32_t ms = session.listener->config->greeting_delay_ms;
    dues.Add(After(session.stage_at, ms), DueKind::kGreetingDelay);
  }
  const auto* const up = std::get_if<Up>(&session.link);
  if (up != nullptr && dialogue.server_talk == Dialogue::ServerTalk::kSilent) {
    // One of many servers gets one message, and has nothing to say to it. The others wait
    // meanwhile.
    const uint32_t ms = session.target.all_servers
                            ? std::min(limits.connect_try_ms, limits.connect_ms)
                            : limits.greeting_ms;
    dues.Add(After(up->since, ms), DueKind::kGreeting);
  }
  if (session.plaintext_leg) {
    // Established work: it is bounded by idleness, like a relay.
    AddIdle(session, dues);
  } else {
    AddPreRelay(ctx, session, /*awaits_command=*/!dialogue.hold, dues);
    AddPatience(session, dues);
  }
  AddLink(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Talking& /*stage*/, const Due& due) {
  switch (due.kind) {
    case DueKind::kGreeting:
      if (!session.target.all_servers) {
        return TellDeadline(ctx, session, EndReason::kGreetingDeadline,
                            EventKind::kGreetingDeadline);
      }
      CloseLink(ctx, session);  // the other servers have their turn
      return Stay();
    case DueKind::kPreRelay:
      // With `hold` the server's answer is late, and not a word of the client's.
      return TellDeadline(
          ctx, session, due.reason,
          session.dialogue->hold ? EventKind::kGreetingDeadline : EventKind::kDeadline);
    case DueKind::kPatience:
      return TellPatienceOver(ctx, session);
    case DueKind::kConnect:
      HurryLink(ctx, session);
      return Stay();
    case DueKind::kIdle:
      return TellDeadline(ctx, session, EndReason::kIdleDeadline, EventKind::kDeadline);
    case DueKind::kNothing:
    case DueKind::kGreetingDelay:
    case DueKind::kPlace:
    case DueKind::kProxyHeader:
    case DueKind::kHandshake:
    case DueKind::kBackoff:
    case DueKind::kSentWhole:
    case DueKind::kRecord:
    case DueKind::kLinger:
    case DueKind::kTaking:
    case DueKind::kWhole:
    case DueKind::kCrowding:
      break;
  }
  return Stay();
}

Receives Wanted(WorkerContext& /*ctx*/, Session& session, const Talking& stage) {
  // What comes early waits for the greeting; one receive of it is enough.
  if (stage.held) return {.client = !stage.pregreet};
  const Side& client = session.client;
  const bool server = session.link_up();
  Receives wanted;
  // Before the greeting is sent as well: so the gateway notices a client that talks first.
  wanted.client = !session.dialogue->hold && (client.flushed() || client.octets_out == 0) &&
                  (!server || session.server.flushed());
  wanted.client |= ListensInQueue(session);
  wanted.server = (server && client.flushed() && session.server.may_bring_more()) ||
                  (IsHeard(IdOf(session.link)) && session.server.may_bring_more());
  return wanted;
}

}  // namespace starling
