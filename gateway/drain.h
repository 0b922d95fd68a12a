// The drain: not ready, then no longer accepting without losing what is in a
// backlog, then waiting for the sessions that are left, then their last words.
// Driven by the main thread, step by step; never blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/log/log.h"
#include "gateway/metrics/metrics.h"
#include "gateway/worker/listener.h"
#include "gateway/worker/worker.h"

namespace starling {

class Drain {
 public:
  // All of it outlives the drain; `groups` is emptied by it.
  Drain(const Config& config, const std::vector<std::unique_ptr<Worker>>& workers,
        const std::vector<std::unique_ptr<Shard>>& shards, std::vector<ListenGroup>& groups,
        Log& log);

  void Step();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Stage : uint8_t {
    kDelay,      // not ready, still accepting
    kQuiet,      // new clients go elsewhere; those under way are accepted
    kLetGo,      // the workers give their sockets up
    kSessions,   // they may go on
    kLastWords,  // the deadline has come
  };

  void Enter(Stage stage);
  bool Quiet();
  uint64_t Accepted() const;

  const Config& config_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  const std::vector<std::unique_ptr<Shard>>& shards_;
  Handover handover_;
  Log& log_;
  Stage stage_ = Stage::kDelay;
  Clock::time_point begun_;
  Clock::time_point since_;
  Clock::time_point quiet_since_;
  uint64_t accepted_ = 0;
};

}  // namespace starling
