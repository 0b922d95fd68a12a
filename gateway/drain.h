// The drain: not ready, then no longer accepting without losing what is in a
// backlog, then waiting for the sessions that are left, then their last words.
// Driven by the main thread, step by step; never blocks.
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/gateway_state.h"
#include "gateway/io/clock.h"
#include "gateway/listener_drain.h"

namespace starling {

class Drain {
 public:
  // `state` outlives the drain; its listening sockets are closed by it.
  explicit Drain(GatewayState& state);

  void Step();

 private:
  enum class Stage : uint8_t {
    kDelay,      // not ready, still accepting
    kListeners,  // new clients go elsewhere; those under way are accepted
    kSessions,   // they may go on
    kLastWords,  // the deadline has come
  };

  GatewayState& state_;
  const GlobalLimits limits_;
  std::optional<ListenerDrain> listener_drain_;
  Stage stage_ = Stage::kDelay;
  MonoTime begun_;
};

}  // namespace starling
