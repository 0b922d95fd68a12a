#include "gateway/worker/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "gateway/limits.h"
#include "gateway/session/admission.h"
#include "gateway/session/crowding.h"
#include "gateway/session/pump.h"
#include "gateway/session/relief.h"
#include "gateway/session/source.h"
#include "gateway/session/turn.h"
#include "gateway/tls/random.h"
#include "gateway/worker/listening_sockets.h"
#include "gateway/worker/newcomer.h"

namespace starling {
namespace {

enum Request : uint32_t {
  kStopAccepting = 1,
  kEndSessions = 2,
  kStopNow = 4,
  kReserve = 8,
  kApply = 16,
  kCloseRemoved = 32,
  kDeny = 64,
  kRelieve = 128,
  kMemory = 256,
  kShare = 512,  // there is a new one, which every turn looks for
};

}  // namespace

struct Worker::Impl {
  Impl(const GlobalLimits& limits, uint32_t index, uint32_t accepts)
      : ctx(limits, index), sockets(ctx, accepts), deny_look(ctx.table.size()) {}

  void OnAccept(const Completion& completion);
  bool Admit(Newcomer& newcomer);
  void AdmitWaiting();
  void ShareOut();
  void HandleRequests(uint32_t requests);
  void EndDenied();
  void Publish();
  MonoTime Deadline(bool wait) const;

  std::unique_ptr<Ring> ring;
  WorkerContext ctx;
  std::unique_ptr<WorkerConfig> config;            // of new sessions
  std::vector<std::unique_ptr<WorkerConfig>> old;  // whose sessions go on
  ListeningSockets sockets;
  std::vector<Newcomer> waiting;  // for a slot; each holds a reference to its configuration
  std::vector<Completion> completions;
  std::vector<uint32_t> expired;
  uint32_t deny_look;  // the next slot to look up in new deny lists; the table's size: none
  bool stopping = false;
  EndReason ending = EndReason::kNone;  // why all sessions were ended
};

Worker::Worker(WorkerOptions options)
    : impl_(
          std::make_unique<Impl>(options.config->config().limits, options.index, options.accepts)),
      look_fd_(options.look_fd) {
  WorkerContext& ctx = impl_->ctx;
  impl_->config = std::move(options.config);
  impl_->ring = std::move(options.ring);
  ctx.ring = impl_->ring.get();
  ctx.shard = options.shard;
  ctx.log = options.log;
  ctx.trim_fd = options.trim_fd;
  ctx.sources = options.sources;
  ctx.deny = std::move(options.deny);
  // Session numbers of different workers do not meet.
  ctx.next_session = (static_cast<uint64_t>(options.index) << 48) + 1;
  ctx.run = RandomU64();
  impl_->ShareOut();
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

absl::Status Worker::AddListener(const NewSocket& socket) {
  const absl::Status status = impl_->sockets.Hold({socket});
  impl_->sockets.ServeHeld(*impl_->config);
  return status;
}

absl::Status Worker::Start() {
  absl::Status status = impl_->ring->Start();
  if (!status.ok()) return status;
  impl_->sockets.Arm(0);
  impl_->Publish();
  return absl::OkStatus();
}

void Worker::Impl::OnAccept(const Completion& completion) {
  std::optional<Newcomer> newcomer = sockets.Accepted(completion);
  if (!newcomer || Admit(*newcomer)) return;
  newcomer->listener->owner->Ref();
  waiting.push_back(*newcomer);
}

// False: later.
bool Worker::Impl::Admit(Newcomer& newcomer) {
  Session* session = nullptr;
  const Reception reception = Receive(ctx, newcomer, session);
  // An accept may be faster than its cancellation, and come after all were ended.
  if (session != nullptr && ending != EndReason::kNone) {
    EndByGateway(ctx, *session, ending, ending != EndReason::kStopped);
  }
  return reception != Reception::kLater;
}

void Worker::Impl::AdmitWaiting() {
  std::erase_if(waiting, [this](Newcomer& newcomer) {
    const bool done = Admit(newcomer);
    if (done) newcomer.listener->owner->Unref();
    return done;
  });
}

// What each listener of the newest configuration may have of the table.
void Worker::Impl::ShareOut() {
  std::vector<PlaceShare> shares;
  for (uint32_t i = 0; i < config->config().listeners.size(); ++i) {
    const WorkerListener& listener = config->listener(i);
    if (shares.size() <= listener.id) shares.resize(size_t{listener.id} + 1);
    const ListenerLimits& limits = listener.config->limits;
    shares[listener.id] = {.reserved = limits.reserved_sessions, .most = limits.most_sessions};
  }
  ctx.places.SetShares(shares);
  NoteCaps(ctx);
}

void Worker::Impl::HandleRequests(uint32_t requests) {
  if ((requests & (kStopAccepting | kStopNow)) != 0 && !stopping) {
    stopping = true;
    sockets.StopAll();
  }
  if ((requests & kCloseRemoved) != 0) sockets.StopRemoved();
  if ((requests & (kEndSessions | kStopNow)) == 0) return;
  const bool polite = (requests & kStopNow) == 0;
  ending = polite ? EndReason::kDrainDeadline : EndReason::kStopped;
  for (uint32_t slot = 0; slot < ctx.table.made(); ++slot) {
    Session& session = ctx.table.At(slot);
    EndByGateway(ctx, session, ending, polite);
  }
}

// Some of the sessions in each turn, until all were looked at.
void Worker::Impl::EndDenied() {
  const uint32_t end = std::min(ctx.table.made(), deny_look + kDenyLooksPerTurn);
  for (; deny_look < end; ++deny_look) {
    Session& session = ctx.table.At(deny_look);
    if (!session.free() && IsDenied(ctx, *session.listener, session.peer)) {
      if (session.use == SlotUse::kSession && !IsOver(IdOf(session.stage)))
        NoteRefusal(ctx, session);
      EndByGateway(ctx, session, EndReason::kDenied, /*polite=*/false);
    }
  }
  if (deny_look >= ctx.table.made()) deny_look = ctx.table.size();  // all were looked at
}

void Worker::Impl::Publish() {
  Shard& shard = *ctx.shard;
  shard.AddWorker(WorkerFamily::kCompletions, 0, static_cast<int64_t>(completions.size()));
  shard.AddWorker(WorkerFamily::kTurns);
  shard.SetWorker(WorkerFamily::kBuffersOut,
                  ring->BuffersOut() + ctx.BlocksOut() + ctx.StashesOut());
  shard.SetWorker(WorkerFamily::kQueuedOctets, ctx.OctetsOut());
  shard.SetWorker(WorkerFamily::kDescriptors, ring->DescriptorsInUse());
  const auto set_places = [&shard](PlaceState state, uint32_t places) {
    shard.SetWorker(WorkerFamily::kPlaces, places, static_cast<size_t>(state));
  };
  set_places(PlaceState::kUsed, ctx.places.used());
  set_places(PlaceState::kFree, ctx.places.shared_free());
  set_places(PlaceState::kReserved, ctx.places.reserved_free());
  const auto busy =
      std::chrono::duration_cast<std::chrono::microseconds>(MonotonicNow() - ctx.now).count();
  shard.AddWorker(WorkerFamily::kLoopMicros, 0, busy);
}

MonoTime Worker::Impl::Deadline(bool wait) const {
  if (!wait || !ctx.again.empty() || AdmissionOpen(ctx) || OvertimeIsDue(ctx) ||
      sockets.close_pending() || deny_look < ctx.table.size() ||
      (!waiting.empty() && ctx.table.MayLetLeave())) {
    return MonoTime{};
  }
  return std::min({ctx.timers.Next(), sockets.retry_at(), KeepShareAt(ctx)});
}

bool Worker::Turn(bool wait) {
  Impl& impl = *impl_;
  WorkerContext& ctx = impl.ctx;
  impl.completions.clear();
  impl.ring->Turn(impl.Deadline(wait), impl.completions);
  ctx.now = MonotonicNow();
  for (const uint32_t slot : ctx.again) ctx.Ready(ctx.table.At(slot));
  ctx.again.clear();
  const uint32_t requests = requests_.load(std::memory_order_relaxed) == 0
                                ? 0
                                : requests_.exchange(0, std::memory_order_acquire);
  // Before newcomers: who comes after the log has told of it is refused.
  if ((requests & kMemory) != 0) {
    ctx.memory_short = refuse_for_memory_.load(std::memory_order_relaxed);
  }
  TakeMemoryOrder();
  impl.AdmitWaiting();
  for (const Completion& completion : impl.completions) {
    if (completion.tag.op == Op::kAccept) {
      impl.OnAccept(completion);
    } else if (completion.tag.op != Op::kWake) {
      Record(ctx, completion);
    }
  }
  if ((requests & kReserve) != 0) TakeReservation();
  if ((requests & kApply) != 0) TakeConfig();
  if ((requests & kDeny) != 0) TakeDeny();
  if ((requests & kRelieve) != 0) {
    const MemoryOrder order = MemoryOrdered();
    TrimBlocks(ctx);  // of those that ended before
    RelieveMemory(ctx, {.octets = order.octets,
                        .in_kernel = order.in_kernel,
                        .stuck = order.urgent ? StuckFor::kSecond : StuckFor::kLong});
  }
  impl.HandleRequests(requests);
  impl.EndDenied();
  impl.expired.clear();
  ctx.timers.Expire(ctx.now, impl.expired);
  for (const uint32_t slot : impl.expired) {
    Session& session = ctx.table.At(slot);
    session.timer = kNever;
    ctx.Ready(session);
  }
  WakeOvertime(ctx);
  KeepShare(ctx);
  PumpReady(ctx);
  WakeStarved(ctx);
  TrimMemory(ctx);
  impl.sockets.Arm(impl.waiting.size());
  impl.sockets.CloseStopped();
  if (!impl.old.empty()) Retire();
  impl.Publish();
  sessions_.store(ctx.table.in_use(), std::memory_order_relaxed);
  queued_octets_.store(ctx.OctetsOut(), std::memory_order_relaxed);
  holds_relays_.store(ctx.held, std::memory_order_relaxed);
  AskToLook();
  const bool over = impl.stopping && impl.sockets.none();
  if (over) accepting_stopped_.store(true, std::memory_order_release);
  return !(over && ctx.table.in_use() == 0 && impl.waiting.empty());
}

void Worker::TakeReservation() {
  const MutexLock lock(mutex_);
  const std::optional<std::vector<NewSocket>> wanted = std::exchange(to_reserve_, std::nullopt);
  if (!wanted) return;  // asked twice, and the first look found the second's already
  impl_->sockets.GiveUpHeld();
  reserved_ = impl_->sockets.Hold(*wanted);
}

void Worker::TakeConfig() {
  std::unique_ptr<WorkerConfig> next;
  {
    const MutexLock lock(mutex_);
    next = std::move(next_config_);
  }
  impl_->sockets.Switch(*next);
  impl_->old.push_back(std::exchange(impl_->config, std::move(next)));
  impl_->sockets.ServeHeld(*impl_->config);
  impl_->ShareOut();
  removed_sockets_.store(impl_->sockets.removed(), std::memory_order_release);
  applied_generation_.store(impl_->config->generation(), std::memory_order_release);
}

void Worker::TakeDeny() {
  const MutexLock lock(mutex_);
  impl_->ctx.deny = next_deny_;
  if (end_denied_) impl_->deny_look = 0;
}

void Worker::Deny(std::shared_ptr<const DenyLists> deny, bool end_established) {
  {
    const MutexLock lock(mutex_);
    next_deny_ = std::move(deny);
    end_denied_ = end_established;
  }
  Ask(kDeny);
}

void Worker::Relieve(const MemoryOrder& order) {
  {
    const MutexLock lock(memory_mutex_);
    memory_order_ = order;
  }
  looks_.fetch_add(1, std::memory_order_release);
  const bool changes =
      refuse_for_memory_.exchange(order.refuse, std::memory_order_relaxed) != order.refuse;
  const bool relieve = order.octets > 0;
  // Otherwise the worker learns of its share in its next turn.
  if (!relieve && !changes && !holds_relays_.load(std::memory_order_relaxed)) return;
  Ask(kShare | (relieve ? kRelieve : 0) | (changes ? kMemory : 0));
}

Worker::MemoryOrder Worker::MemoryOrdered() {
  const MutexLock lock(memory_mutex_);
  return memory_order_;
}

void Worker::TakeMemoryOrder() {
  const uint32_t looks = looks_.load(std::memory_order_acquire);
  if (looks == taken_looks_) return;
  taken_looks_ = looks;
  asked_to_look_ = false;
  impl_->ctx.share = MemoryOrdered().share;
  impl_->ctx.sent = 0;
}

// Long before the share is used up, so that nobody waits where memory suffices.
void Worker::AskToLook() {
  const WorkerContext& ctx = impl_->ctx;
  const bool soon = ctx.sent >= ctx.share.moved / 2 || ctx.OctetsOut() >= ctx.share.hold;
  if (asked_to_look_ || !soon || look_fd_ < 0) return;
  asked_to_look_ = true;
  eventfd_write(look_fd_, 1);
}

// After a reload: what the main thread waits for, sockets and configurations.
void Worker::Retire() {
  removed_sockets_.store(impl_->sockets.removed(), std::memory_order_release);
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
