#include "tests/sim/run_loop.h"

#include <string>
#include <utility>

namespace starling::sim {
namespace {

// Far more than any run needs; only a worker that spins reaches it.
constexpr uint64_t kMostTurns = 400'000;

}  // namespace

void RunLoop::At(uint64_t us, const char* what, std::function<void()> action) {
  world_.After(std::chrono::microseconds(us), [this, what, action = std::move(action)] {
    world_.Trace(what);
    action();
  });
}

void RunLoop::ReloadAt(uint64_t us) {
  At(us, "reload", [this] { gateway_.Reload(); });
}

void RunLoop::DrainAt(uint64_t stop_us, uint64_t end_us, uint64_t stop_now_us) {
  At(stop_us, "stop accepting", [this] { gateway_.worker().StopAccepting(); });
  At(end_us, "end sessions", [this] { gateway_.worker().EndSessions(); });
  At(stop_now_us, "stop now", [this] { gateway_.worker().StopNow(); });
}

void RunLoop::Run() {
  while (going_on_ && world_.failures().empty()) Turn();
  // Lets backends and clients see the last events.
  const MonoTime end = world_.now() + std::chrono::minutes(1);
  while (world_.failures().empty() && world_.RunNext(end)) {
  }
  if (world_.failures().empty() && !clients_done()) {
    world_.Fail("the gateway is gone and a client waits for it");
  }
  if (!world_.failures().empty()) return;
  gateway_.CheckNothingLeft();
  CheckBooks();
}

void RunLoop::Turn() {
  going_on_ = gateway_.Turn();
  after_turn();
  TakeRecords();
  CheckLimits();
  const bool done = clients_done() && gateway_.worker().sessions() == 0;
  if (world_.TakeStuck() && !done) world_.Fail("sessions wait for what cannot come");
  if (done && !std::exchange(stopped_, true)) gateway_.worker().StopAccepting();
  if (++turns_ > kMostTurns) world_.Fail("the worker spins");
}

void RunLoop::TakeRecords() {
  for (const SessionRecord& record : gateway_.TakeRecords()) {
    if (record.event != LogEvent::kEnded) continue;
    world_.Trace("ended", static_cast<int64_t>(record.session), static_cast<int64_t>(record.reason),
                 static_cast<int64_t>(record.downstream_in));
    ++reasons_[static_cast<size_t>(record.reason)];
    logged_[0] += record.downstream_in;
    logged_[1] += record.downstream_out;
    logged_[2] += record.upstream_in;
    logged_[3] += record.upstream_out;
    on_end(record);
  }
}

void RunLoop::CheckLimits() {
  const GlobalLimits& limits = config_.limits;
  if (gateway_.worker().sessions() > SlotsOf(limits)) {
    world_.Fail("more sessions than the table has slots");
  }
  const auto places = [this](PlaceState state) {
    return gateway_.shard().GetWorker(WorkerFamily::kPlaces, static_cast<size_t>(state));
  };
  const uint64_t reserved_or_free = places(PlaceState::kFree) + places(PlaceState::kReserved);
  if (places(PlaceState::kUsed) > limits.sessions ||
      (places(PlaceState::kFree) > 0 &&
       places(PlaceState::kUsed) + reserved_or_free != limits.sessions)) {
    world_.Fail("more places than the table has");
  }
  const uint64_t buffers = gateway_.shard().GetWorker(WorkerFamily::kBuffersOut);
  // Small blocks are as many as the sessions can hold, of either size.
  const uint64_t stashes = 2 * uint64_t{kBlocksPerSession} * SlotsOf(limits);
  if (buffers > OutputBuffers(limits) + limits.bulk_buffers + limits.small_buffers +
                    limits.large_buffers + stashes) {
    world_.Fail("more buffers out than there are");
  }
}

void RunLoop::CheckBooks() {
  uint64_t ended = 0;
  for (size_t i = 0; i < kEndReasonCount; ++i) {
    const auto reason = static_cast<EndReason>(i);
    ended += gateway_.Ended(reason);
    if (gateway_.Ended(reason) != reasons_[i]) {
      world_.Fail("counter and log differ about " + std::string(Label(reason)));
    }
  }
  if (ended != gateway_.Accepted()) world_.Fail("accepted and ended sessions differ in number");
  if (gateway_.Ended(EndReason::kNone) != 0) world_.Fail("a session ended without a reason");
  for (size_t i = 0; i < logged_.size(); ++i) {
    if (gateway_.Octets(i) == logged_[i]) continue;
    world_.Fail("counter and log differ about octets in direction " +
                std::string(kDirectionLabels[i]));
  }
}

}  // namespace starling::sim
