#include "gateway/worker/worker.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "gateway/session/pump.h"
#include "gateway/tls/random.h"

namespace starling {
namespace {

enum Request : uint32_t { kStopAccepting = 1, kEndSessions = 2, kStopNow = 4 };

// After an accept failed for want of something (descriptors, memory).
constexpr std::chrono::milliseconds kAcceptPause{100};

struct ListeningSocket {
  Fd fd = kNoFd;
  uint32_t listener = 0;
  Endpoint local;  // when it is bound to one address
  bool wildcard = false;
  uint32_t armed = 0;
};

}  // namespace

struct Worker::Impl {
  Impl(const Config& config, uint32_t index) : ctx(config, index) {}

  void OnAccept(const Completion& completion);
  void ArmAccepts();
  void HandleRequests(uint32_t requests);
  void GiveUpSockets();
  void PumpAll();
  void WakeStarved();
  void Publish();
  MonoTime Deadline(bool wait) const;
  bool AdmissionOpen() const {
    return !ctx.admission.empty() &&
           ctx.handshakes_in_flight < ctx.config.limits.handshakes_in_flight;
  }

  std::unique_ptr<Ring> ring;
  WorkerContext ctx;
  std::vector<ListeningSocket> sockets;
  std::vector<Completion> completions;
  std::vector<uint32_t> expired;
  uint32_t armed = 0;
  bool started = false;
  bool stopping = false;
  bool let_go = false;                  // the sockets' closes have been asked for
  bool closed = false;                  // and a turn has submitted them
  bool no_slots = false;                // nobody can be accepted, and that is counted
  EndReason ending = EndReason::kNone;  // why all sessions were ended
  MonoTime accept_at{};                 // accepts are armed again from then on
};

Worker::Worker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Worker::~Worker() = default;

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(WorkerOptions options) {
  auto impl = std::make_unique<Impl>(*options.config, options.index);
  WorkerContext& ctx = impl->ctx;
  impl->ring = std::move(options.ring);
  ctx.ring = impl->ring.get();
  ctx.shard = options.shard;
  ctx.log = options.log;
  // Session numbers of different workers do not meet.
  ctx.next_session = (static_cast<uint64_t>(options.index) << 48) + 1;
  ctx.random = RandomU64();
  for (const ListenerConfig& config : options.config->listeners) {
    ListenerRuntime runtime;
    runtime.config = &config;
    runtime.backends = options.backends;
    runtime.id = static_cast<ListenerId>(ctx.listeners.size());
    absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create(
        TlsPolicy{.credentials = options.credentials, .alpn = std::string(config.protocol->alpn)},
        options.tickets);
    if (!tls.ok()) return tls.status();
    runtime.tls = std::move(*tls);
    ctx.listeners.push_back(std::move(runtime));
  }
  return std::unique_ptr<Worker>(new Worker(std::move(impl)));
}

absl::Status Worker::AddListener(uint32_t listener, int os_fd, const SocketAddress& address) {
  ListeningSocket socket;
  socket.listener = listener;
  socket.wildcard = address.is_wildcard();
  socket.local = address.endpoint();
  absl::StatusOr<Fd> fd = impl_->ring->AddListener(os_fd, socket.wildcard);
  if (!fd.ok()) return fd.status();
  socket.fd = *fd;
  impl_->sockets.push_back(socket);
  return absl::OkStatus();
}

absl::Status Worker::Start() {
  absl::Status status = impl_->ring->Start();
  if (!status.ok()) return status;
  impl_->started = true;
  impl_->ArmAccepts();
  impl_->Publish();
  return absl::OkStatus();
}

void Worker::Impl::OnAccept(const Completion& completion) {
  ListeningSocket& socket = sockets[completion.tag.slot];
  --socket.armed;
  --armed;
  const int32_t fd = completion.result;
  if (fd < 0) {
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
      accept_at = ctx.now + kAcceptPause;
    }
    return;
  }
  const Endpoint& local = socket.wildcard ? completion.local : socket.local;
  const ListenerId id = ctx.listeners[socket.listener].id;
  // Sessions that are there keep the last blocks.
  const bool short_of_blocks = ctx.pool.in_use() >= ctx.pool.limit() - ctx.pool.limit() / 16;
  Session* session = short_of_blocks ? nullptr : ctx.table.Take();
  if (session != nullptr) {
    session->listener = &ctx.listeners[socket.listener];
    BeginSession(ctx, *session, fd, completion.peer, local);
    // An accept may be faster than its cancellation, and come after all were ended.
    if (ending != EndReason::kNone) {
      EndByGateway(ctx, *session, ending, ending != EndReason::kStopped);
    }
    return;
  }
  ctx.shard->Add(Family::kRefused, id, 0);
  ctx.shard->AddWorker(
      WorkerFamily::kLimitReached,
      static_cast<size_t>(short_of_blocks ? Limit::kOutputBuffers : Limit::kSessions));
  session = ctx.table.TakeRefusal();
  if (session == nullptr) session = ctx.table.Take();
  // There are never more accepts armed than slots available.
  assert(session != nullptr);
  session->listener = &ctx.listeners[socket.listener];
  BeginRefusal(ctx, *session, fd, completion.peer, local,
               short_of_blocks ? EndReason::kBufferLimit : EndReason::kSessionLimit);
}

void Worker::Impl::ArmAccepts() {
  if (stopping || ctx.now < accept_at) return;
  if (ctx.table.available() > 0) no_slots = false;
  // One a socket in each round, so that none goes without when slots are few.
  for (uint32_t round = 0; round < ctx.config.limits.armed_accepts; ++round) {
    for (uint32_t i = 0; i < sockets.size(); ++i) {
      ListeningSocket& socket = sockets[i];
      if (socket.armed > round) continue;
      // Each armed accept may bring a client, and each client is told something.
      if (armed >= ctx.table.available()) {
        // Once each time, not in every turn that it lasts.
        if (ctx.table.available() == 0 && !no_slots) {
          no_slots = true;
          ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kRefusals));
        }
        return;
      }
      ++socket.armed;
      ++armed;
      ring->ArmAccept(socket.fd, Tag{Op::kAccept, i, 0});
    }
  }
}

void Worker::Impl::HandleRequests(uint32_t requests) {
  if ((requests & (kStopAccepting | kStopNow)) != 0 && !stopping) {
    stopping = true;
    for (const ListeningSocket& socket : sockets) ring->CancelAccepts(socket.fd);
  }
  if ((requests & (kEndSessions | kStopNow)) == 0) return;
  const bool polite = (requests & kStopNow) == 0;
  ending = polite ? EndReason::kDrainDeadline : EndReason::kStopped;
  for (uint32_t slot = 0; slot < ctx.table.size(); ++slot) {
    Session& session = ctx.table.At(slot);
    if (session.phase == Phase::kFree) continue;
    EndByGateway(ctx, session, ending, polite);
    ctx.Ready(session);
  }
}

void Worker::Impl::GiveUpSockets() {
  if (armed > 0) return;
  let_go = true;
  for (ListeningSocket& socket : sockets) {
    if (socket.fd == kNoFd) continue;
    ring->RemoveListener(socket.fd);
    socket.fd = kNoFd;
  }
}

void Worker::Impl::PumpAll() {
  // Those that wait for a handshake go first; who came now waits behind them.
  const uint32_t budget = ctx.config.limits.key_operations_per_turn;
  for (uint32_t i = 0; i < budget && AdmissionOpen(); ++i) {
    Session& session = ctx.table.At(ctx.admission.front());
    ctx.admission.pop_front();
    session.waiting_admission = false;
    Pump(ctx, session);
  }
  for (size_t i = 0; i < ctx.ready.size(); ++i) Pump(ctx, ctx.table.At(ctx.ready[i]));
  ctx.ready.clear();
}

void Worker::Impl::WakeStarved() {
  if (ctx.starved.empty()) return;
  // Receive buffers are all back at the end of a turn, unless blocks are short. With
  // blocks, what was too few for a session still is until somebody gives one back:
  // looking again before that would keep the worker from ever waiting.
  const size_t out = ctx.pool.in_use();
  const bool receives = ctx.starved_of_receives && ring->BuffersOut() == 0;
  if (!receives && out >= ctx.starved_at) return;
  ctx.starved_at = 0;
  ctx.starved_of_receives = false;
  for (const uint32_t slot : ctx.starved) {
    Session& session = ctx.table.At(slot);
    session.starving = session.down.starved = session.up.starved = false;
    ctx.again.push_back(slot);
  }
  ctx.starved.clear();
}

void Worker::Impl::Publish() {
  Shard& shard = *ctx.shard;
  shard.AddWorker(WorkerFamily::kCompletions, 0, static_cast<int64_t>(completions.size()));
  shard.AddWorker(WorkerFamily::kTurns);
  shard.SetWorker(WorkerFamily::kBuffersOut, ring->BuffersOut() + ctx.pool.in_use());
  shard.SetWorker(WorkerFamily::kDescriptors, ring->DescriptorsInUse());
  const auto busy =
      std::chrono::duration_cast<std::chrono::microseconds>(MonotonicNow() - ctx.now).count();
  shard.AddWorker(WorkerFamily::kLoopMicros, 0, busy);
}

MonoTime Worker::Impl::Deadline(bool wait) const {
  if (!wait || !ctx.again.empty() || AdmissionOpen() || (let_go && !closed)) return MonoTime{};
  MonoTime deadline = ctx.timers.Next();
  if (!stopping && accept_at > ctx.now) deadline = std::min(deadline, accept_at);
  return deadline;
}

bool Worker::Turn(bool wait) {
  Impl& impl = *impl_;
  WorkerContext& ctx = impl.ctx;
  impl.completions.clear();
  impl.ring->Turn(impl.Deadline(wait), impl.completions);
  impl.closed = impl.let_go;
  ctx.now = MonotonicNow();
  ctx.key_operations = 0;
  for (const uint32_t slot : ctx.again) ctx.Ready(ctx.table.At(slot));
  ctx.again.clear();
  for (const Completion& completion : impl.completions) {
    if (completion.tag.op == Op::kAccept) {
      impl.OnAccept(completion);
    } else if (completion.tag.op != Op::kWake) {
      Record(ctx, completion);
    }
  }
  impl.HandleRequests(requests_.exchange(0, std::memory_order_acquire));
  impl.expired.clear();
  ctx.timers.Expire(ctx.now, impl.expired);
  for (const uint32_t slot : impl.expired) {
    Session& session = ctx.table.At(slot);
    session.timer = kNever;
    ctx.Ready(session);
  }
  impl.PumpAll();
  impl.WakeStarved();
  impl.ArmAccepts();
  if (impl.stopping) impl.GiveUpSockets();
  impl.Publish();
  sessions_.store(ctx.table.in_use(), std::memory_order_relaxed);
  if (impl.closed) accepting_stopped_.store(true, std::memory_order_release);
  return !(impl.closed && ctx.table.in_use() == 0);
}

void Worker::StopAccepting() {
  requests_.fetch_or(kStopAccepting, std::memory_order_release);
  impl_->ring->Wake();
}

void Worker::EndSessions() {
  requests_.fetch_or(kEndSessions, std::memory_order_release);
  impl_->ring->Wake();
}

void Worker::StopNow() {
  requests_.fetch_or(kStopNow, std::memory_order_release);
  impl_->ring->Wake();
}

const Ring& Worker::ring() const { return *impl_->ring; }

}  // namespace starling
