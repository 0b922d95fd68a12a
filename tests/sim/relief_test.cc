// Memory runs short, in simulated time: which sessions end, in which order, and no more than
// needed.
//
// Not for: when memory is short (gateway/memory/memory_watch_test.cc), or slow_reader
// (slow_reader_test.cc).
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "gateway/limits.h"
#include "tests/sim/hand_relay.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Relays = std::vector<std::unique_ptr<HandRelay>>;

constexpr milliseconds kStuck{kStuckMs};
constexpr milliseconds kSurely{kSurelyStuckMs};
constexpr uint64_t kAll = uint64_t{1} << 40;
constexpr uint32_t kUnsent = 100'000;
constexpr uint32_t kServerUnsent = 200'000;

class Shortage {
 public:
  explicit Shortage(uint32_t slow_reader_bytes = 1, uint32_t sessions = 16)
      : session_(With(slow_reader_bytes, sessions)), server_(session_) {}
  ~Shortage() { session_.Finish(); }

  HandRelay& Add() {
    relays_.push_back(
        std::make_unique<HandRelay>(session_, server_, static_cast<uint32_t>(relays_.size() + 1)));
    return *relays_.back();
  }
  HandRelay& AddLight() {
    HandRelay& relay = Add();
    relay.ServerPours(500);
    return relay;
  }
  HandRelay& AddHeavy() {
    HandRelay& relay = Add();
    relay.ServerPours();
    return relay;
  }
  void Pass(milliseconds time) { session_.RunFor(time); }
  // How many end then.
  int Relieve(uint64_t octets, bool in_kernel = false) {
    const int before = session_.ended();
    session_.gateway().worker().Relieve({.octets = octets, .in_kernel = in_kernel});
    Pass(milliseconds(10));
    EXPECT_EQ(session_.ended(), session_.ended_for(EndReason::kMemoryPressure));
    return session_.ended() - before;
  }
  // Octets in blocks, all sessions together.
  uint64_t Held() { return session_.gateway().worker().queued_octets(); }
  // Whether the gateway has closed it.
  bool Gone(const HandRelay& relay) { return session_.world().Write(relay.server(), {}) < 0; }
  OneSession& session() { return session_; }

 private:
  static Case With(uint32_t slow_reader_bytes, uint32_t sessions) {
    Case with = RelayCase();
    with.sessions = sessions;
    with.change = [slow_reader_bytes, before = with.change](Config& config) {
      before(config);
      config.listeners[0].limits.slow_reader_ms = 32'000'000;
      config.listeners[0].limits.slow_reader_bytes = slow_reader_bytes;
      config.listeners[0].limits.unsent = kUnsent;
      config.limits.server_unsent = kServerUnsent;
    };
    return with;
  }

  OneSession session_;
  HandServer server_;
  Relays relays_;
};

TEST(Relief, TheHeaviestOfThoseThatAreSurelyStuckGoesFirst) {
  RunInThread([] {
    Shortage all;
    const HandRelay& light = all.AddLight();
    all.Pass(seconds(100));
    const HandRelay& heavy = all.AddHeavy();
    HandRelay& heaviest = all.AddHeavy();
    heaviest.ClientPours();
    const HandRelay& heavy_too = all.AddHeavy();
    all.Pass(kSurely + seconds(2));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(heaviest));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(heavy));
    EXPECT_TRUE(all.Gone(heavy_too));
    EXPECT_FALSE(all.Gone(light));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(light));
    EXPECT_EQ(all.Relieve(1), 0);
  });
}

TEST(Relief, BelowAMinuteTheOneThatIsStuckLongestGoesFirst) {
  RunInThread([] {
    Shortage all;
    const HandRelay& heavy_later = all.AddHeavy();
    all.Pass(kStuck + seconds(2));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(heavy_later));
    const HandRelay& light = all.AddLight();
    all.Pass(seconds(10));
    const HandRelay& heavy = all.AddHeavy();
    all.Pass(kStuck + seconds(2));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(light));
    EXPECT_FALSE(all.Gone(heavy));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(heavy));
  });
}

// A server that takes nothing is as bad.
TEST(Relief, TheSideThatIsStuckLongestCounts) {
  RunInThread([] {
    Shortage all;
    HandRelay& server_first = all.Add();
    server_first.ClientPours();
    all.Pass(seconds(10));
    HandRelay& client_only = all.AddHeavy();
    all.Pass(seconds(5));
    server_first.ServerPours();
    all.Pass(kStuck + seconds(2));
    EXPECT_EQ(all.Relieve(1), 1);
    EXPECT_TRUE(all.Gone(server_first));
    EXPECT_FALSE(all.Gone(client_only));
  });
}

// However much slow_reader_bytes wants: one that reads is not stuck.
TEST(Relief, LeavesAllThatAreNotStuck) {
  for (const uint32_t enough : {1u, 1u << 30}) {
    RunInThread([enough] {
      Shortage all(enough);
      const PlainClient in_handshake(all.session());
      const HandRelay& idle = all.Add();
      HandRelay& reads = all.AddHeavy();
      const HandRelay& stuck = all.AddHeavy();
      all.Pass(seconds(100));
      for (int i = 0; i < 10; ++i) {
        reads.ClientTakes(20'000);
        reads.ServerSends(65'536);
        all.Pass(milliseconds(1));
      }
      const HandRelay& just_begun = all.AddHeavy();
      all.Pass(kStuck - seconds(1));
      EXPECT_EQ(all.Relieve(kAll), 1);
      EXPECT_TRUE(all.Gone(stuck));
      EXPECT_FALSE(all.Gone(reads));
      EXPECT_FALSE(all.Gone(idle));
      all.Pass(seconds(3));
      EXPECT_EQ(all.Relieve(kAll), 2);
      EXPECT_TRUE(all.Gone(reads));
      EXPECT_TRUE(all.Gone(just_begun));
      EXPECT_FALSE(all.Gone(idle));
    });
  }
}

TEST(Relief, EndsNoMoreThanFreeEnough) {
  RunInThread([] {
    Shortage all;
    const auto add = [&all] {
      // Half a record of the client waits, too.
      HandRelay& relay = all.AddHeavy();
      relay.ClientPuts(relay.Seal(10'000).substr(0, 5'000));
    };
    for (int i = 0; i < 6; ++i) add();
    all.Pass(kSurely + seconds(2));
    const uint64_t each = all.Held() / 6;
    EXPECT_EQ(each * 6, all.Held());
    EXPECT_EQ(all.Relieve(0), 0);
    EXPECT_EQ(all.Relieve(2 * each), 2);
    EXPECT_EQ(all.Relieve(each + 1), 2);
    EXPECT_EQ(all.Held(), 2 * each);
  });
}

TEST(Relief, WhatTheKernelHoldsCountsWhereItIsPartOfTheLimit) {
  struct Kind {
    bool client_stuck;
    bool server_stuck;
    uint32_t in_kernel;
  };
  for (const Kind kind : {Kind{true, false, kUnsent}, Kind{false, true, kServerUnsent},
                          Kind{true, true, kUnsent + kServerUnsent}}) {
    RunInThread([kind] {
      Shortage all;
      for (int i = 0; i < 5; ++i) {
        HandRelay& relay = all.Add();
        if (kind.client_stuck) relay.ServerPours();
        if (kind.server_stuck) relay.ClientPours();
      }
      all.Pass(kSurely + seconds(2));
      const uint64_t each = all.Held() / 5;
      EXPECT_EQ(all.Relieve(each + kind.in_kernel, true), 1);
      EXPECT_EQ(all.Relieve(each + kind.in_kernel + 1, true), 2);
      EXPECT_EQ(all.Relieve(each + 1, false), 2);
    });
  }
}

TEST(Relief, ALookEndsABoundedNumber) {
  RunInThread([] {
    Shortage all(1, kReliefPerTurn + 6);
    for (size_t i = 0; i < kReliefPerTurn + 6; ++i) all.AddLight();
    all.Pass(kSurely + seconds(2));
    EXPECT_EQ(all.Relieve(kAll), static_cast<int>(kReliefPerTurn));
    EXPECT_EQ(all.Relieve(kAll), 6);
  });
}

// Two looks in a row do not count the same session twice.
// Looks may follow one another faster than sessions end.
TEST(Relief, WhatAClosingSessionHoldsCountsAsFreed) {
  RunInThread([] {
    Shortage all;
    all.AddHeavy();
    all.AddHeavy();
    all.Pass(kSurely + seconds(2));
    GatewayFixture& gateway = all.session().gateway();
    for (int look = 0; look < 2; ++look) {
      gateway.worker().Relieve({.octets = 1});
      gateway.Turn();
    }
    all.Pass(milliseconds(10));
    EXPECT_EQ(all.session().ended_for(EndReason::kMemoryPressure), 1);
  });
}

}  // namespace
}  // namespace starling::sim
