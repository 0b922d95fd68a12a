#include "gateway/session/data_channel.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <memory>
#include <utility>

#include "gateway/session/crowding.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

SocketAddress WithPort(Endpoint endpoint, uint16_t port) {
  endpoint.port = port;
  return SocketAddress::From(endpoint);
}

// --- letters ---

Session* ChannelOf(WorkerContext& ctx, const Session& control) {
  if (control.dialogue == nullptr || !control.dialogue->channel.exists()) return nullptr;
  const SessionRef& channel = control.dialogue->channel.ref();
  return ctx.table.Find(channel.slot, channel.generation);
}

// Tells the channel, if there is one, that the control session has no more use for it. It
// counts as waiting no longer, so that the next one can be had at once.
void PostDropped(WorkerContext& ctx, Session& control, uint16_t reply) {
  Session* const channel = ChannelOf(ctx, control);
  if (control.dialogue != nullptr) control.dialogue->channel.Forget();
  if (channel == nullptr) return;
  EndWaiting(ctx, *channel);
  if (channel->data->report == DataChannel::Report::kDue) {
    channel->data->report = DataChannel::Report::kMade;
  }
  channel->data->letter = {.kind = DataLetter::Kind::kDropped, .reply = reply};
  ctx.again.push_back(channel->slot);
}

// Tells the control session, if it still has this channel, how it ended.
void PostOver(WorkerContext& ctx, Session& channel, DataOutcome outcome) {
  DataChannel& data = *channel.data;
  if (data.report != DataChannel::Report::kDue) return;
  data.report = DataChannel::Report::kMade;
  Session* const control = ctx.table.Find(data.control.slot, data.control.generation);
  if (control == nullptr || ChannelOf(ctx, *control) != &channel) return;
  // A server that has not come to accept yet might never hear of a connection that is
  // reset before, and wait for another.
  if (outcome != DataOutcome::kWhole && channel.link_up() && !channel.reversed()) {
    data.report = DataChannel::Report::kKept;
  }
  control->dialogue->data_letter = {
      .kind = DataLetter::Kind::kOver, .outcome = outcome, .kept = data.kept()};
  ctx.again.push_back(control->slot);
}

// --- making a channel ---

// Of the server that the control session has.
Endpoint ServerOf(const Session& control) {
  const Backends& backends = *control.listener->backends;
  return backends.server(backends.IdOf(control.target.backend, control.target.server))
      .address.endpoint();
}

void Describe(const Session& control, const DataRequest& request, Session& session) {
  DataChannel& data = *session.data;
  data.control = control.ref();
  if (request.ask == DataAsk::kFromServer) session.Reverse();
  const Endpoint server = ServerOf(control);
  if (session.reversed()) {
    data.expected = server;
    data.target = WithPort(control.peer, request.port);
    data.source = control.local;
  } else {
    data.expected = control.peer;
    data.target = WithPort(server, request.port);
    data.source = control.link_address;
  }
  session.client.tcp = session.server.tcp = true;
  session.listener = control.listener;
  session.peer = control.peer;
  session.local = control.local;
  session.last_server = control.last_server;
}

// A channel can be carried only beside a server that is reached by TCP and sees the client as
// the gateway does. Over a Unix socket, or with a PROXY header, the gateway has no address
// there; and octets that go by TLS to the server must not go without it beside. -t warns of
// all that.
bool MayCarry(const Session& control) {
  return control.local.family != Endpoint::Family::kNone && control.server.tls == nullptr &&
         control.link_address.family != Endpoint::Family::kNone;
}

// kNoFd: no socket could be had.
Fd Listen(WorkerContext& ctx, const Session& control, DataAsk ask, Endpoint& ready_at) {
  const FtpOptions& options = control.listener->config->ftp;
  const bool any = ask == DataAsk::kFromServer;
  ready_at = any ? control.link_address : control.local;
  const DataListener listener = ctx.ring->AddDataListener(
      ready_at, any ? 0 : options.first_port, any ? 0 : options.last_port, &ctx.data_port);
  if (listener.fd == kNoFd) return kNoFd;
  ++ctx.data_sockets;
  ready_at.port = listener.port;
  if (!any && options.address.family == ready_at.family) ready_at.ip = options.address.ip;
  return listener.fd;
}

void StopListening(WorkerContext& ctx, Fd listener) {
  ctx.ring->RemoveListener(listener);
  --ctx.data_sockets;
}

void Begin(WorkerContext& ctx, Session& session) {
  session.listener->owner->Ref();
  session.id = ctx.next_session++;
  session.accepted_at = session.active_at = session.stage_at = ctx.now;
  session.stage = DataWait{};
  BeginWaiting(ctx, session);
  ctx.shard->Add(Family::kSessions, session.listener->id,
                 static_cast<size_t>(PhaseOf(StageId::kDataWait)));
  ctx.again.push_back(session.slot);
}

// A socket, and a place in the table for it: both may take a session of another source, the socket
// first, since it may be in vain.
Room PlaceChannel(WorkerContext& ctx, Session& control, const DataRequest& request,
                  const SourceHold& source) {
  const Room waiting = FindWaitingRoom(ctx, *control.listener, source);
  if (waiting == Room::kNone) CountLimit(ctx, Limit::kDataListeners);
  if (waiting != Room::kTaken) return waiting;
  const Fd listener = Listen(ctx, control, request.ask, control.dialogue->data_ready_at);
  if (listener == kNoFd) {
    const Room port = FindPort(ctx, *control.listener, source);
    if (port == Room::kNone) CountLimit(ctx, Limit::kDataListeners);
    return port;
  }
  Session* session = nullptr;
  const Room room = TakePlace(ctx, *control.listener, source, session);
  if (room != Room::kTaken) {
    if (room == Room::kNone) CountLimit(ctx, Limit::kSessions);
    StopListening(ctx, listener);
    return room;
  }
  session->data = std::make_unique<DataChannel>();
  session->data->listener = listener;
  Describe(control, request, *session);
  Begin(ctx, *session);
  control.dialogue->channel.Begin(session->ref());
  return Room::kTaken;
}

// Without kTaken no channel was made. Where kNone is the answer, the limit that was met is counted.
Room MakeChannel(WorkerContext& ctx, Session& control, const DataRequest& request) {
  SourceHold source;
  if (!EnterChannel(ctx, control, source)) {
    CountRefusal(ctx, *control.listener, control.peer, EndReason::kSourceSessions);
    return Room::kNone;
  }
  const Room room = PlaceChannel(ctx, control, request, source);
  if (room != Room::kTaken) LeaveShare(ctx, source);
  return room;
}

// --- how a channel ended ---

// The client began to end it, or the server did, all of it has been passed on, and the other
// has ended its side too: what the kernel has of it still may never arrive.
bool IsWhole(const Session& session) {
  const Side& client = session.client;
  const Side& server = session.server;
  if (session.data->lost) return false;
  if (session.reason == EndReason::kBackendClosed) {
    // What the client has sent is whole when it says so; of what it has read its end tells.
    const bool ended =
        session.client_closed_tls() || (client.inflow == Inflow::kEnded && server.octets_out == 0);
    return client.close_notify_sent() && client.write_ended() && !client.receive_failed() && ended;
  }
  // A client that was sent something has not only sent a file.
  const bool ended = session.reason == EndReason::kClientClosed
                         ? session.client_closed_tls()
                         : session.reason == EndReason::kClientBareEnd && server.octets_in == 0;
  return ended && server.write_ended() && server.ended() && !server.was_reset();
}

DataOutcome OutcomeOf(const Session& session) {
  if (IdOf(session.stage) == StageId::kRelaying) {
    return IsWhole(session) ? DataOutcome::kWhole : DataOutcome::kCut;
  }
  const bool tls = IdOf(session.stage) == StageId::kHandshaking &&
                   session.reason != EndReason::kBackendUnavailable;
  return tls ? DataOutcome::kTlsFailed : DataOutcome::kNotMade;
}

}  // namespace

void ServeDataRequest(WorkerContext& ctx, Session& control, const DataRequest& request) {
  PostDropped(ctx, control, request.reply);
  Dialogue& dialogue = *control.dialogue;
  // News of the channel before say nothing of the next.
  dialogue.data_over = {};
  dialogue.data_letter = {};
  dialogue.data_answer = Dialogue::DataAnswer::kNone;
  if (request.ask == DataAsk::kDrop) return;
  dialogue.data_request = request;
  dialogue.data_answer = Dialogue::DataAnswer::kLater;
  AnswerDataRequest(ctx, control);
}

bool AnswerDataRequest(WorkerContext& ctx, Session& control) {
  using Answer = Dialogue::DataAnswer;
  Dialogue& dialogue = *control.dialogue;
  if (dialogue.data_answer != Answer::kLater) return true;
  const Room room =
      MayCarry(control) ? MakeChannel(ctx, control, dialogue.data_request) : Room::kNone;
  if (room == Room::kLater) {
    ctx.again.push_back(control.slot);
    return false;
  }
  dialogue.data_answer = room == Room::kTaken ? Answer::kReady : Answer::kRefused;
  return true;
}

void RecordDataAccept(Session& session, const Completion& completion) {
  Side& side = session.accepted();
  DataChannel& data = *session.data;
  side.Finished(kOpAccept);
  if (completion.result < 0) {
    if (data.accept == DataChannel::Accept::kWaits) data.accept = DataChannel::Accept::kFailed;
    return;
  }
  side.fd = completion.result;
  if (data.accept != DataChannel::Accept::kWaits) return;
  if (!SameHost(completion.peer, data.expected)) return;
  data.accept = DataChannel::Accept::kAccepted;
  if (!session.reversed()) session.peer = completion.peer;
}

void JoinData(WorkerContext& ctx, Session& session) {
  assert(session.data->accept == DataChannel::Accept::kAccepted);
  session.data->accept = DataChannel::Accept::kJoined;
  EndWaiting(ctx, session);
  StopListening(ctx, std::exchange(session.data->listener, kNoFd));
  ctx.shard->Add(Family::kAccepted, session.listener->id);
  session.accepted_at = session.active_at = ctx.now;
  StartDataLink(ctx, session);
}

bool CloseDataListener(WorkerContext& ctx, Session& session) {
  if (session.data == nullptr || session.data->listener == kNoFd) return true;
  DataChannel& data = *session.data;
  EndWaiting(ctx, session);
  if (session.accepted().has(kOpAccept)) {
    if (data.accept != DataChannel::Accept::kCancelled) ctx.ring->CancelAccepts(data.listener);
    data.accept = DataChannel::Accept::kCancelled;
    return false;
  }
  StopListening(ctx, std::exchange(data.listener, kNoFd));
  return true;
}

bool IsSentWhole(const Session& session) {
  const Side& client = session.client;
  return session.data != nullptr && session.data->report == DataChannel::Report::kDue &&
         !session.data->lost && session.reason == EndReason::kBackendClosed &&
         client.close_notify_sent() && client.write_ended() && client.flushed() &&
         !client.receive_failed() && session.server.octets_out == 0;
}

void TellSentWhole(WorkerContext& ctx, Session& session) {
  PostOver(ctx, session, DataOutcome::kWhole);
}

void EndData(WorkerContext& ctx, Session& session) {
  if (session.data != nullptr) PostOver(ctx, session, OutcomeOf(session));
  PostDropped(ctx, session, 0);
}

Next ReadDataLetter(WorkerContext& ctx, Session& session) {
  if (session.data != nullptr && session.data->letter.kind == DataLetter::Kind::kDropped) {
    const DataLetter letter = std::exchange(session.data->letter, {});
    assert(session.data->report != DataChannel::Report::kDue);
    session.data->report = DataChannel::Report::kMade;
    if (IsOver(IdOf(session.stage))) return Stay();
    session.reply = letter.reply;
    return EndNow(EndReason::kDataDropped);
  }
  if (session.dialogue != nullptr &&
      session.dialogue->data_letter.kind == DataLetter::Kind::kOver) {
    Dialogue& dialogue = *session.dialogue;
    dialogue.data_over = std::exchange(dialogue.data_letter, {});
    dialogue.data_over.kept ? dialogue.channel.Keep() : dialogue.channel.Forget();
    session.active_at = ctx.now;
  }
  return Stay();
}

}  // namespace starling
