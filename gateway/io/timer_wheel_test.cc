#include "gateway/io/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace starling {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr MonoTime kStart = MonoTime(nanoseconds(123'456'789));

std::vector<uint32_t> ExpireAt(TimerWheel& wheel, MonoTime now) {
  std::vector<uint32_t> out;
  wheel.Expire(now, out);
  std::sort(out.begin(), out.end());
  return out;
}

using Slots = std::vector<uint32_t>;

TEST(TimerWheelTest, NotJustBeforeButAtTheDeadline) {
  // Deadlines on each level, at its edges, and beyond the wheel's range.
  const int64_t kDelays[] = {1,
                             2,
                             255,
                             256,
                             257,
                             65'535,
                             65'536,
                             65'537,
                             16'777'215,
                             16'777'216,
                             660'000,
                             1'860'000,
                             86'400'000,
                             4'294'967'295,
                             4'294'967'296,
                             20'000'000'000};
  for (int64_t delay : kDelays) {
    SCOPED_TRACE(delay);
    TimerWheel wheel(1, kStart);
    const MonoTime deadline = kStart + milliseconds(delay);
    wheel.Set(0, deadline);
    EXPECT_EQ(wheel.Get(0), deadline);
    EXPECT_EQ(ExpireAt(wheel, deadline - nanoseconds(1)), Slots{});
    EXPECT_LE(wheel.Next(), deadline);
    EXPECT_EQ(ExpireAt(wheel, deadline), Slots{0});
    EXPECT_EQ(wheel.Get(0), kNever);
    EXPECT_EQ(wheel.Next(), kNever);
    EXPECT_EQ(ExpireAt(wheel, deadline + hours(24 * 365)), Slots{});
  }
}

TEST(TimerWheelTest, FractionsAreRoundedUp) {
  TimerWheel wheel(1, kStart);
  wheel.Set(0, kStart + microseconds(10'001));
  EXPECT_EQ(wheel.Get(0), kStart + milliseconds(11));
  EXPECT_EQ(ExpireAt(wheel, kStart + microseconds(10'999)), Slots{});
  EXPECT_EQ(ExpireAt(wheel, kStart + milliseconds(11)), Slots{0});
}

TEST(TimerWheelTest, APastDeadlineComesAtOnce) {
  TimerWheel wheel(3, kStart);
  EXPECT_EQ(ExpireAt(wheel, kStart + milliseconds(500)), Slots{});
  wheel.Set(0, kStart + milliseconds(499));
  wheel.Set(1, kStart - milliseconds(1));
  wheel.Set(2, MonoTime::min());
  EXPECT_LE(wheel.Next(), kStart + milliseconds(500));
  EXPECT_EQ(ExpireAt(wheel, kStart + milliseconds(500)), (Slots{0, 1, 2}));
}

TEST(TimerWheelTest, SetReplacesAndClearForgets) {
  TimerWheel wheel(2, kStart);
  wheel.Set(0, kStart + milliseconds(10));
  wheel.Set(0, kStart + milliseconds(1000));
  wheel.Set(1, kStart + milliseconds(10));
  wheel.Clear(1);
  wheel.Clear(1);
  EXPECT_EQ(wheel.armed(), 1u);
  EXPECT_EQ(ExpireAt(wheel, kStart + milliseconds(999)), Slots{});
  EXPECT_EQ(ExpireAt(wheel, kStart + milliseconds(1000)), Slots{0});
  EXPECT_EQ(wheel.armed(), 0u);
}

// Compares with a plain map: random deadlines on all levels, random steps of time, some
// of them by Next().
TEST(TimerWheelTest, AgreesWithAPlainMap) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    constexpr uint32_t kSlots = 64;
    TimerWheel wheel(kSlots, kStart);
    std::map<uint32_t, MonoTime> model;  // rounded up to whole ticks
    MonoTime now = kStart;
    // Spans from microseconds to months, so that all levels and their edges occur.
    auto span = [&random](int max_bits) {
      return nanoseconds(random() >> (64 - 1 - random() % max_bits));
    };
    for (int step = 0; step < 3000; ++step) {
      const uint32_t slot = random() % kSlots;
      const uint64_t what = random() % 10;
      if (what < 5) {
        const MonoTime deadline = now + span(52) - nanoseconds(random() % 2'000'000);
        const int64_t nanos = (deadline - kStart).count();
        model[slot] = kStart + milliseconds(nanos <= 0 ? 0 : (nanos + 999'999) / 1'000'000);
        wheel.Set(slot, deadline);
      } else if (what < 6) {
        model.erase(slot);
        wheel.Clear(slot);
      } else {
        now = what < 8 && wheel.Next() != kNever ? std::max(now, wheel.Next()) : now + span(50);
        Slots expected;
        for (auto it = model.begin(); it != model.end();) {
          if (it->second <= now) expected.push_back(it->first);
          it = it->second <= now ? model.erase(it) : std::next(it);
        }
        ASSERT_EQ(ExpireAt(wheel, now), expected) << step;
      }
      MonoTime next = kNever;
      for (const auto& [id, deadline] : model) next = std::min(next, deadline);
      ASSERT_LE(wheel.Next(), std::max(now, next)) << step;
      ASSERT_EQ(wheel.Next() == kNever, model.empty()) << step;
      ASSERT_EQ(wheel.armed(), model.size());
      ASSERT_EQ(wheel.Get(slot), model.contains(slot) ? model[slot] : kNever);
    }
  }
}

// Sleeping until Next() and calling Expire() reaches the deadline in a few wake-ups.
TEST(TimerWheelTest, SleepingUntilNextMakesProgress) {
  for (int64_t delay : {1ll, 300ll, 70'000ll, 20'000'000ll, 5'000'000'000ll}) {
    TimerWheel wheel(1, kStart);
    ExpireAt(wheel, kStart + milliseconds(77));
    wheel.Set(0, kStart + milliseconds(77 + delay));
    int wakeups = 0;
    MonoTime now = kStart;
    Slots out;
    while (out.empty()) {
      ASSERT_LT(++wakeups, 8) << delay;
      ASSERT_GT(wheel.Next(), now) << delay;
      now = wheel.Next();
      out = ExpireAt(wheel, now);
    }
    EXPECT_EQ(now, kStart + milliseconds(77 + delay));
  }
}

}  // namespace
}  // namespace starling
