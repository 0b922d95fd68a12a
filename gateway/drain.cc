#include "gateway/drain.h"

#include <algorithm>
#include <string>

namespace starling {

Drain::Drain(Runtime& runtime)
    : runtime_(runtime), limits_(runtime.config->limits), begun_(MonotonicNow()) {
  runtime.log->Say(Log::Level::kInfo, "draining",
                   {{"delay_ms", std::to_string(limits_.drain_delay_ms)},
                    {"deadline_ms", std::to_string(limits_.drain_ms)}});
}

void Drain::Step() {
  const MonoTime now = MonotonicNow();
  switch (stage_) {
    case Stage::kDelay: {
      if (now - begun_ < std::chrono::milliseconds(limits_.drain_delay_ms)) return;
      departure_.emplace(runtime_.groups,
                         Departure::Steps{.accepted = [this] { return runtime_.Accepted(); },
                                          .let_go =
                                              [this] {
                                                for (const auto& worker : runtime_.workers)
                                                  worker->StopAccepting();
                                              },
                                          .gone =
                                              [this] {
                                                return std::ranges::all_of(
                                                    runtime_.workers, [](const auto& worker) {
                                                      return worker->accepting_stopped();
                                                    });
                                              },
                                          .say =
                                              [this](const std::string& line) {
                                                runtime_.log->Say(Log::Level::kInfo, "handing over",
                                                                  {{"address", line}});
                                              }});
      stage_ = Stage::kDeparture;
      return;
    }
    case Stage::kDeparture:
      if (departure_->Step(now)) stage_ = Stage::kSessions;
      return;
    case Stage::kSessions:
      if (now - begun_ < std::chrono::milliseconds(limits_.drain_ms)) return;
      for (const auto& worker : runtime_.workers) worker->EndSessions();
      stage_ = Stage::kLastWords;
      return;
    case Stage::kLastWords:
      return;
  }
}

}  // namespace starling
