// Giving up addresses without losing who is on the way to them: who connects from
// now on goes elsewhere, those under way are accepted until nothing comes any more,
// then the workers let go and the sockets are closed. For a drain (all addresses)
// and a reload (those that the new configuration has no more). Driven by the main
// thread, step by step; never blocks.
//
// Not for: what becomes of sessions (drain.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/worker/listener.h"

namespace starling {

class Departure {
 public:
  struct Steps {
    std::function<uint64_t()> accepted;  // connections so far
    std::function<void()> let_go;        // asks the workers
    std::function<bool()> gone;          // they have
    std::function<void(const std::string& line)> say;
  };

  // `groups` outlive it, and are empty in the end.
  Departure(std::vector<ListenGroup>& groups, Steps steps);

  // True when it is over.
  bool Step(MonoTime now);

 private:
  enum class Stage : uint8_t { kSteer, kQuiet, kLetGo, kOver };

  bool Quiet(MonoTime now);

  std::vector<ListenGroup>& groups_;
  const Steps steps_;
  Handover handover_;
  Stage stage_ = Stage::kSteer;
  MonoTime since_{};
  MonoTime quiet_since_{};
  uint64_t accepted_ = 0;
};

}  // namespace starling
