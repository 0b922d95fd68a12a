// One worker's end of the log: a bounded single-producer single-consumer ring of
// records. Neither side ever waits for the other.
//
// Not for: text and output (log.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gateway/log/record.h"

namespace starling {

// How a producer wakes the one consumer of several rings. The consumer says that
// it is about to sleep, looks once more, and waits for fd(); a producer makes a
// system call only if it finds the consumer asleep. A consumer that has just had
// something to do rests first: it lets records come together for a moment, and only
// a ring that fills up wakes it. Woken for each record, it cost a busy worker on the
// same CPU a tenth of its time.
class LogWaker {
 public:
  LogWaker();
  ~LogWaker();
  LogWaker(const LogWaker&) = delete;
  LogWaker& operator=(const LogWaker&) = delete;

  // Producers, after what they did is visible by a sequentially consistent store.
  // `urgent`: a consumer that rests is woken as well.
  void Wake(bool urgent = false) {
    const State seen = state_.load(std::memory_order_seq_cst);
    if (seen == State::kAwake || (seen == State::kResting && !urgent)) return;
    if (state_.exchange(State::kAwake) != State::kAwake) Signal();
  }
  void Signal();  // without looking; also for the end

  // The consumer only.
  void BeginRest() { state_.store(State::kResting, std::memory_order_seq_cst); }
  void BeginSleep() { state_.store(State::kAsleep, std::memory_order_seq_cst); }
  void EndSleep();  // or rest; forgets signals; rings are to be looked at afterwards
  int fd() const { return fd_; }

 private:
  enum class State : uint8_t { kAwake, kResting, kAsleep };

  std::atomic<State> state_{State::kAwake};
  int fd_;
};

class LogRing {
 public:
  // Holds at least `capacity` records (rounded up to a power of two). `waker`,
  // where there is one, outlives the ring.
  explicit LogRing(size_t capacity, LogWaker* waker = nullptr);
  LogRing(const LogRing&) = delete;
  LogRing& operator=(const LogRing&) = delete;

  // The producer only. False: full, and the record is dropped.
  [[nodiscard]] bool Push(const SessionRecord& record);
  // The consumer only. False: empty.
  [[nodiscard]] bool Pop(SessionRecord& record);
  // The consumer only.
  bool Empty() const;

 private:
  static constexpr size_t kCacheLine = 64;

  // Half full, by what is known of the consumer now.
  bool FillsUp(uint64_t tail);

  const size_t mask_;
  const std::unique_ptr<SessionRecord[]> slots_;
  LogWaker* const waker_;
  // Indices only rise; each side keeps what it last saw of the other's beside its
  // own and looks again only when the ring seems full or empty.
  alignas(kCacheLine) std::atomic<uint64_t> tail_{0};  // next to write; the producer's
  uint64_t seen_head_ = 0;
  alignas(kCacheLine) std::atomic<uint64_t> head_{0};  // next to read; the consumer's
  uint64_t seen_tail_ = 0;
};

}  // namespace starling
