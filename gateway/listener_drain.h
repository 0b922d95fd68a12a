// Closes listening sockets without losing a client on its way to them: new clients are
// steered to a successor, the workers accept those already on their way, then they stop
// accepting, and the sockets are closed. The gateway's drain does this with all
// addresses, a reload with those that the new configuration has no more. Driven by the
// main thread, step by step; never blocks.
//
// Not for: what becomes of sessions (drain.h).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/worker/listen_group.h"

namespace starling {

class ListenerDrain {
 public:
  struct Steps {
    std::function<uint64_t()> accepted;    // connections so far
    std::function<void()> stop_accepting;  // asks the workers
    std::function<bool()> stopped;         // they have
    std::function<void(const ListenerHandoff::Found& found)> say;
  };

  // `groups` outlive it, and are empty in the end.
  ListenerDrain(std::vector<ListenGroup>& groups, Steps steps);

  // True when it is over.
  bool Step(MonoTime now);

 private:
  enum class Stage : uint8_t { kSteer, kQuiet, kStopAccepting, kOver };

  bool Quiet(MonoTime now);

  std::vector<ListenGroup>& groups_;
  const Steps steps_;
  ListenerHandoff handoff_;
  Stage stage_ = Stage::kSteer;
  MonoTime since_{};
  MonoTime quiet_since_{};
  uint64_t accepted_ = 0;
};

}  // namespace starling
