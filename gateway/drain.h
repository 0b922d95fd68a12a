// The drain: not ready, then no longer accepting without losing what is in a
// backlog, then waiting for the sessions that are left, then their last words.
// Driven by the main thread, step by step; never blocks.
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/departure.h"
#include "gateway/io/clock.h"
#include "gateway/runtime.h"

namespace starling {

class Drain {
 public:
  // `runtime` outlives the drain; its listening sockets are closed by it.
  explicit Drain(Runtime& runtime);

  void Step();

 private:
  enum class Stage : uint8_t {
    kDelay,      // not ready, still accepting
    kDeparture,  // new clients go elsewhere; those under way are accepted
    kSessions,   // they may go on
    kLastWords,  // the deadline has come
  };

  Runtime& runtime_;
  const GlobalLimits limits_;
  std::optional<Departure> departure_;
  Stage stage_ = Stage::kDelay;
  MonoTime begun_;
};

}  // namespace starling
