// Data channels (FTP): each is a session of its own, so that its handshake, relay, limits
// and counts are those of all sessions. It begins as a listening socket, takes one
// connection from one host, and connects to the other side at once: a client may begin TLS
// only when the server has said that it sends.
//
// Not for: which commands want one, and what its end means (protocols/ftp/ftp_control.h).
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <memory>
#include <utility>

#include "gateway/io/listen_socket.h"
#include "gateway/session/steps.h"

namespace starling {
namespace {

Tag MakeTag(const Session& session, Op op) { return Tag{op, session.slot, session.generation}; }

bool SameHost(const Endpoint& a, const Endpoint& b) { return a.family == b.family && a.ip == b.ip; }

SocketAddress WithPort(Endpoint endpoint, uint16_t port) {
  endpoint.port = port;
  return SocketAddress::From(endpoint);
}

Session* DataOf(WorkerContext& ctx, Session& control) {
  const Dialogue* dialogue = control.dialogue;
  if (dialogue == nullptr || dialogue->data_generation == 0) return nullptr;
  return ctx.table.Find(dialogue->data_slot, dialogue->data_generation);
}

void DropData(WorkerContext& ctx, Session& control, uint16_t reply = 0) {
  Session* const session = DataOf(ctx, control);
  if (session == nullptr) return;
  control.dialogue->data_generation = 0;
  control.dialogue->data_kept = false;
  session->data->told = true;
  session->data->kept = false;
  if (!IsOver(session->phase)) {
    session->reply = reply;
    EndNow(ctx, *session, EndReason::kDataDropped);
  }
  ctx.again.push_back(session->slot);
}

// Of the server that the control session has.
Endpoint ServerOf(const Session& control) {
  const Backends& backends = *control.listener->backends;
  return backends.server(backends.IdOf(control.backend, control.server)).address.endpoint();
}

void Describe(const Session& control, const Step& step, Session& session) {
  DataChannel& data = *session.data;
  data.control_slot = control.slot;
  data.control_generation = control.generation;
  session.reversed = step.data == DataAsk::kFromServer;
  const Endpoint server = ServerOf(control);
  if (session.reversed) {
    data.expected = server;
    data.target = WithPort(control.peer, step.data_port);
    data.source = control.local;
  } else {
    data.expected = control.peer;
    data.target = WithPort(server, step.data_port);
    data.source = control.up_local;
  }
  session.listener = control.listener;
  session.peer = control.peer;
  session.local = control.local;
  session.last_server = control.last_server;
}

// Data can only be carried beside a server that is reached by TCP and sees the client as
// we do: over a Unix socket, or one that brings a PROXY header, there is no address of ours,
// and what goes by TLS to the server must not go without beside it. -t warns of all that.
bool MayCarry(const Session& control) {
  return control.local.family != Endpoint::Family::kNone && control.up.tls == nullptr &&
         control.up_local.family != Endpoint::Family::kNone;
}

// False: no socket could be had.
bool Listen(WorkerContext& ctx, const Session& control, Session& session, Endpoint& ready_at) {
  const FtpOptions& options = control.listener->config->ftp;
  ready_at = session.reversed ? control.up_local : control.local;
  const bool any = session.reversed;
  const DataSocket socket = ListenForData(ready_at, any ? 0 : options.first_port,
                                          any ? 0 : options.last_port, &ctx.data_port);
  if (socket.error != 0) return false;
  const absl::StatusOr<Fd> fd = ctx.ring->AddListener(socket.os_fd, /*want_local=*/false);
  if (!fd.ok()) return false;
  session.data->listener = *fd;
  ready_at.port = socket.port;
  const bool told = !session.reversed && options.address.family == ready_at.family;
  if (told) ready_at.ip = options.address.ip;
  return true;
}

// Of the places that a worker has for channels that are waited for, one client has a quarter:
// so none can take them from all others.
bool HasItsShare(WorkerContext& ctx, const Session& control) {
  const uint32_t share = std::max(1u, ctx.limits.data_listeners / 4);
  if (ctx.data_listeners < share) return false;
  uint32_t waiting = 0;
  for (uint32_t slot = 0; slot < ctx.table.size(); ++slot) {
    const Session& session = ctx.table.At(slot);
    if (session.phase == Phase::kDataWait && SameHost(session.peer, control.peer)) ++waiting;
  }
  return waiting >= share;
}

void CountLimit(WorkerContext& ctx, Limit limit) {
  ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(limit));
}

// The connection that was waited for has come.
void Join(WorkerContext& ctx, Session& session) {
  DataChannel& data = *session.data;
  data.accepted = true;
  ctx.ring->RemoveListener(std::exchange(data.listener, kNoFd));
  --ctx.data_listeners;
  ctx.shard->Add(Family::kAccepted, session.listener->id);
  session.accepted_at = session.active_at = session.leg_at = ctx.now;
  Leg& leg = session.opened_leg();
  leg.fd = static_cast<Fd>(session.slot);
  leg.in_flight |= kOpOpen;
  ctx.ring->OpenData(leg.fd, data.target, data.source, MakeTag(session, Op::kUpOpen));
  SetPhase(ctx, session, session.reversed ? Phase::kOpening : Phase::kHandshake);
}

// The client began to end it, or the server did, all of it has been passed on, and the other
// has ended its side too: what the kernel has of it still may never arrive.
bool IsWhole(const Session& session) {
  const Leg& down = session.down;
  const Leg& up = session.up;
  if (session.data->lost) return false;
  if (session.reason == EndReason::kBackendClosed) {
    // What the client has sent is whole when it says so; of what it has read its end tells.
    const bool ended = session.client_closed_tls || (down.end_of_data && up.octets_out == 0);
    return session.close_notify_sent && down.write_ended && down.send_error == 0 &&
           down.recv_error == 0 && ended;
  }
  // A client that was sent something has not only sent a file.
  const bool ended = session.reason == EndReason::kClientClosed
                         ? session.client_closed_tls
                         : session.reason == EndReason::kClientBareEnd && up.octets_in == 0;
  return ended && up.write_ended && up.end_of_data && !up.was_reset();
}

DataOutcome OutcomeOf(const Session& session) {
  if (session.phase == Phase::kRelay) {
    return IsWhole(session) ? DataOutcome::kWhole : DataOutcome::kCut;
  }
  const bool tls = session.phase == Phase::kHandshake && session.data->accepted &&
                   session.reason != EndReason::kBackendUnavailable;
  return tls ? DataOutcome::kTlsFailed : DataOutcome::kNotMade;
}

void TellControl(WorkerContext& ctx, Session& session, DataOutcome outcome) {
  DataChannel& data = *session.data;
  if (data.told) return;
  data.told = true;
  Session* const control = ctx.table.Find(data.control_slot, data.control_generation);
  if (control == nullptr || DataOf(ctx, *control) != &session) return;
  Dialogue& dialogue = *control->dialogue;
  dialogue.data_over = true;
  dialogue.data_outcome = outcome;
  // A server that has not come to accept yet might never hear of a connection that is
  // reset before, and wait for another.
  data.kept = dialogue.data_outcome != DataOutcome::kWhole && data.joined && !session.reversed;
  dialogue.data_kept = data.kept;
  if (!data.kept) dialogue.data_generation = 0;
  control->active_at = ctx.now;
  ctx.again.push_back(control->slot);
}

}  // namespace

bool ServeDataAsk(WorkerContext& ctx, Session& control, const Step& step, Endpoint& ready_at) {
  DropData(ctx, control, step.reply);
  // News of the one before are none of the next.
  control.dialogue->data_over = false;
  if (step.data == DataAsk::kDrop) return true;
  if (!MayCarry(control)) return false;
  if (ctx.data_listeners >= ctx.limits.data_listeners || HasItsShare(ctx, control)) {
    CountLimit(ctx, Limit::kDataListeners);
    return false;
  }
  // Who may be accepted in this turn needs a slot too, if only to be told why not.
  const bool room = ctx.table.available() > ctx.armed_accepts;
  Session* const session = room ? ctx.table.Take() : nullptr;
  if (session == nullptr) {
    CountLimit(ctx, Limit::kSessions);
    return false;
  }
  session->data = std::make_unique<DataChannel>();
  session->down.tcp = session->up.tcp = true;
  Describe(control, step, *session);
  if (!Listen(ctx, control, *session, ready_at)) {
    CountLimit(ctx, Limit::kDataListeners);
    ctx.table.Free(*session);
    return false;
  }
  ++ctx.data_listeners;
  session->listener->owner->Ref();
  session->id = ctx.next_session++;
  session->accepted_at = session->active_at = ctx.now;
  ctx.shard->Add(Family::kSessions, session->listener->id,
                 static_cast<size_t>(SessionPhase::kNegotiate));
  SetPhase(ctx, *session, Phase::kDataWait);
  control.dialogue->data_slot = session->slot;
  control.dialogue->data_generation = session->generation;
  ctx.again.push_back(session->slot);
  return true;
}

void RecordDataAccept(Session& session, const Completion& completion) {
  Leg& leg = session.accepted_leg();
  DataChannel& data = *session.data;
  leg.in_flight &= static_cast<uint8_t>(~kOpAccept);
  if (completion.result < 0) {
    data.accept_error = -completion.result;
    return;
  }
  leg.fd = completion.result;
  data.accepted = SameHost(completion.peer, data.expected);
  if (data.accepted && !session.reversed) session.peer = completion.peer;
}

bool StepDataWait(WorkerContext& ctx, Session& session) {
  DataChannel& data = *session.data;
  Leg& leg = session.accepted_leg();
  if (data.accept_error != 0) {
    EndNow(ctx, session, EndReason::kBufferLimit);
    return true;
  }
  if (data.accepted) {
    Join(ctx, session);
    return true;
  }
  if (!leg.idle()) return false;
  if (leg.open()) {
    CountAttack(ctx, session, Attack::kDataStranger);
    CloseDataLeg(ctx, session, leg);
    return false;
  }
  leg.in_flight |= kOpAccept;
  ctx.ring->ArmAccept(data.listener, MakeTag(session, Op::kDataAccept));
  return false;
}

bool StepDataJoin(WorkerContext& ctx, Session& session) {
  if (session.data == nullptr || session.data->joined) return false;
  Leg& leg = session.opened_leg();
  if ((leg.in_flight & kOpOpen) != 0) return false;
  if (leg.send_error != 0) {
    leg.fd = kNoFd;
    EndNow(ctx, session, EndReason::kBackendUnavailable);
    return true;
  }
  session.data->joined = true;
  session.leg_state = LegState::kUp;
  session.active_at = ctx.now;
  if (session.tls_up) {
    StartRelay(ctx, session);
  } else if (session.phase == Phase::kOpening) {
    SetPhase(ctx, session, Phase::kHandshake);
  }
  return true;
}

void DataTlsUp(WorkerContext& ctx, Session& session) {
  const FtpOptions& options = session.listener->config->ftp;
  if (options.require_resumption && !session.tls.Facts().resumed) {
    EndNow(ctx, session, EndReason::kHandshakeFailed);
  } else if (session.data->joined) {
    StartRelay(ctx, session);
  } else {
    SetPhase(ctx, session, Phase::kOpening);
  }
}

void CloseDataLeg(WorkerContext& ctx, Session& session, Leg& leg) {
  if (session.data->kept && &leg == &session.up) return;
  if ((leg.in_flight & kOpOpen) != 0) ArmCancel(ctx, session, leg);
  if ((leg.in_flight & (kOpOpen | kOpCancel)) != 0) return;
  const bool opened = &leg == &session.opened_leg();
  // Where the connect failed the descriptor is free already.
  if (opened && !session.data->joined && leg.send_error != 0) leg.fd = kNoFd;
  if (!leg.open() || (leg.in_flight & kOpClose) != 0) return;
  leg.in_flight |= kOpClose;
  ctx.ring->CancelAndClose(leg.fd, MakeTag(session, opened ? Op::kUpClose : Op::kDownClose));
}

bool CloseDataListener(WorkerContext& ctx, Session& session) {
  if (session.data == nullptr || session.data->listener == kNoFd) return true;
  DataChannel& data = *session.data;
  if ((session.accepted_leg().in_flight & kOpAccept) != 0) {
    if (!data.cancelled) ctx.ring->CancelAccepts(data.listener);
    data.cancelled = true;
    return false;
  }
  ctx.ring->RemoveListener(std::exchange(data.listener, kNoFd));
  --ctx.data_listeners;
  return true;
}

bool IsSentWhole(const Session& session) {
  const Leg& down = session.down;
  return session.data != nullptr && !session.data->told && !session.data->lost &&
         session.phase == Phase::kRelay && session.reason == EndReason::kBackendClosed &&
         session.close_notify_sent && down.write_ended && Flushed(down) && down.send_error == 0 &&
         down.recv_error == 0 && session.up.octets_out == 0;
}

void TellSentWhole(WorkerContext& ctx, Session& session) {
  TellControl(ctx, session, DataOutcome::kWhole);
}

void EndData(WorkerContext& ctx, Session& session) {
  if (session.data != nullptr) TellControl(ctx, session, OutcomeOf(session));
  DropData(ctx, session);
}

}  // namespace starling
