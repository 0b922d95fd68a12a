#include "gateway/listener_drain.h"

#include <utility>

namespace starling {
namespace {

// How long nothing may have been accepted before the sockets are given up, and
// for how long that is waited for at most (a SYN under way is there in less).
constexpr std::chrono::milliseconds kQuiet{300};
constexpr std::chrono::milliseconds kQuietAtMost{3000};

}  // namespace

ListenerDrain::ListenerDrain(std::vector<ListenGroup>& groups, Steps steps)
    : groups_(groups), steps_(std::move(steps)), handoff_(groups) {}

bool ListenerDrain::Quiet(MonoTime now) {
  const uint64_t accepted = steps_.accepted();
  if (accepted != accepted_) {
    accepted_ = accepted;
    quiet_since_ = now;
  }
  return now - quiet_since_ >= kQuiet || now - since_ >= kQuietAtMost;
}

bool ListenerDrain::Step(MonoTime now) {
  switch (stage_) {
    case Stage::kSteer:
      for (const ListenerHandoff::Found& found : handoff_.Steer()) steps_.say(found);
      accepted_ = steps_.accepted();
      since_ = quiet_since_ = now;
      stage_ = Stage::kQuiet;
      return false;
    case Stage::kQuiet:
      if (!Quiet(now)) return false;
      steps_.stop_accepting();
      stage_ = Stage::kStopAccepting;
      return false;
    case Stage::kStopAccepting:
      if (!steps_.stopped()) return false;
      handoff_.Close();
      groups_.clear();
      stage_ = Stage::kOver;
      return true;
    case Stage::kOver:
      return true;
  }
  return true;
}

}  // namespace starling
