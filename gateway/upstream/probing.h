// One probe of one server: a connection from its start to its polite end. Never
// waits; the prober's thread calls it when poll says so.
//
// Not for: when to probe whom (prober.h).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/upstream/prober.h"
#include "gateway/upstream/upstream.h"

namespace starling {

class Probing {
 public:
  using Clock = std::chrono::steady_clock;

  // Begins to connect. All three outlive the probe.
  Probing(const Server& server, const BackendConfig& backend, const ProbePlan& plan,
          Clock::time_point now, Clock::time_point deadline);
  ~Probing();
  Probing(const Probing&) = delete;
  Probing& operator=(const Probing&) = delete;

  // What to poll for, and until when at most; -1: only time matters (a Unix
  // socket that is not connected would say POLLHUP for ever).
  int fd() const { return retry_at_ == Clock::time_point::max() ? fd_ : -1; }
  short events() const;
  Clock::time_point wake_at() const;

  // After poll: something has happened, or wake_at() has passed.
  void Turn(short revents, Clock::time_point now);

  // Known before the probe is over: whether the server lives, and what it offers
  // if it was asked.
  std::optional<bool> up() const { return up_; }
  std::optional<uint64_t> capabilities() const { return capabilities_; }
  bool over() const { return phase_ == Phase::kOver; }

 private:
  enum class Phase : uint8_t { kConnecting, kTalking, kLeaving, kOver };

  bool greets() const { return plan_.protocol != nullptr && plan_.protocol->server_first; }
  void Connect(Clock::time_point now);
  void Connected(Clock::time_point now);
  void Receive(Clock::time_point now);
  void Understand(Clock::time_point now);
  void Flush(Clock::time_point now);
  void Alive(Clock::time_point now);  // the verdict is "up": say goodbye
  void Dead();                        // the verdict is "down", unless it was "up" already

  const Server& server_;
  const BackendConfig& backend_;
  const ProbePlan& plan_;
  Clock::time_point deadline_;
  Clock::time_point retry_at_ = Clock::time_point::max();  // of a full backlog
  int fd_ = -1;
  Phase phase_ = Phase::kConnecting;
  std::optional<bool> up_;
  std::optional<uint64_t> capabilities_;
  Probe* probe_ = nullptr;
  std::vector<uint8_t> in_;
  std::vector<uint8_t> out_;
  alignas(std::max_align_t) std::array<std::byte, kNegotiatorSize> storage_;
};

}  // namespace starling
