#include "gateway/worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "gateway/session/pump.h"
#include "gateway/session/turn.h"
#include "gateway/tls/random.h"

namespace starling {
namespace {

enum Request : uint32_t {
  kStopAccepting = 1,
  kEndSessions = 2,
  kStopNow = 4,
  kReserve = 8,
  kApply = 16,
  kCloseRemoved = 32,
};

// The pause after an accept that failed because descriptors or memory were short.
constexpr std::chrono::milliseconds kAcceptPause{100};

struct ListeningSocket {
  Fd fd = kNoFd;  // none: the place is free
  WorkerListener* listener = nullptr;
  SocketAddress address;
  uint32_t armed = 0;
  bool removed = false;      // the configuration has no such address any more
  bool stopped = false;      // no accept is armed any more; closed when the last has come back
  bool close_asked = false;  // the close is submitted by this turn
};

// Has its place in the ring, and is accepted on once the next configuration is applied.
struct HeldSocket {
  Fd fd = kNoFd;
  uint32_t listener = 0;
  SocketAddress address;
};

}  // namespace

struct Worker::Impl {
  explicit Impl(const GlobalLimits& limits, uint32_t index) : ctx(limits, index) {}

  void OnAccept(const Completion& completion);
  void ArmAccepts();
  void HandleRequests(uint32_t requests);
  absl::Status Hold(const std::vector<NewSocket>& wanted);
  void GiveUpHeld();
  void ServeHeld();
  void Open(const HeldSocket& held);
  void Serve(ListeningSocket& socket, WorkerListener* listener);
  void Switch(std::unique_ptr<WorkerConfig> next);
  void StopAccepting(ListeningSocket& socket);
  void CloseSockets();
  bool NoSockets() const;
  void Publish();
  MonoTime Deadline(bool wait) const;

  std::unique_ptr<Ring> ring;
  WorkerContext ctx;
  std::unique_ptr<WorkerConfig> config;            // of new sessions
  std::vector<std::unique_ptr<WorkerConfig>> old;  // whose sessions go on
  std::vector<ListeningSocket> sockets;            // places, of which some are free
  std::vector<HeldSocket> held;
  uint32_t most_armed = 0;
  std::vector<Completion> completions;
  std::vector<uint32_t> expired;
  bool started = false;
  bool stopping = false;
  uint32_t closing_sockets = 0;         // stopped, and not closed yet
  bool close_pending = false;           // a socket's close waits for a turn to submit it
  bool no_slots = false;                // nobody can be accepted, and that is counted
  EndReason ending = EndReason::kNone;  // why all sessions were ended
  MonoTime accept_at{};                 // accepts are armed again from then on
};

Worker::Worker(WorkerOptions options)
    : impl_(std::make_unique<Impl>(options.config->config().limits, options.index)) {
  WorkerContext& ctx = impl_->ctx;
  impl_->config = std::move(options.config);
  impl_->ring = std::move(options.ring);
  impl_->most_armed = options.accepts;
  ctx.ring = impl_->ring.get();
  ctx.shard = options.shard;
  ctx.log = options.log;
  ctx.trim_fd = options.trim_fd;
  // Session numbers of different workers do not meet.
  ctx.next_session = (static_cast<uint64_t>(options.index) << 48) + 1;
  ctx.run = RandomU64();
  applied_generation_.store(impl_->config->generation(), std::memory_order_release);
}

Worker::~Worker() {
  const MutexLock lock(mutex_);
  CloseUnreserved();
}

// Those that the worker has not come to.
void Worker::CloseUnreserved() {
  for (const NewSocket& socket : to_reserve_.value_or(std::vector<NewSocket>()))
    close(socket.os_fd);
  to_reserve_.reset();
}

void Worker::Impl::Serve(ListeningSocket& socket, WorkerListener* listener) {
  if (listener != nullptr) listener->owner->Ref();
  if (socket.listener != nullptr) socket.listener->owner->Unref();
  socket.listener = listener;
}

void Worker::Impl::Open(const HeldSocket& opened) {
  auto place = std::ranges::find_if(sockets, [](const ListeningSocket& socket) {
    return socket.fd == kNoFd && socket.armed == 0;
  });
  if (place == sockets.end()) place = sockets.emplace(sockets.end());
  *place = ListeningSocket();
  place->fd = opened.fd;
  place->address = opened.address;
  Serve(*place, &config->listener(opened.listener));
}

// All of them or none. The ring closes the one that it has no place for.
absl::Status Worker::Impl::Hold(const std::vector<NewSocket>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    const absl::StatusOr<Fd> fd =
        ring->AddListener(wanted[i].os_fd, wanted[i].address.is_wildcard());
    if (!fd.ok()) {
      for (const NewSocket& rest : std::span(wanted).subspan(i + 1)) close(rest.os_fd);
      GiveUpHeld();
      return fd.status();
    }
    held.push_back({*fd, wanted[i].listener, wanted[i].address});
  }
  return absl::OkStatus();
}

void Worker::Impl::GiveUpHeld() {
  for (const HeldSocket& socket : held) ring->RemoveListener(socket.fd);
  held.clear();
}

void Worker::Impl::ServeHeld() {
  for (const HeldSocket& socket : held) Open(socket);
  held.clear();
}

absl::Status Worker::AddListener(const NewSocket& socket) {
  const absl::Status status = impl_->Hold({socket});
  impl_->ServeHeld();
  return status;
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
  --ctx.armed_accepts;
  const int32_t fd = completion.result;
  if (fd < 0) {
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
      accept_at = ctx.now + kAcceptPause;
      ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kDescriptors));
    }
    return;
  }
  const Endpoint& local =
      socket.address.is_wildcard() ? completion.local : socket.address.endpoint();
  const ListenerId id = socket.listener->id;
  // Sessions that are there keep the last blocks.
  const bool short_of_blocks = ctx.pool.in_use() >= ctx.pool.limit() - ctx.pool.limit() / 16;
  Session* session = short_of_blocks ? nullptr : ctx.table.Take();
  if (session != nullptr) {
    session->listener = socket.listener;
    BeginSession(ctx, *session, fd, completion.peer, local);
    // An accept may be faster than its cancellation, and come after all were ended.
    if (ending != EndReason::kNone) {
      EndByGateway(ctx, *session, ending, ending != EndReason::kStopped);
    }
    return;
  }
  ctx.shard->Add(
      Family::kRefused, id,
      static_cast<size_t>(short_of_blocks ? Refused::kBufferLimit : Refused::kSessionLimit));
  ctx.shard->AddWorker(
      WorkerFamily::kLimitReached,
      static_cast<size_t>(short_of_blocks ? Limit::kOutputBuffers : Limit::kSessions));
  session = ctx.table.TakeRefusal();
  if (session == nullptr) session = ctx.table.Take();
  // There are never more accepts armed than slots available.
  assert(session != nullptr);
  session->listener = socket.listener;
  BeginRefusal(ctx, *session, fd, completion.peer, local,
               short_of_blocks ? EndReason::kBufferLimit : EndReason::kSessionLimit);
}

void Worker::Impl::ArmAccepts() {
  if (stopping || ctx.now < accept_at) return;
  if (ctx.table.available() > 0) no_slots = false;
  // One a socket in each round, so that none goes without when slots are few.
  for (uint32_t round = 0; round < ctx.limits.armed_accepts; ++round) {
    for (uint32_t i = 0; i < sockets.size(); ++i) {
      ListeningSocket& socket = sockets[i];
      if (socket.fd == kNoFd || socket.stopped || socket.armed > round) continue;
      if (ctx.armed_accepts >= most_armed) return;
      // Each armed accept may bring a client, and each client is told something.
      if (ctx.armed_accepts >= ctx.table.available()) {
        // Once each time, not in every turn that it lasts.
        if (ctx.table.available() == 0 && !no_slots) {
          no_slots = true;
          ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kRefusals));
        }
        return;
      }
      ++socket.armed;
      ++ctx.armed_accepts;
      ring->ArmAccept(socket.fd, Tag{Op::kAccept, i, 0});
    }
  }
}

void Worker::Impl::HandleRequests(uint32_t requests) {
  if ((requests & (kStopAccepting | kStopNow)) != 0 && !stopping) {
    stopping = true;
    for (ListeningSocket& socket : sockets) StopAccepting(socket);
  }
  if ((requests & kCloseRemoved) != 0) {
    for (ListeningSocket& socket : sockets) {
      if (socket.removed) StopAccepting(socket);
    }
  }
  if ((requests & (kEndSessions | kStopNow)) == 0) return;
  const bool polite = (requests & kStopNow) == 0;
  ending = polite ? EndReason::kDrainDeadline : EndReason::kStopped;
  for (uint32_t slot = 0; slot < ctx.table.size(); ++slot) {
    Session& session = ctx.table.At(slot);
    EndByGateway(ctx, session, ending, polite);
  }
}

// A socket whose address stays serves the new listener at once. Sessions that were
// accepted before keep the old one.
void Worker::Impl::Switch(std::unique_ptr<WorkerConfig> next) {
  const std::vector<ListenerConfig>& listeners = next->config().listeners;
  for (ListeningSocket& socket : sockets) {
    if (socket.fd == kNoFd) continue;
    const auto bound = std::ranges::find_if(listeners, [&](const ListenerConfig& listener) {
      return std::ranges::find(listener.bind, socket.address) != listener.bind.end();
    });
    socket.removed = bound == listeners.end();
    if (!socket.removed) {
      Serve(socket, &next->listener(static_cast<uint32_t>(bound - listeners.begin())));
    }
  }
  old.push_back(std::exchange(config, std::move(next)));
}

void Worker::Impl::StopAccepting(ListeningSocket& socket) {
  if (socket.fd == kNoFd || socket.stopped) return;
  socket.stopped = true;
  ++closing_sockets;
  ring->CancelAccepts(socket.fd);
}

// Closes each stopped socket once no accept is armed on it. The next turn submits the
// close.
void Worker::Impl::CloseSockets() {
  close_pending = false;
  if (closing_sockets == 0) return;
  for (ListeningSocket& socket : sockets) {
    if (socket.close_asked) {
      Serve(socket, nullptr);
      socket = ListeningSocket();
      --closing_sockets;
    } else if (socket.stopped && socket.armed == 0) {
      ring->RemoveListener(socket.fd);
      socket.close_asked = close_pending = true;
    }
  }
}

bool Worker::Impl::NoSockets() const {
  return std::ranges::all_of(sockets,
                             [](const ListeningSocket& socket) { return socket.fd == kNoFd; });
}

void Worker::Impl::Publish() {
  Shard& shard = *ctx.shard;
  shard.AddWorker(WorkerFamily::kCompletions, 0, static_cast<int64_t>(completions.size()));
  shard.AddWorker(WorkerFamily::kTurns);
  shard.SetWorker(WorkerFamily::kBuffersOut, ring->BuffersOut() + ctx.BlocksOut());
  shard.SetWorker(WorkerFamily::kDescriptors, ring->DescriptorsInUse());
  const auto busy =
      std::chrono::duration_cast<std::chrono::microseconds>(MonotonicNow() - ctx.now).count();
  shard.AddWorker(WorkerFamily::kLoopMicros, 0, busy);
}

MonoTime Worker::Impl::Deadline(bool wait) const {
  if (!wait || !ctx.again.empty() || AdmissionOpen(ctx) || OvertimeIsDue(ctx) || close_pending) {
    return MonoTime{};
  }
  MonoTime deadline = ctx.timers.Next();
  if (!stopping && accept_at > ctx.now) deadline = std::min(deadline, accept_at);
  return deadline;
}

bool Worker::Turn(bool wait) {
  Impl& impl = *impl_;
  WorkerContext& ctx = impl.ctx;
  impl.completions.clear();
  impl.ring->Turn(impl.Deadline(wait), impl.completions);
  ctx.now = MonotonicNow();
  for (const uint32_t slot : ctx.again) ctx.Ready(ctx.table.At(slot));
  ctx.again.clear();
  for (const Completion& completion : impl.completions) {
    if (completion.tag.op == Op::kAccept) {
      impl.OnAccept(completion);
    } else if (completion.tag.op != Op::kWake) {
      Record(ctx, completion);
    }
  }
  const uint32_t requests = requests_.load(std::memory_order_relaxed) == 0
                                ? 0
                                : requests_.exchange(0, std::memory_order_acquire);
  if ((requests & kReserve) != 0) TakeReservation();
  if ((requests & kApply) != 0) TakeConfig();
  impl.HandleRequests(requests);
  impl.expired.clear();
  ctx.timers.Expire(ctx.now, impl.expired);
  for (const uint32_t slot : impl.expired) {
    Session& session = ctx.table.At(slot);
    session.timer = kNever;
    ctx.Ready(session);
  }
  WakeOvertime(ctx);
  PumpReady(ctx);
  WakeStarved(ctx);
  TrimMemory(ctx);
  impl.ArmAccepts();
  impl.CloseSockets();
  if (!impl.old.empty()) Retire();
  impl.Publish();
  sessions_.store(ctx.table.in_use(), std::memory_order_relaxed);
  const bool over = impl.stopping && impl.NoSockets();
  if (over) accepting_stopped_.store(true, std::memory_order_release);
  return !(over && ctx.table.in_use() == 0);
}

void Worker::TakeReservation() {
  const MutexLock lock(mutex_);
  const std::optional<std::vector<NewSocket>> wanted = std::exchange(to_reserve_, std::nullopt);
  if (!wanted) return;  // asked twice, and the first look found the second's already
  impl_->GiveUpHeld();
  reserved_ = impl_->Hold(*wanted);
}

void Worker::TakeConfig() {
  std::unique_ptr<WorkerConfig> next;
  {
    const MutexLock lock(mutex_);
    next = std::move(next_config_);
  }
  impl_->Switch(std::move(next));
  impl_->ServeHeld();
  const auto removed = std::ranges::count_if(
      impl_->sockets, [](const ListeningSocket& socket) { return socket.removed; });
  removed_sockets_.store(static_cast<uint32_t>(removed), std::memory_order_release);
  applied_generation_.store(impl_->config->generation(), std::memory_order_release);
}

// After a reload: what the main thread waits for, sockets and configurations.
void Worker::Retire() {
  const auto removed = std::ranges::count_if(
      impl_->sockets, [](const ListeningSocket& socket) { return socket.removed; });
  removed_sockets_.store(static_cast<uint32_t>(removed), std::memory_order_release);
  const auto unused = [](const auto& candidate) { return !candidate->in_use(); };
  if (std::ranges::none_of(impl_->old, unused)) return;
  const MutexLock lock(mutex_);
  for (auto& candidate : impl_->old) {
    if (unused(candidate)) retired_.push_back(std::move(candidate));
  }
  std::erase(impl_->old, nullptr);
}

std::vector<std::unique_ptr<WorkerConfig>> Worker::TakeRetired() {
  const MutexLock lock(mutex_);
  return std::exchange(retired_, {});
}

void Worker::Reserve(std::vector<NewSocket> sockets) {
  {
    const MutexLock lock(mutex_);
    CloseUnreserved();
    to_reserve_ = std::move(sockets);
  }
  Ask(kReserve);
}

std::optional<absl::Status> Worker::reserved() {
  const MutexLock lock(mutex_);
  return to_reserve_ ? std::nullopt : std::optional(reserved_);
}

void Worker::Apply(std::unique_ptr<WorkerConfig> config) {
  {
    const MutexLock lock(mutex_);
    next_config_ = std::move(config);
  }
  Ask(kApply);
}

void Worker::CloseRemoved() { Ask(kCloseRemoved); }

void Worker::StopAccepting() { Ask(kStopAccepting); }
void Worker::EndSessions() { Ask(kEndSessions); }
void Worker::StopNow() { Ask(kStopNow); }

void Worker::Ask(uint32_t request) {
  requests_.fetch_or(request, std::memory_order_release);
  impl_->ring->Wake();
}

const Ring& Worker::ring() const { return *impl_->ring; }

}  // namespace starling
