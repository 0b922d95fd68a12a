#include "gateway/session/link.h"

#include <cassert>

#include "gateway/session/link_tries.h"
#include "gateway/session/place_queue.h"
#include "gateway/session/try_limit.h"

namespace starling {
namespace {

LinkResult StepClosing(WorkerContext& ctx, Session& session, const ClosingLink& closing) {
  Side& side = session.opened();
  CloseSide(ctx, session, side);
  if (side.open() || !side.idle()) return {};
  LeaveServer(ctx, session);
  // What a data channel's sides did is reported at its end; it has no other link after this.
  if (session.data == nullptr) side.Forget(ctx);
  if (closing.tries_next) return TryNext(ctx, session, closing.since);
  session.link = NoLink{};
  return {.news = LinkNews::kClosed};
}

}  // namespace

void SuspectServer(const Session& session) {
  if (session.target.server < 0) return;
  Backends& backends = *session.listener->backends;
  backends.Suspect(backends.IdOf(session.target.backend, session.target.server));
}

void StartLink(WorkerContext& ctx, Session& session, uint32_t backend) {
  assert(IdOf(session.link) == LinkId::kNone);
  session.target.backend = backend;
  session.target.tried = 0;
  session.target.greeting_ms = 0;
  session.target.silent = false;
  session.target.displaced = false;
  session.target.retries = false;
  session.target.left_slow = false;
  StartNextLink(ctx, session);
}

void StartDataLink(WorkerContext& ctx, Session& session) {
  assert(session.data != nullptr && IdOf(session.link) == LinkId::kNone);
  Side& side = session.opened();
  side.Opening(static_cast<Fd>(session.slot));
  session.link = Connecting{.since = ctx.now, .try_at = ctx.now};
  ctx.ring->OpenData(side.fd, session.data->target, session.data->source,
                     side.TagOf(Op::kOpen, session.ref()));
}

LinkResult AdvanceLink(WorkerContext& ctx, Session& session) {
  // By value: what follows replaces the alternative.
  const Link link = session.link;
  switch (IdOf(link)) {
    case LinkId::kNone:
    case LinkId::kUp:
    case LinkId::kCount:
      return {};
    case LinkId::kConnecting:
      return StepConnecting(ctx, session, std::get<Connecting>(link));
    case LinkId::kBackoff:
      return StepBackoff(ctx, session, std::get<Backoff>(link));
    case LinkId::kTlsHandshake:
      return StepTls(ctx, session, std::get<TlsHandshake>(link));
    case LinkId::kGreeting:
      return StepGreeting(ctx, session, std::get<ReadsGreeting>(link));
    case LinkId::kClosing:
      return StepClosing(ctx, session, std::get<ClosingLink>(link));
  }
  return {};
}

void CloseLink(WorkerContext& ctx, Session& session) {
  switch (IdOf(session.link)) {
    case LinkId::kNone:
    case LinkId::kCount:
      return;
    case LinkId::kClosing:
      std::get<ClosingLink>(session.link).tries_next = false;
      return;
    case LinkId::kBackoff:
      LeaveQueue(ctx, session);
      session.link = NoLink{};
      return;
    case LinkId::kConnecting:
    case LinkId::kTlsHandshake:
    case LinkId::kGreeting:
    case LinkId::kUp:
      break;
  }
  session.link = ClosingLink{};
  session.opened().DropInput(ctx);
  CloseSide(ctx, session, session.opened());
}

void CloseSide(WorkerContext& ctx, Session& session, Side& side) {
  if (side.has(kOpOpen)) side.Cancel(ctx, session.ref());
  if (!side.has(kOpOpen | kOpCancel)) side.Close(ctx, session.ref());
}

void CloseServerSide(WorkerContext& ctx, Session& session) {
  if (session.reversed()) {
    CloseSide(ctx, session, session.server);
  } else if (session.data == nullptr || !session.data->kept()) {
    CloseLink(ctx, session);
  }
}

void HurryLink(WorkerContext& ctx, Session& session) {
  if (IdOf(session.link) == LinkId::kConnecting && !StaysOn(ctx, session)) {
    session.server.Cancel(ctx, session.ref());
  }
  if (auto* const backoff = std::get_if<Backoff>(&session.link)) backoff->retry_at = ctx.now;
}

}  // namespace starling
