// How promptly a server serves sessions, as far as they have found out. A probe cannot tell: some
// servers are well for probes only, and some are merely slower than the limit of a try.
//
// Not for: whether the server is up (ServerState::health), or what a session does about a slow
// one (session/try_limit.h).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "gateway/io/clock.h"

namespace starling {

// What a session waits for at a server, with a limit each.
enum class Wait : uint8_t { kReach, kGreeting };  // kReach: the connect, and TLS if there is one

// The better ones come first.
enum class Pace : uint8_t {
  kPrompt,
  kLate,  // the latest session that waited beyond the limit of a try got its answer
  kMute,  // no session has got an answer since one met that limit
};

// What a session may still wait.
struct TimeLeft {
  uint32_t reach_ms = 0;
  uint32_t greeting_ms = 0;
};

class ServerPace {
 public:
  // A session has met the limit of its try. It goes on waiting, or elsewhere. `trial_at`: until
  // then no session need find out whether the server is prompt again.
  void NoteSlow(Wait wait, MonoTime trial_at) {
    if (times(wait).load(kRelaxed) != 0) return;
    trial_at_.store(trial_at, kRelaxed);
    times(wait).store(kNoAnswer, kRelaxed);
  }
  // A session has waited in vain for as long as it may.
  void NoteMute(Wait wait, MonoTime trial_at) {
    NoteSlow(wait, trial_at);
    times(wait).store(kNoAnswer, kRelaxed);
  }
  // `late_ms`: how long a session that had met the limit has waited; 0: it had not.
  void NoteAnswer(Wait wait, uint32_t late_ms) {
    // Nearly always nothing changes. Not writing spares the cache line that all workers read.
    if (times(wait).load(kRelaxed) != late_ms) times(wait).store(late_ms, kRelaxed);
  }

  Pace pace() const {
    const uint32_t longest = std::max(reach_ms_.load(kRelaxed), greeting_ms_.load(kRelaxed));
    if (longest == 0) return Pace::kPrompt;
    return longest == kNoAnswer ? Pace::kMute : Pace::kLate;
  }
  // Whether a session gets its answer in time, if the server is as it was.
  bool Fits(const TimeLeft& left) const {
    return reach_ms_.load(kRelaxed) <= left.reach_ms &&
           greeting_ms_.load(kRelaxed) <= left.greeting_ms;
  }

  // One session at a time tries a server that is not prompt, though another is.
  bool IsTrialDue(MonoTime now) const { return trial_at_.load(kRelaxed) <= now; }
  void TakeTrial(MonoTime next) { trial_at_.store(next, kRelaxed); }

  void Forget() {
    reach_ms_.store(0, kRelaxed);
    greeting_ms_.store(0, kRelaxed);
    trial_at_.store(MonoTime::min(), kRelaxed);
  }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  static constexpr uint32_t kNoAnswer = UINT32_MAX;

  std::atomic<uint32_t>& times(Wait wait) {
    return wait == Wait::kReach ? reach_ms_ : greeting_ms_;
  }

  // 0: the answer came within the limit of a try.
  std::atomic<uint32_t> reach_ms_{0};
  std::atomic<uint32_t> greeting_ms_{0};
  std::atomic<MonoTime> trial_at_{MonoTime::min()};
};

}  // namespace starling
