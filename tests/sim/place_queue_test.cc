// The queue of a backend whose servers have all the sessions they may have, in simulated time: who
// has the next place, who gives way in a full queue, and that clients that have gone leave it.
//
// Not for: which server has a place (gateway/upstream/upstream_test.cc).
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "gateway/config/source_defaults.h"
#include "gateway/limits.h"
#include "tests/sim/hand_relay.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

// Two checks of those that wait, at most.
constexpr milliseconds kSoon{2 * kWaiterCheckMs};

// Until a session is over whose client was told so, and does not close.
constexpr milliseconds kLinger{3'000};

// One server with few places.
Case FewPlaces(uint32_t places, uint32_t queue = 100) {
  Case with = RelayCase();
  with.sessions = 64;
  with.sources = {{.from = {*Cidr::Parse("0.0.0.0/0")}, .limits = kNoSourceLimits}};
  with.change = [places, queue, before = with.change](Config& config) {
    before(config);
    config.backends[0].servers[0].max_sessions = places;
    config.backends[0].queue = queue;
    config.limits.small_buffers = 64;
  };
  return with;
}

Case OnePlace(uint32_t queue = 100) { return FewPlaces(1, queue); }

// A client with TLS, which says and ends what the test wants.
class Client {
 public:
  Client(OneSession& session, uint8_t source, uint16_t port)
      : session_(session), world_(session.world()), tls_(TestClientOptions{}) {
    const Endpoint from{.family = Endpoint::Family::kV4, .port = port, .ip = {192, 0, 2, source}};
    EXPECT_EQ(world_.Connect(session.plan().listener->address, from, &socket_), 0);
    for (int i = 0; i < 10; ++i) Exchange();
    EXPECT_TRUE(tls_.connected());
  }
  void Say(std::string_view words) {
    tls_.Write(words);
    Exchange();
  }
  void SayGoodbye() {
    tls_.CloseNotify();
    Exchange();
  }
  void EndData() { EXPECT_EQ(world_.ShutdownWrite(socket_), 0); }
  void Close() {
    Take();
    world_.Close(socket_);
  }
  void Reset() { world_.Reset(socket_); }
  std::string Take() {
    Exchange();
    return std::exchange(tls_.received, {});
  }
  bool Ended() {
    Take();
    return world_.AtEnd(socket_) || tls_.closed();
  }

 private:
  void Exchange() {
    tls_.Step();
    const std::string out = std::exchange(tls_.output, {});
    if (!out.empty()) {
      EXPECT_EQ(world_.Write(socket_, {reinterpret_cast<const uint8_t*>(out.data()), out.size()}),
                static_cast<int>(out.size()));
    }
    session_.RunFor(milliseconds(1));
    uint8_t space[8'192];
    while (world_.Readable(socket_)) {
      const int got = world_.Read(socket_, space);
      if (got <= 0) break;
      tls_.input.append(reinterpret_cast<char*>(space), static_cast<size_t>(got));
    }
    tls_.Step();
  }

  OneSession& session_;
  World& world_;
  SocketId socket_ = kNoSocket;
  TestClient tls_;
};

// A session, its server, and clients; the first one has the only place.
class Queue {
 public:
  explicit Queue(const Case& with) : session_(with), server_(session_) {
    Add(1);
    held_ = server_.Accept();
    EXPECT_NE(held_, kNoSocket);
  }
  ~Queue() { session_.Finish(); }

  Client& Add(uint8_t source) {
    return clients_.emplace_back(session_, source, static_cast<uint16_t>(1'000 + clients_.size()));
  }
  // The server's next connection; kNoSocket: nobody has come.
  SocketId Accept() { return server_.Accept(); }
  // The session that has the place ends. The server's next connection; kNoSocket: nobody came.
  SocketId NextPlace() {
    session_.world().Reset(held_);
    session_.RunFor(milliseconds(3'000));
    held_ = server_.Accept();
    return held_;
  }
  // What the server is told by the client that has the place.
  std::string Told() {
    session_.RunFor(milliseconds(5));
    uint8_t space[4'096];
    World& world = session_.world();
    const int got = world.Readable(held_) ? world.Read(held_, space) : 0;
    return {reinterpret_cast<char*>(space), static_cast<size_t>(std::max(got, 0))};
  }
  uint64_t waiting() { return session_.gateway().shard().GetWorker(WorkerFamily::kQueued); }
  OneSession& session() { return session_; }
  SocketId held() const { return held_; }

 private:
  OneSession session_;
  HandServer server_;
  std::deque<Client> clients_;
  SocketId held_ = kNoSocket;
};

TEST(PlaceQueue, AClientThatHasGoneLeavesIt) {
  using Way = void (*)(Client&);
  constexpr std::pair<const char*, Way> kWays[] = {
      {"ends TCP", [](Client& client) { client.Close(); }},
      {"ends TLS and TCP",
       [](Client& client) {
         client.SayGoodbye();
         client.Close();
       }},
      {"resets", [](Client& client) { client.Reset(); }},
      {"resets behind what it said",
       [](Client& client) {
         client.Say("EHLO\r\n");
         client.Reset();
       }},
      {"resets behind more than is read",
       [](Client& client) {
         client.Say(std::string(10'000, 'x'));
         client.Reset();
       }},
  };
  for (const auto& way : kWays) {
    RunInThread([&] {
      SCOPED_TRACE(way.first);
      Queue queue(OnePlace());
      Client& client = queue.Add(2);
      EXPECT_EQ(queue.waiting(), 1u);
      way.second(client);
      queue.session().RunFor(kSoon);
      EXPECT_EQ(queue.waiting(), 0u);
      EXPECT_EQ(queue.session().ended(), 1);
      EXPECT_EQ(queue.NextPlace(), kNoSocket);
    });
  }
}

// It has nothing more to say, and reads the answer.
TEST(PlaceQueue, AHalfClosedClientIsServed) {
  for (const bool by_tls : {false, true}) {
    RunInThread([by_tls] {
      Queue queue(OnePlace());
      Client& client = queue.Add(2);
      client.Say("all of it");
      if (by_tls) client.SayGoodbye();
      client.EndData();
      queue.session().RunFor(3 * kSoon);
      EXPECT_EQ(queue.waiting(), 1u);
      ASSERT_NE(queue.NextPlace(), kNoSocket);
      EXPECT_EQ(queue.Told(), "all of it");
      const std::string answer = "the answer";
      queue.session().world().Write(
          queue.held(), {reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
      queue.session().RunFor(milliseconds(10));
      EXPECT_EQ(client.Take(), answer);
    });
  }
}

TEST(PlaceQueue, WhatAClientSaysWhileItWaitsReachesTheServer) {
  RunInThread([] {
    Queue queue(OnePlace());
    Client& client = queue.Add(2);
    std::string words;
    for (int i = 0; i < 20; ++i) {
      const std::string more(i * 100, static_cast<char>('a' + i));
      client.Say(more);
      words += more;
      queue.session().RunFor(milliseconds(300));
    }
    ASSERT_NE(queue.NextPlace(), kNoSocket);
    std::string told;
    for (int i = 0; i < 100 && told.size() < words.size(); ++i) told += queue.Told();
    EXPECT_EQ(told, words);
  });
}

TEST(PlaceQueue, SourcesTakeTurns) {
  RunInThread([] {
    Queue queue(OnePlace());
    for (int i = 0; i < 10; ++i) queue.Add(3).Say("many");
    queue.Add(4).Say("one");
    queue.Add(5).Say("another");
    std::string order;
    for (int i = 0; i < 5; ++i) {
      ASSERT_NE(queue.NextPlace(), kNoSocket);
      order += queue.Told() + " ";
    }
    EXPECT_EQ(order, "many one another many many ");
  });
}

TEST(PlaceQueue, TheHeaviestSourceGivesItsYoungestUp) {
  RunInThread([] {
    Queue queue(OnePlace(4));
    queue.Add(3).Say("oldest");
    for (int i = 0; i < 2; ++i) queue.Add(3);
    Client& youngest = queue.Add(3);
    EXPECT_EQ(queue.waiting(), 4u);
    queue.Add(4).Say("quiet");
    EXPECT_EQ(queue.waiting(), 4u);
    EXPECT_TRUE(youngest.Ended());
    queue.session().RunFor(kLinger);
    EXPECT_EQ(queue.session().ended_for(EndReason::kBackendUnavailable), 1);
    // The same once more; then both sources have as many, and the next one is refused.
    for (int i = 0; i < 2; ++i) queue.Add(4);
    queue.session().RunFor(kLinger);
    EXPECT_EQ(queue.waiting(), 4u);
    EXPECT_EQ(queue.session().ended_for(EndReason::kBackendUnavailable), 3);
    ASSERT_NE(queue.NextPlace(), kNoSocket);
    EXPECT_EQ(queue.Told(), "oldest");
    ASSERT_NE(queue.NextPlace(), kNoSocket);
    EXPECT_EQ(queue.Told(), "quiet");
  });
}

// Three quarters of the places, and the rest is for others.
TEST(PlaceQueue, OneSourceLeavesPlacesToOthers) {
  RunInThread([] {
    Queue queue(FewPlaces(4));
    std::vector<SocketId> of_first = {queue.held()};
    for (int i = 0; i < 2; ++i) {
      queue.Add(1);
      of_first.push_back(queue.Accept());
      EXPECT_NE(of_first.back(), kNoSocket);
    }
    queue.Add(1).Say("more of one");
    queue.Add(1);
    EXPECT_EQ(queue.Accept(), kNoSocket) << "though a place is free";
    EXPECT_EQ(queue.waiting(), 2u);
    queue.Add(2);
    EXPECT_NE(queue.Accept(), kNoSocket) << "at once";
    EXPECT_EQ(queue.waiting(), 2u);
    // As many as are free are too few to let it have a third one again.
    EXPECT_EQ(queue.NextPlace(), kNoSocket);
    queue.session().world().Reset(of_first[1]);
    queue.session().RunFor(milliseconds(3'000));
    EXPECT_NE(queue.Accept(), kNoSocket);
    EXPECT_EQ(queue.Accept(), kNoSocket);
    EXPECT_EQ(queue.waiting(), 1u);
  });
}

// It stands for many users.
TEST(PlaceQueue, ATrustedSourceMayHaveAllPlaces) {
  RunInThread([] {
    Case with = FewPlaces(4);
    with.sources = {{.from = {*Cidr::Parse("192.0.2.1/32")},
                     .role = SourceRole::kTrusted,
                     .limits = kNoSourceLimits}};
    Queue queue(with);
    for (int i = 0; i < 3; ++i) {
      queue.Add(1);
      EXPECT_NE(queue.Accept(), kNoSocket);
    }
    EXPECT_EQ(queue.waiting(), 0u);
  });
}

// Perhaps it hangs: then it gives no place back.
TEST(PlaceQueue, ALongWaitDoubtsTheServersThatAreFull) {
  RunInThread([] {
    Queue queue(OnePlace());
    const std::atomic<bool>& suspected =
        queue.session().gateway().backends().server(0).state->suspected;
    queue.Add(2);
    queue.session().RunFor(milliseconds(kDoubtFullMs - 100));
    EXPECT_FALSE(suspected);
    queue.session().RunFor(milliseconds(200));
    EXPECT_TRUE(suspected);
    EXPECT_TRUE(queue.session().gateway().backends().server(0).up());
  });
}

}  // namespace
}  // namespace starling::sim
