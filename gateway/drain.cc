#include "gateway/drain.h"

#include <algorithm>
#include <string>

namespace starling {

Drain::Drain(GatewayState& state)
    : state_(state), limits_(state.config->limits), begun_(MonotonicNow()) {
  state.Say(LogMessage::kDraining, {{"delay_ms", std::to_string(limits_.drain_delay_ms)},
                                    {"deadline_ms", std::to_string(limits_.drain_ms)}});
}

void Drain::Step() {
  const MonoTime now = MonotonicNow();
  switch (stage_) {
    case Stage::kDelay: {
      if (now - begun_ < std::chrono::milliseconds(limits_.drain_delay_ms)) return;
      listener_drain_.emplace(
          state_.groups, ListenerDrain::Steps{.accepted = [this] { return state_.Accepted(); },
                                              .stop_accepting =
                                                  [this] {
                                                    for (const auto& worker : state_.workers)
                                                      worker->StopAccepting();
                                                  },
                                              .stopped =
                                                  [this] {
                                                    return std::ranges::all_of(
                                                        state_.workers, [](const auto& worker) {
                                                          return worker->accepting_stopped();
                                                        });
                                                  },
                                              .say =
                                                  [this](const ListenerHandoff::Found& found) {
                                                    state_.Say(LogMessage::kAddressClosing,
                                                               {{"address", found.address},
                                                                {"successor", found.successor}});
                                                  }});
      stage_ = Stage::kListeners;
      return;
    }
    case Stage::kListeners:
      if (listener_drain_->Step(now)) stage_ = Stage::kSessions;
      return;
    case Stage::kSessions:
      if (now - begun_ < std::chrono::milliseconds(limits_.drain_ms)) return;
      for (const auto& worker : state_.workers) worker->EndSessions();
      stage_ = Stage::kLastWords;
      return;
    case Stage::kLastWords:
      return;
  }
}

}  // namespace starling
