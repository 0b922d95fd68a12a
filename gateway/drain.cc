#include "gateway/drain.h"

#include <algorithm>
#include <string>

namespace starling {
namespace {

// How long nothing may have been accepted before the sockets are given up, and
// for how long that is waited for at most (a SYN under way is there in less).
constexpr std::chrono::milliseconds kQuiet{300};
constexpr std::chrono::milliseconds kQuietAtMost{3000};

}  // namespace

Drain::Drain(const Config& config, const std::vector<std::unique_ptr<Worker>>& workers,
             const std::vector<std::unique_ptr<Shard>>& shards, std::vector<ListenGroup>& groups,
             Log& log)
    : config_(config), workers_(workers), shards_(shards), handover_(groups), log_(log) {
  begun_ = Clock::now();
  Enter(Stage::kDelay);
  log_.Say(Log::Level::kInfo, "draining",
           {{"delay_ms", std::to_string(config.limits.drain_delay_ms)},
            {"deadline_ms", std::to_string(config.limits.drain_ms)}});
}

void Drain::Enter(Stage stage) {
  stage_ = stage;
  since_ = quiet_since_ = Clock::now();
}

uint64_t Drain::Accepted() const {
  uint64_t sum = 0;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (ListenerId id = 0; id < config_.listeners.size(); ++id) {
      sum += shard->Get(Family::kAccepted, id);
    }
  }
  return sum;
}

bool Drain::Quiet() {
  const uint64_t accepted = Accepted();
  const Clock::time_point now = Clock::now();
  if (accepted != accepted_) {
    accepted_ = accepted;
    quiet_since_ = now;
  }
  return now - quiet_since_ >= kQuiet || now - since_ >= kQuietAtMost;
}

void Drain::Step() {
  const Clock::time_point now = Clock::now();
  switch (stage_) {
    case Stage::kDelay:
      if (now - since_ < std::chrono::milliseconds(config_.limits.drain_delay_ms)) return;
      for (const std::string& line : handover_.Steer()) {
        log_.Say(Log::Level::kInfo, "handing over", {{"address", line}});
      }
      accepted_ = Accepted();
      Enter(Stage::kQuiet);
      return;
    case Stage::kQuiet:
      if (!Quiet()) return;
      for (const std::unique_ptr<Worker>& worker : workers_) worker->StopAccepting();
      Enter(Stage::kLetGo);
      return;
    case Stage::kLetGo:
      if (!std::all_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker->accepting_stopped(); })) {
        return;
      }
      handover_.Close();
      Enter(Stage::kSessions);
      return;
    case Stage::kSessions:
      if (now - begun_ < std::chrono::milliseconds(config_.limits.drain_ms)) return;
      for (const std::unique_ptr<Worker>& worker : workers_) worker->EndSessions();
      Enter(Stage::kLastWords);
      return;
    case Stage::kLastWords:
      return;
  }
}

}  // namespace starling
