// Submits, waits, and translates the kernel's completions into the ring's.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "gateway/io/uring/uring.h"
#include "gateway/io/uring/uring_compat.h"

namespace starling::uring {
namespace {

// After this many rounds of steps inside operations Turn() returns without a completion,
// so that its caller can look at the clock.
constexpr int kMaxRounds = 64;
// After a turn with this many completions, the next one waits a little for a batch.
constexpr uint32_t kFlood = 32;
constexpr uint32_t kFloodBatch = 8;
constexpr uint32_t kFloodMicros = 20;

}  // namespace

int UringRing::Enter(uint32_t wait_for, uint32_t flags, const void* argument, size_t size) {
  io_uring_smp_store_release(queue_.sq.ktail, queue_.sq.sqe_tail);
  const uint32_t ready = queue_.sq.sqe_tail - io_uring_smp_load_acquire(queue_.sq.khead);
  const bool registered = ring_index_ >= 0;
  if (registered) flags |= IORING_ENTER_REGISTERED_RING;
  ++enters_;
  const int result =
      io_uring_enter2(registered ? ring_index_ : queue_.ring_fd, ready, wait_for, flags,
                      static_cast<sigset_t*>(const_cast<void*>(argument)), size);
  return result == -1 ? -errno : result;
}

// Submits and leaves the completions in the queue.
void UringRing::Flush() {
  const int result = Enter(0, 0, nullptr, 0);
  if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
    Die("submitting", -result);
  }
}

void UringRing::SubmitAndWait(bool wait, MonoTime deadline) {
  const MonoTime now = wait ? MonotonicNow() : deadline;
  GeteventsArg argument{};
  __kernel_timespec timeout{};
  uint32_t wait_for = 0;
  if (deadline > now) {
    wait_for = 1;
    if (deadline != kNever) {
      const int64_t nanos = (deadline - now).count();
      timeout.tv_sec = nanos / 1'000'000'000;
      timeout.tv_nsec = nanos % 1'000'000'000;
      argument.timeout = reinterpret_cast<uint64_t>(&timeout);
    }
    if (features_.min_wait && last_batch_ >= kFlood) {
      wait_for = kFloodBatch;
      argument.min_wait_usec = kFloodMicros;
      ++min_waits_;
    }
  }
  const int result =
      Enter(wait_for, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof(argument));
  if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
    Die("waiting", -result);
  }
}

void UringRing::Turn(MonoTime deadline, std::vector<Completion>& out) {
  const size_t before = out.size();
  out.insert(out.end(), at_once_.begin(), at_once_.end());
  at_once_.clear();
  for (int round = 0; round < kMaxRounds; ++round) {
    const bool ready = *queue_.cq.khead != io_uring_smp_load_acquire(queue_.cq.ktail);
    SubmitAndWait(!ready && out.size() == before, deadline);
    Drain(out);
    if (out.size() > before || MonotonicNow() >= deadline) break;
  }
  last_batch_ = static_cast<uint32_t>(out.size() - before);
}

// Handles all completions, including those that did not fit into the queue.
void UringRing::Drain(std::vector<Completion>& out) {
  constexpr uint32_t kBatch = 64;
  std::array<io_uring_cqe, kBatch> batch;
  // The limit ends the turn even if operations keep completing at once.
  for (uint32_t left = 4 * queue_.cq.ring_entries; left > 0;) {
    const uint32_t head = *queue_.cq.khead;
    const uint32_t count =
        std::min({io_uring_smp_load_acquire(queue_.cq.ktail) - head, kBatch, left});
    if (count == 0) {
      if (!(io_uring_smp_load_acquire(queue_.sq.kflags) & IORING_SQ_CQ_OVERFLOW)) return;
      ++overflows_;
      SubmitAndWait(false, MonoTime::min());
      --left;
      continue;
    }
    // Copies completions first, because handling one may submit, which needs room in the
    // queue.
    for (uint32_t i = 0; i < count; ++i) {
      batch[i] = queue_.cq.cqes[(head + i) & queue_.cq.ring_mask];
    }
    io_uring_cq_advance(&queue_, count);
    for (uint32_t i = 0; i < count; ++i) Handle(batch[i], out);
    left -= count;
  }
}

void UringRing::Handle(const io_uring_cqe& cqe, std::vector<Completion>& out) {
  if (cqe.user_data >> 63) {
    HandleStep(static_cast<Step>(cqe.user_data >> 56), static_cast<uint32_t>(cqe.user_data),
               cqe.res, out);
    return;
  }
  const Tag tag = Unpack(cqe.user_data);
  switch (tag.op) {
    case Op::kRecv:
      Received(tag, cqe, out);
      return;
    case Op::kSend:
      Ended(kSend, {.tag = tag, .result = cqe.res}, out);
      return;
    case Op::kPeek:
      Ended(kPeek, {.tag = tag, .result = cqe.res}, out);
      return;
    case Op::kShutdown:
      Ended(kShutdown, {.tag = tag, .result = cqe.res}, out);
      return;
    case Op::kCancel:
      CancelSent(tag, out);
      return;
    case Op::kClose:
      Closed(tag, cqe.res, out);
      return;
    case Op::kNone:
    case Op::kAccept:
    case Op::kDataAccept:
    case Op::kOpen:
    case Op::kWake:
    case Op::kCount:
      Die("a completion of nothing that was asked for", EPROTO);
  }
}

void UringRing::HandleStep(Step step, uint32_t index, int32_t result,
                           std::vector<Completion>& out) {
  switch (step) {
    case Step::kOpenSocket:
    case Step::kOpenOption:
    case Step::kOpenConnect:
    case Step::kOpenHeader:
    case Step::kOpenLocal:
    case Step::kOpenClose:
      OpenStep(step, static_cast<Fd>(index), result, out);
      return;
    case Step::kAccept:
    case Step::kAcceptLocal:
    case Step::kAcceptTable:
      AcceptStep(step, index, result, out);
      return;
    case Step::kShutdown:
      ShutdownStep(index, result, out);
      return;
    case Step::kUnseen:
      return;
    case Step::kListenerTable:
      if (result != 1) Die("a listening socket's entry", -result);
      close(listeners_[index].os_fd);
      listeners_[index].os_fd = -1;
      return;
    case Step::kListenerClose:
      listeners_[index].used = false;
      return;
    case Step::kWake:
      RequestWake();
      out.push_back({.tag = {.op = Op::kWake}});
      return;
  }
}

// When the last operation of a side ends, completes the cancel that waits for it.
void UringRing::Ended(Armed kind, const Completion& completion, std::vector<Completion>& out) {
  out.push_back(completion);
  SideState& state = StateOf(completion.tag);
  state.armed &= ~kind;
  if (state.armed != 0 || !state.cancel_held) return;
  state.cancel_held = false;
  auto held = std::find_if(held_.begin(), held_.end(),
                           [this, &state](Tag tag) { return &StateOf(tag) == &state; });
  out.push_back({.tag = *held});
  *held = held_.back();
  held_.pop_back();
}

void UringRing::Received(Tag tag, const io_uring_cqe& cqe, std::vector<Completion>& out) {
  Completion completion{.tag = tag, .result = cqe.res};
  if (cqe.flags & IORING_CQE_F_BUFFER) {
    const BufferId id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    buffers_[id / kIdsPerGroup].Taken();
    if (cqe.res > 0) {
      completion.buffer = id;
      completion.more = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    } else {
      ReturnBuffer(id);
    }
  }
  Ended(kRecv, completion, out);
}

}  // namespace starling::uring
