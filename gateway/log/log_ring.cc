#include "gateway/log/log_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>

namespace starling {

LogWaker::LogWaker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

LogWaker::~LogWaker() {
  if (fd_ >= 0) close(fd_);
}

void LogWaker::Signal() { eventfd_write(fd_, 1); }

void LogWaker::EndSleep() {
  state_.store(State::kAwake, std::memory_order_seq_cst);
  eventfd_t count;
  eventfd_read(fd_, &count);
}

LogRing::LogRing(size_t capacity, LogWaker* waker)
    : mask_(std::bit_ceil(capacity < 2 ? size_t{2} : capacity) - 1),
      slots_(std::make_unique<SessionRecord[]>(mask_ + 1)),
      waker_(waker) {}

bool LogRing::FillsUp(uint64_t tail) {
  const uint64_t half = (mask_ + 1) / 2;
  if (tail - seen_head_ < half) return false;
  seen_head_ = head_.load(std::memory_order_acquire);
  return tail - seen_head_ >= half;
}

bool LogRing::Push(const SessionRecord& record) {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (tail - seen_head_ > mask_) {
    seen_head_ = head_.load(std::memory_order_acquire);
    if (tail - seen_head_ > mask_) return false;
  }
  slots_[tail & mask_] = record;
  // Sequentially consistent, as is the consumer's "asleep": one of the two sees
  // what the other has written, so no record waits for the next one.
  tail_.store(tail + 1, std::memory_order_seq_cst);
  if (waker_ != nullptr) waker_->Wake(FillsUp(tail + 1));
  return true;
}

bool LogRing::Pop(SessionRecord& record) {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  if (head == seen_tail_) {
    seen_tail_ = tail_.load(std::memory_order_acquire);
    if (head == seen_tail_) return false;
  }
  record = slots_[head & mask_];
  head_.store(head + 1, std::memory_order_release);
  return true;
}

bool LogRing::Empty() const {
  return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_seq_cst);
}

}  // namespace starling
