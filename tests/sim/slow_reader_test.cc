// Peers that do not take what waits for them, in simulated time: when `slow_reader` ends their
// sessions, and how a relay notices that the side from which it does not receive was reset.
//
// Not for: what happens when memory is short (relief_test.cc).
#include <gtest/gtest.h>

#include <chrono>

#include "gateway/limits.h"
#include "tests/sim/hand_relay.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kWindow{60'000};
constexpr uint32_t kEnough = 50'000;

Case SlowCase(uint32_t window_ms = kWindow.count(), uint32_t enough = kEnough,
              const char* address = "127.0.0.1:7") {
  Case with = RelayCase(address);
  with.change = [window_ms, enough, before = with.change](Config& config) {
    before(config);
    config.listeners[0].limits.slow_reader_ms = window_ms;
    config.listeners[0].limits.slow_reader_bytes = enough;
  };
  return with;
}

// Runs to the same moment of a second: a rule that counts whole seconds is seen to be exact.
void RunToLateInTheSecond(OneSession& session) {
  const auto ms =
      std::chrono::duration_cast<milliseconds>(session.world().now().time_since_epoch());
  session.RunFor(milliseconds(1'900 - ms.count() % 1'000));
}

// From now on the peer has the whole window, and little more.
void ExpectEndInAWindow(OneSession& session, EndReason reason) {
  session.RunFor(kWindow - milliseconds(200));
  EXPECT_EQ(session.ended(), 0);
  session.RunFor(milliseconds(2'300));
  EXPECT_EQ(session.ended_for(reason), 1);
}

// Both directions: who sends, and what it is called that the other one takes nothing.
struct Direction {
  bool down;
  EndReason stalled;
  void Pour(HandRelay& relay) const { down ? relay.ServerPours() : relay.ClientPours(); }
  size_t Send(HandRelay& relay) const {
    return down ? relay.ServerSends(65'536) : relay.ClientSends(4'096);
  }
  size_t Take(HandRelay& relay, size_t most) const {
    return down ? relay.ClientTakes(most) : relay.ServerTakes(most);
  }
  void TakeAll(HandRelay& relay) const { down ? relay.ClientTakesAll() : relay.ServerTakesAll(); }
};
constexpr Direction kDirections[] = {{true, EndReason::kClientStalled},
                                     {false, EndReason::kBackendStalled}};

void InEachDirection(const Case& with, void (*body)(OneSession&, HandRelay&, const Direction&)) {
  for (const Direction& direction : kDirections) {
    SCOPED_TRACE(direction.down ? "down" : "up");
    RunInThread([&] {
      OneSession session(with);
      HandServer server(session);
      HandRelay relay(session, server);
      body(session, relay, direction);
      session.Finish();
    });
  }
}

TEST(SlowReaders, WhoNeverReadsEndsWhenItsTimeIsOver) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    RunToLateInTheSecond(session);
    way.Pour(relay);
    // What moves the other way makes the gateway look at the times again.
    session.RunFor(milliseconds(100));
    way.down ? relay.ClientSends(10) : relay.ServerSends(10);
    ExpectEndInAWindow(session, way.stalled);
  });
}

TEST(SlowReaders, WithoutALimitTheyStay) {
  InEachDirection(SlowCase(0), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    session.RunFor(100 * kWindow);
    EXPECT_EQ(session.ended(), 0);
  });
}

TEST(SlowReaders, WhoIsSlowerThanTheRateEnds) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    for (int second = 0; second < 3 * 60 && session.ended() == 0; ++second) {
      way.Take(relay, 500);
      way.Send(relay);
      session.RunFor(seconds(1));
    }
    EXPECT_EQ(session.ended_for(way.stalled), 1);
  });
}

TEST(SlowReaders, WhoIsFasterThanTheRateStays) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    for (int second = 0; second < 10 * 60; ++second) {
      way.Take(relay, 2'500);
      for (int i = 0; i < 4; ++i) way.Send(relay);
      session.RunFor(seconds(1));
    }
    EXPECT_EQ(session.ended(), 0);
    EXPECT_GT(way.down ? relay.client_got() : relay.server_got(), 1'000'000u);
  });
}

TEST(SlowReaders, WhoReadsInBurstsStaysIfTheyAreNotTooRare) {
  for (const bool rare : {false, true}) {
    InEachDirection(SlowCase(), rare ? [](OneSession& session, HandRelay& relay,
                                          const Direction& way) {
      way.Pour(relay);
      session.RunFor(kWindow - seconds(5));
      way.TakeAll(relay);
      way.Pour(relay);
      session.RunFor(kWindow + seconds(5));
      EXPECT_EQ(session.ended_for(way.stalled), 1);
    } : [](OneSession& session, HandRelay& relay, const Direction& way) {
      for (int burst = 0; burst < 10; ++burst) {
        way.Pour(relay);
        session.RunFor(kWindow - seconds(5));
        way.TakeAll(relay);
      }
      EXPECT_EQ(session.ended(), 0);
    });
  }
}

// However long it took for them.
TEST(SlowReaders, TheTimeBeginsAgainOnceEnoughWasTaken) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    session.RunFor(kWindow - seconds(10));
    RunToLateInTheSecond(session);
    for (int i = 0; i < 300; ++i) {
      way.Take(relay, 500);
      way.Send(relay);
      session.RunFor(milliseconds(1));
    }
    ExpectEndInAWindow(session, way.stalled);
  });
}

TEST(SlowReaders, TooLittleDoesNotBeginTheTimeAgain) {
  InEachDirection(SlowCase(kWindow.count(), 200'000),
                  [](OneSession& session, HandRelay& relay, const Direction& way) {
                    RunToLateInTheSecond(session);
                    way.Pour(relay);
                    session.RunFor(seconds(30));
                    way.Take(relay, 20'000);
                    session.RunFor(kWindow - seconds(30) - milliseconds(200));
                    EXPECT_EQ(session.ended(), 0);
                    session.RunFor(milliseconds(3'500));
                    EXPECT_EQ(session.ended_for(way.stalled), 1);
                  });
}

TEST(SlowReaders, TheReasonNamesTheOneWhoseTimeIsOver) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    session.RunFor(seconds(20));
    way.down ? relay.ClientPours() : relay.ServerPours();
    session.RunFor(kWindow - seconds(15));
    EXPECT_EQ(session.ended_for(way.stalled), 1);
  });
}

// The worker is late: it sees the time's end and what was taken in the same turn.
TEST(SlowReaders, WhoTakesInTheLastMomentStays) {
  InEachDirection(SlowCase(kWindow.count(), 1),
                  [](OneSession& session, HandRelay& relay, const Direction& way) {
                    way.Pour(relay);
                    session.RunFor(kWindow - seconds(1));
                    const MonoTime late = session.world().now() + seconds(4);
                    while (session.world().RunNext(late)) {
                    }
                    way.Take(relay, 65'536);
                    session.RunFor(seconds(1));
                    EXPECT_EQ(session.ended(), 0);
                  });
}

// It takes every block that the relay sends, one after the other, and still too little.
TEST(SlowReaders, WhoTakesBlockAfterBlockTooSlowlyEnds) {
  InEachDirection(SlowCase(kWindow.count(), 1'000'000),
                  [](OneSession& session, HandRelay& relay, const Direction& way) {
                    way.Pour(relay);
                    for (int second = 0; second < 200 && session.ended() == 0; ++second) {
                      way.Take(relay, 6'000);
                      for (int i = 0; i < 4; ++i) way.Send(relay);
                      session.RunFor(seconds(1));
                    }
                    EXPECT_EQ(session.ended_for(way.stalled), 1);
                  });
}

// Its time is not that of a sender with little to say.
TEST(SlowReaders, WhoTakesAllThatLittleAtOnceStays) {
  InEachDirection(SlowCase(kWindow.count(), 1'000'000),
                  [](OneSession& session, HandRelay& relay, const Direction& way) {
                    for (int second = 0; second < 20 * 60; ++second) {
                      way.down ? relay.ServerSends(100) : relay.ClientSends(100);
                      session.RunFor(milliseconds(5));
                      way.TakeAll(relay);
                      session.RunFor(milliseconds(995));
                    }
                    EXPECT_EQ(session.ended(), 0);
                  });
}

TEST(SlowReaders, WhoTookAllMayBeIdleForEver) {
  InEachDirection(SlowCase(), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    session.RunFor(kWindow / 2);
    way.TakeAll(relay);
    session.RunFor(10 * kWindow);
    EXPECT_EQ(session.ended(), 0);
    RunToLateInTheSecond(session);
    way.Pour(relay);
    ExpectEndInAWindow(session, way.stalled);
  });
}

// Where it has every value that 16 bits of seconds have.
TEST(SlowReaders, TheClockMayHaveAnyValue) {
  for (const int64_t begins_at : {65'534, 65'535, 65'536, 98'303}) {
    RunInThread([begins_at] {
      OneSession session(SlowCase());
      session.RunFor(std::chrono::duration_cast<milliseconds>(MonoTime(seconds(begins_at)) -
                                                              session.world().now()) -
                     seconds(1));
      HandServer server(session);
      HandRelay relay(session, server);
      RunToLateInTheSecond(session);
      relay.ServerPours();
      ExpectEndInAWindow(session, EndReason::kClientStalled);
      session.Finish();
    });
  }
}

// --- A reset of the side from which nothing is received ---

constexpr uint32_t kLong = 900'000;

void Reset(OneSession& session, const HandRelay& relay, const Direction& way) {
  session.world().Reset(way.down ? relay.server() : relay.client());
}

TEST(BrokenSenders, TheSessionEndsThoughTheOtherTakesNothing) {
  InEachDirection(SlowCase(kLong), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    session.RunFor(2 * kWholeCheck + kWholeCheck / 2);
    Reset(session, relay, way);
    // Until the next look; nothing has moved for longer than half_close allows.
    session.RunFor(kWholeCheck / 2 + seconds(5));
    EXPECT_EQ(session.ended_for(way.down ? EndReason::kBackendReset : EndReason::kClientReset), 1);
  });
}

TEST(BrokenSenders, WhatTheySentStillArrives) {
  InEachDirection(SlowCase(kLong), [](OneSession& session, HandRelay& relay, const Direction& way) {
    way.Pour(relay);
    Reset(session, relay, way);
    session.RunFor(kWholeCheck + seconds(5));
    EXPECT_EQ(session.ended(), 0);
    way.TakeAll(relay);
    if (way.down) EXPECT_EQ(relay.client_got(), relay.server_sent());
    if (!way.down) EXPECT_GT(relay.server_got(), 65'536u);
    EXPECT_FALSE(relay.client_saw_end());
    session.RunFor(seconds(5));
    EXPECT_EQ(session.ended_for(way.down ? EndReason::kBackendReset : EndReason::kClientReset), 1);
  });
}

// What has ended in good order waits as long as slow_reader allows.
TEST(BrokenSenders, AnOrderlyEndIsNoReset) {
  for (const char* address : {"127.0.0.1:7", "unix:@relay"}) {
    for (const bool closes : {false, true}) {
      SCOPED_TRACE(std::string(address) + (closes ? " closes" : " shuts down"));
      RunInThread([=] {
        OneSession session(SlowCase(kLong, kEnough, address));
        HandServer server(session, address);
        HandRelay relay(session, server);
        relay.ServerPours();
        if (closes) {
          session.world().Close(relay.server());
        } else {
          session.world().ShutdownWrite(relay.server());
        }
        session.RunFor(milliseconds(kLong) - seconds(10));
        EXPECT_EQ(session.ended(), 0);
        relay.ClientTakesAll();
        EXPECT_EQ(relay.client_got(), relay.server_sent());
        EXPECT_TRUE(relay.client_saw_end());
        session.Finish();
      });
    }
  }
}

TEST(BrokenSenders, WhereNothingIsStuckNothingIsLookedFor) {
  RunInThread([] {
    OneSession session(SlowCase(kLong));
    HandServer server(session);
    HandRelay relay(session, server);
    relay.ServerPours();
    const auto sends = [&session] {
      for (const auto& [name, count] : session.gateway().worker().ring().OperationCounts()) {
        if (name == "SEND") return count;
      }
      return uint64_t{0};
    };
    const uint64_t before = sends();
    session.RunFor(3 * kWholeCheck + seconds(1));
    EXPECT_EQ(sends(), before + 3);
    relay.ClientTakesAll();
    const uint64_t after = sends();
    session.RunFor(10 * kWholeCheck);
    EXPECT_EQ(sends(), after);
    // The next time begins anew.
    relay.ServerPours();
    const uint64_t again = sends();
    session.RunFor(kWholeCheck + seconds(1));
    EXPECT_EQ(sends(), again + 1);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
