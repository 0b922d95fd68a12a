// Tests whose handshake comes first, who gives way where places or the queue are short, and who is
// turned away because its turn would come too late; with the real worker, in simulated time.
//
// Not for: the queue by itself (gateway/session/fair_queue_test.cc), or how many handshakes a turn
// does (turn_test.cc).
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "gateway/config/source_defaults.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Endpoint At(uint8_t source, uint16_t port) {
  return {.family = Endpoint::Family::kV4, .port = port, .ip = {192, 0, 2, source}};
}

// A client that sends its hello when the test says so.
class HelloClient {
 public:
  HelloClient(OneSession& session, uint8_t source, uint16_t port)
      : wire_(session, At(source, port)), tls_(TestClientOptions{}) {
    tls_.Step();
  }
  void SendHello() { wire_.Say(std::exchange(tls_.output, {})); }
  // The next octet of the hello, in a record of its own.
  void SendOctet() {
    constexpr size_t kRecordHeader = 5;
    const std::string header("\x16\x03\x01\x00\x01", kRecordHeader);
    wire_.Say(header + tls_.output[kRecordHeader + octets_++]);
  }
  // Whether the gateway has used its key for this one.
  bool Answered() {
    Read();
    return !said_.empty() && said_[0] == 0x16;
  }
  // Whether it was told to go away: by an alert that it can read, before or behind the flight.
  bool TurnedAway() {
    Read();
    tls_.Step();
    return tls_.error().ends_with("ALERT_INTERNAL_ERROR");
  }
  void Leave() { wire_.Reset(); }

 private:
  void Read() {
    const std::string more = wire_.Take();
    said_ += more;
    tls_.input += more;
  }

  PlainClient wire_;
  TestClient tls_;
  std::string said_;
  size_t octets_ = 0;
};

// Clients of many sources.
class Clients {
 public:
  explicit Clients(OneSession& session) : session_(session) {}

  // With a hello on its way.
  HelloClient& Add(uint8_t source) {
    HelloClient& client = Connect(source);
    client.SendHello();
    session_.RunFor(milliseconds(2));
    return client;
  }
  HelloClient& Connect(uint8_t source) {
    return all_.emplace_back(session_, source, static_cast<uint16_t>(1'000 + all_.size()));
  }

 private:
  OneSession& session_;
  std::deque<HelloClient> all_;
};

Case With(uint32_t places, uint32_t queue, uint32_t handshake_ms = kFar) {
  static ListenerLimits limits;
  limits = {.pre_relay_ms = kFar, .pre_relay_total_ms = kFar, .handshake_ms = handshake_ms};
  Case with{"admission",
            EndReason::kNone,
            "imap",
            TlsMode::kImplicit,
            ClientKind::kSilent,
            BackendKind::kNormal,
            ServerKind::kUp,
            nullptr,
            0};
  with.limits = &limits;
  with.sessions = 256;
  with.sources = {{.from = {*Cidr::Parse("0.0.0.0/0")}, .limits = kNoSourceLimits}};
  with.change = [=](Config& config) {
    config.limits.handshakes_in_flight = places;
    config.limits.handshake_queue = queue;
    config.limits.small_buffers = 256;
  };
  return with;
}

TEST(Admission, OneSourceDelaysAnotherByOneTurn) {
  RunInThread([] {
    OneSession session(With(256, 256));
    Clients clients(session);
    std::vector<HelloClient*> flood;
    for (int i = 0; i < 60; ++i) flood.push_back(&clients.Connect(1));
    HelloClient& good = clients.Connect(2);
    session.RunFor(milliseconds(50));
    for (HelloClient* client : flood) client->SendHello();
    good.SendHello();
    // From the turn that has received the last hello, which is the good client's at the latest.
    while (session.gateway().Octets(0) < 61 * 200) session.gateway().Turn();
    uint64_t before = 0;
    for (HelloClient* client : flood) before += client->Answered() ? 1 : 0;
    int turns = 0;
    for (; !good.Answered() && turns < 100; ++turns) session.gateway().Turn();
    uint64_t after = 0;
    for (HelloClient* client : flood) after += client->Answered() ? 1 : 0;
    EXPECT_TRUE(good.Answered());
    EXPECT_LT(after, 50u) << before << " before, in " << turns << " turns";
    session.RunFor(milliseconds(100));
    for (HelloClient* client : flood) EXPECT_TRUE(client->Answered());
    session.Finish();
  });
}

// Each octet would be the next handshake's turn.
TEST(Admission, WhoDribblesItsHelloUsesUpNoTurn) {
  RunInThread([] {
    Case with = With(256, 256);
    const auto change = with.change;
    with.change = [change](Config& config) {
      change(config);
      config.limits.key_operations_per_turn = 1;
    };
    OneSession session(with);
    Clients clients(session);
    std::vector<HelloClient*> dribblers;
    for (int i = 0; i < 40; ++i) dribblers.push_back(&clients.Connect(1));
    HelloClient& good = clients.Connect(2);
    session.RunFor(milliseconds(50));
    for (HelloClient* client : dribblers) client->SendOctet();  // each has a place then
    session.RunFor(milliseconds(50));
    // Each of them always has another octet there.
    const auto turn = [&] {
      for (HelloClient* client : dribblers) client->SendOctet();
      session.gateway().Turn();
    };
    for (int i = 0; i < 20; ++i) turn();
    good.SendHello();
    int turns = 0;
    for (; !good.Answered() && turns < 100; ++turns) turn();
    EXPECT_TRUE(good.Answered());
    session.Finish();
  });
}

// A flood may come from a webmail server, or from the gateway's own machine.
TEST(Admission, ATrustedSourceHasNoMoreTurns) {
  RunInThread([] {
    Case with = With(1, 256);
    with.sources.push_back({.from = {*Cidr::Parse("192.0.2.1/32")},
                            .role = SourceRole::kTrusted,
                            .limits = kNoSourceLimits});
    OneSession session(with);
    Clients clients(session);
    HelloClient& holder = clients.Add(100);
    std::vector<HelloClient*> flood;
    for (int i = 0; i < 20; ++i) flood.push_back(&clients.Add(1));
    HelloClient& other = clients.Add(2);
    HelloClient* leaves = &holder;
    for (HelloClient* next : {flood[0], &other, flood[1]}) {
      leaves->Leave();
      session.RunFor(milliseconds(2));
      EXPECT_TRUE(next->Answered());
      leaves = next;
    }
    session.Finish();
  });
}

TEST(Admission, SourcesTakeTurnsForAPlace) {
  RunInThread([] {
    OneSession session(With(1, 256));
    Clients clients(session);
    std::vector<HelloClient*> one;
    for (int i = 0; i < 6; ++i) one.push_back(&clients.Add(1));
    HelloClient& two = clients.Add(2);
    EXPECT_TRUE(one[0]->Answered());
    EXPECT_FALSE(one[1]->Answered());
    one[0]->Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(one[1]->Answered());
    EXPECT_FALSE(two.Answered());
    one[1]->Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(two.Answered());
    EXPECT_FALSE(one[2]->Answered());
    two.Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(one[2]->Answered());
    session.Finish();
  });
}

TEST(Admission, ASilentClientDoesNotKeepThePlaceOfALighterSource) {
  RunInThread([] {
    OneSession session(With(3, 256, 8'000));
    Clients clients(session);
    HelloClient& first = clients.Add(1);
    HelloClient& lighter = clients.Add(5);
    HelloClient& second = clients.Add(1);
    HelloClient& third = clients.Add(1);
    EXPECT_TRUE(second.Answered());
    // It gets the place of the one that has had its own longest, once that had time to answer.
    HelloClient& other = clients.Add(2);
    EXPECT_FALSE(other.Answered());
    session.RunFor(milliseconds(950));
    EXPECT_FALSE(first.TurnedAway());
    session.RunFor(milliseconds(60));
    EXPECT_TRUE(other.Answered());
    EXPECT_TRUE(first.TurnedAway());
    // Nobody waits any more but the heavier source itself.
    session.RunFor(seconds(3));
    EXPECT_FALSE(second.TurnedAway());
    EXPECT_FALSE(third.Answered());
    EXPECT_FALSE(lighter.TurnedAway());
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeLimit), 1);
    session.Finish();
  });
}

TEST(Admission, OfStalledPlacesTheHeaviestSourceGivesOneUp) {
  RunInThread([] {
    OneSession session(With(7, 256, 8'000));
    Clients clients(session);
    HelloClient& lighter = clients.Add(5);
    std::vector<HelloClient*> heavy;
    for (int i = 0; i < 6; ++i) heavy.push_back(&clients.Add(1));  // more than a mail program has
    session.RunFor(seconds(2));
    EXPECT_FALSE(heavy[0]->TurnedAway()) << "nobody waits";
    EXPECT_TRUE(clients.Add(2).Answered());
    EXPECT_TRUE(heavy[0]->TurnedAway());
    EXPECT_FALSE(heavy[1]->TurnedAway());
    EXPECT_FALSE(lighter.TurnedAway());
    session.Finish();
  });
}

// Each of them has one place, as many as whoever waits would have.
TEST(Admission, SilentClientsOfManySourcesKeepNoPlaces) {
  RunInThread([] {
    OneSession session(With(4, 256, 8'000));
    Clients clients(session);
    std::vector<HelloClient*> silent;
    for (uint8_t i = 0; i < 4; ++i) silent.push_back(&clients.Add(static_cast<uint8_t>(10 + i)));
    std::vector<HelloClient*> waiting;
    for (uint8_t i = 0; i < 3; ++i) waiting.push_back(&clients.Add(static_cast<uint8_t>(100 + i)));
    session.RunFor(milliseconds(950));
    for (HelloClient* client : waiting) EXPECT_FALSE(client->Answered());
    session.RunFor(milliseconds(100));
    for (HelloClient* client : waiting) EXPECT_TRUE(client->Answered());
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(silent[i]->TurnedAway()) << i;
    session.RunFor(seconds(3));
    EXPECT_FALSE(silent[3]->TurnedAway()) << "nobody waits any more";
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeLimit), 3);
    session.Finish();
  });
}

TEST(Admission, WhereManySourcesWaitEachHasLessTime) {
  RunInThread([] {
    OneSession session(With(2, 256, 16'000));
    Clients clients(session);
    std::vector<HelloClient*> silent;
    for (uint8_t i = 0; i < 14; ++i) silent.push_back(&clients.Add(static_cast<uint8_t>(10 + i)));
    HelloClient& last = clients.Add(1);
    session.RunFor(milliseconds(1'900));
    EXPECT_FALSE(silent[2]->Answered()) << "nobody waited when the first two got theirs";
    session.RunFor(milliseconds(200));
    EXPECT_TRUE(silent[2]->Answered());
    EXPECT_FALSE(last.Answered());
    session.RunFor(milliseconds(5'000));
    EXPECT_TRUE(last.Answered()) << "six rounds of two seconds before it";
    session.RunFor(milliseconds(3'000));
    EXPECT_FALSE(last.TurnedAway()) << "nobody waits any more";
    session.Finish();
  });
}

// A source that has wasted a place.
TEST(Admission, WhoHasStalledGivesItsNextPlaceUpAtOnce) {
  RunInThread([] {
    OneSession session(With(2, 256, 8'000));
    Clients clients(session);
    HelloClient& silent = clients.Add(1);
    HelloClient& other = clients.Add(2);
    HelloClient& queued = clients.Add(1);
    session.RunFor(milliseconds(500));
    clients.Add(3);
    session.RunFor(milliseconds(550));
    EXPECT_TRUE(silent.TurnedAway());
    other.Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(queued.Answered()) << "a place is free";
    HelloClient& good = clients.Add(4);
    EXPECT_TRUE(good.Answered()) << "without any wait";
    EXPECT_TRUE(queued.TurnedAway());
    // What it wants now comes after what others want, though it came before.
    HelloClient& again = clients.Add(1);
    HelloClient& late = clients.Add(5);
    good.Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(late.Answered());
    EXPECT_FALSE(again.Answered());
    late.Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(again.Answered());
    session.Finish();
  });
}

TEST(Admission, WhoFailsSoonHasWastedNothing) {
  RunInThread([] {
    OneSession session(With(1, 256, 8'000));
    Clients clients(session);
    for (int i = 0; i < 5; ++i) {
      HelloClient& fails = clients.Add(1);
      EXPECT_TRUE(fails.Answered());
      fails.Leave();
      session.RunFor(milliseconds(20));
    }
    HelloClient& holder = clients.Add(1);
    HelloClient& other = clients.Add(2);
    session.RunFor(milliseconds(900));
    EXPECT_TRUE(holder.Answered());
    EXPECT_FALSE(other.Answered());
    // It leaves after a while, and without TLS.
    holder.Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(other.Answered());
    other.Leave();
    session.RunFor(milliseconds(2));
    HelloClient& again = clients.Add(1);
    EXPECT_TRUE(again.Answered());
    EXPECT_TRUE(clients.Add(3).Answered());
    EXPECT_TRUE(again.TurnedAway());
    session.Finish();
  });
}

// Sources that have stalled take turns as well: there may be many users behind one.
TEST(Admission, SourcesThatHaveStalledTakeTurns) {
  RunInThread([] {
    OneSession session(With(1, 256, 8'000));
    Clients clients(session);
    for (const uint8_t source : {1, 2}) {
      HelloClient& wastes = clients.Add(source);
      session.RunFor(milliseconds(300));
      wastes.Leave();
      session.RunFor(milliseconds(2));
    }
    HelloClient& one = clients.Add(1);
    HelloClient& more = clients.Add(1);
    HelloClient& two = clients.Add(2);
    EXPECT_TRUE(one.Answered());
    session.RunFor(milliseconds(900));
    EXPECT_FALSE(two.Answered());
    session.RunFor(milliseconds(200));
    EXPECT_TRUE(two.Answered());
    EXPECT_FALSE(more.Answered());
    EXPECT_TRUE(one.TurnedAway());
    session.Finish();
  });
}

TEST(Admission, AFullQueueIsNotFullForOthers) {
  RunInThread([] {
    OneSession session(With(1, 4));
    Clients clients(session);
    HelloClient& holder = clients.Add(1);
    std::vector<HelloClient*> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(&clients.Add(1));
    EXPECT_TRUE(waiting[4]->TurnedAway()) << "the queue is full";
    HelloClient& other = clients.Add(2);
    EXPECT_FALSE(other.TurnedAway());
    EXPECT_TRUE(waiting[3]->TurnedAway()) << "the newest of the heaviest";
    EXPECT_FALSE(waiting[2]->TurnedAway());
    holder.Leave();
    session.RunFor(milliseconds(2));
    waiting[0]->Leave();
    session.RunFor(milliseconds(2));
    EXPECT_TRUE(other.Answered());
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeLimit), 2);
    session.Finish();
  });
}

TEST(Admission, WhoseTurnComesTooLateIsTurnedAwayAtOnce) {
  constexpr int kWaiting = 60;
  RunInThread([] {
    OneSession session(With(1, 256, 7'000));
    Clients clients(session);
    std::vector<HelloClient*> waiting;
    for (uint8_t i = 0; i < kWaiting; ++i) waiting.push_back(&clients.Add(i));
    // Each is served, and its place free again, after 100 ms.
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(waiting[static_cast<size_t>(i)]->Answered()) << i;
      waiting[static_cast<size_t>(i)]->Leave();
      session.RunFor(milliseconds(100));
    }
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeLate), 0);
    std::vector<HelloClient*> more;
    for (uint8_t i = 0; i < kWaiting; ++i) {
      more.push_back(&clients.Add(static_cast<uint8_t>(100 + i)));
    }
    // Sixty or seventy turns of 100 ms still make it.
    EXPECT_FALSE(more[40]->TurnedAway());
    EXPECT_TRUE(more[kWaiting - 1]->TurnedAway());
    EXPECT_GT(session.gateway().sources().refusals.Take(1).refused, 0u);
    EXPECT_FALSE(waiting[kWaiting - 1]->TurnedAway()) << "it has been there longer";
    session.Finish();
  });
}

TEST(Admission, AtItsDeadlineTheClientIsNotToBlame) {
  RunInThread([] {
    OneSession session(With(1, 256, 5'000));
    Clients clients(session);
    HelloClient& wasted = clients.Add(2);
    HelloClient& first = clients.Add(3);
    session.RunFor(milliseconds(700));
    EXPECT_TRUE(wasted.TurnedAway());
    EXPECT_TRUE(first.Answered());
    // It has had a place in vain, so this one waits for as long as others want one.
    HelloClient& second = clients.Add(2);
    session.RunFor(milliseconds(2'300));
    EXPECT_TRUE(clients.Add(4).Answered());
    session.RunFor(milliseconds(2'500));
    EXPECT_FALSE(second.TurnedAway());
    session.RunFor(milliseconds(500));
    EXPECT_TRUE(second.TurnedAway());
    // The last one had its turn, and was silent.
    session.RunFor(milliseconds(2'500));
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeLate), 1);
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeDeadline), 1);
    session.Finish();
  });
}

TEST(Admission, WhoIsOverItsShareIsServedLast) {
  RunInThread([] {
    Case with = With(1, 256, 5'000);
    SourceRow row{.from = {*Cidr::Parse("192.0.2.0/24")}};
    row.limits.handshakes_per_second = 1;
    row.limits.handshakes_burst = 2;
    with.sources = {row};
    OneSession session(with);
    Clients clients(session);
    std::vector<HelloClient*> noisy;
    for (int i = 0; i < 5; ++i) noisy.push_back(&clients.Add(1));
    EXPECT_TRUE(noisy[4]->TurnedAway()) << "beyond what may wait";
    HelloClient& quiet = clients.Add(2);
    HelloClient& other = clients.Add(3);
    const auto turn = [&](HelloClient& leaves, HelloClient& comes) {
      EXPECT_TRUE(leaves.Answered());
      EXPECT_FALSE(comes.Answered());
      leaves.Leave();
      session.RunFor(milliseconds(2));
    };
    turn(*noisy[0], *noisy[1]);
    turn(*noisy[1], quiet);
    turn(quiet, other);
    turn(other, *noisy[2]);
    EXPECT_TRUE(noisy[2]->Answered()) << "nobody else waits";
    // In vain, until its time was over.
    session.RunFor(seconds(4));
    HelloClient& late = clients.Add(3);
    session.RunFor(seconds(3));
    EXPECT_TRUE(late.Answered());
    EXPECT_EQ(session.ended_for(EndReason::kSourceHandshakes), 2);
    session.Finish();
  });
}

// With a free place and nobody else there, it waits no longer than all others.
TEST(Admission, WhoIsOverItsShareIsServedAtOnceWhereNobodyWaits) {
  RunInThread([] {
    Case with = With(256, 256);
    SourceRow row{.from = {*Cidr::Parse("192.0.2.0/24")}};
    row.limits.handshakes_per_second = 1;
    row.limits.handshakes_burst = 4;
    with.sources = {row};
    OneSession session(with);
    Clients clients(session);
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(clients.Add(1).Answered()) << i;
    EXPECT_TRUE(clients.Add(1).TurnedAway());
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
