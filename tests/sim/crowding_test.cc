// A full session table in simulated time: whose session gives way, to whom, and what both are told.
//
// Not for: several listeners (simulation_test.cc draws them; tests/e2e/test_crowding.py).
#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/source_defaults.h"
#include "gateway/limits.h"
#include "tests/sim/coded_stream.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clients = std::vector<std::unique_ptr<PlainClient>>;

constexpr std::string_view kTooMany =
    "421 4.3.2 localhost Too many connections, try again later\r\n";

SourceRow Row(const char* from, SourceRole role) {
  return {.from = {*Cidr::Parse(from)}, .role = role, .limits = kNoSourceLimits};
}

Case Table(uint32_t sessions, uint32_t armed_accepts = 1) {
  Case with = {"Crowding",
               EndReason::kStopped,
               "smtp",
               TlsMode::kStartTls,
               ClientKind::kStream,
               BackendKind::kNormal,
               ServerKind::kUp,
               nullptr,
               0};
  with.sessions = sessions;
  with.armed_accepts = armed_accepts;
  with.new_sources_percent = 0;
  with.linger_ms = 2'000;
  with.sources = {Row("0.0.0.0/0", SourceRole::kClient)};
  return with;
}

// One of the clients of source `number`.
Endpoint Of(OneSession& session, uint8_t number) {
  Endpoint from = session.world().FreshEndpoint();
  from.ip = {203, 0, 113, number};
  return from;
}

std::unique_ptr<PlainClient> Connect(OneSession& session, uint8_t number) {
  return std::make_unique<PlainClient>(session, Of(session, number));
}

// They connect at the same moment.
Clients Connect(OneSession& session, uint8_t number, size_t count) {
  Clients clients;
  for (size_t i = 0; i < count; ++i) clients.push_back(Connect(session, number));
  return clients;
}

size_t Greeted(const Clients& clients) {
  size_t greeted = 0;
  for (const auto& client : clients) greeted += client->Take().starts_with("220 ") ? 1 : 0;
  return greeted;
}

// Fills the table and takes the greetings.
Clients Crowd(OneSession& session, uint8_t number, size_t count) {
  Clients clients = Connect(session, number, count);
  session.RunFor(milliseconds(50));
  EXPECT_EQ(Greeted(clients), count);
  return clients;
}

TEST(Crowding, TheOldestOfTheHeaviestGivesWay) {
  RunInThread([] {
    OneSession session(Table(8));
    const auto alone = Connect(session, 1);
    session.RunFor(milliseconds(1));
    const Clients crowd = Crowd(session, 2, 7);
    alone->Take();
    for (uint8_t number = 0; number < 5; ++number) {
      const auto quiet = Connect(session, static_cast<uint8_t>(10 + number));
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(quiet->Take().starts_with("220 "));
      EXPECT_EQ(crowd[number]->Take(), kTooMany) << int{number};
      quiet->Reset();
      session.RunFor(seconds(3));
      // A place is free now, and the crowd has it again.
      const auto again = Connect(session, 2);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(again->Take().starts_with("220 "));
      again->Reset();
      session.RunFor(milliseconds(10));
      const auto filler = Connect(session, 2);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(filler->Take().starts_with("220 "));
    }
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 5);
    EXPECT_EQ(alone->Take(), "");
    session.Finish();
  });
}

TEST(Crowding, TheHeaviestItselfIsRefused) {
  RunInThread([] {
    OneSession session(Table(8));
    const Clients crowd = Crowd(session, 2, 8);
    const auto more = Connect(session, 2);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(more->Take(), kTooMany);
    for (const auto& client : crowd) EXPECT_EQ(client->Take(), "");
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 0);
    session.Finish();
  });
}

// However many come at once, and though nobody of the crowd reads or closes: all are in.
TEST(Crowding, MoreComeAtOnceThanMayLeaveAtOnce) {
  for (const uint32_t accepts : {1u, 8u, 64u}) {
    RunInThread([accepts] {
      const uint32_t sessions = 4 * kLeavingSlots;
      OneSession session(Table(sessions, accepts));
      const Clients crowd = Crowd(session, 2, sessions);
      Clients quiet;
      for (uint32_t i = 0; i < 3 * kLeavingSlots; ++i) {
        quiet.push_back(Connect(session, static_cast<uint8_t>(10 + i)));
      }
      session.RunFor(milliseconds(100));
      EXPECT_EQ(Greeted(quiet), quiet.size());
      size_t told = 0;
      for (const auto& client : crowd) told += client->Take() == kTooMany ? 1 : 0;
      EXPECT_GT(told, 0u);
      session.RunFor(seconds(3));
      EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), static_cast<int>(quiet.size()));
      session.Finish();
    });
  }
}

// A crowd and quiet clients in the same turns: some have to go before they were greeted.
TEST(Crowding, AllComeInOneTurn) {
  RunInThread([] {
    OneSession session(Table(16, 64));
    const Clients crowd = Connect(session, 2, 40);
    Clients quiet;
    for (uint8_t i = 0; i < 10; ++i)
      quiet.push_back(Connect(session, static_cast<uint8_t>(10 + i)));
    session.RunFor(milliseconds(50));
    EXPECT_EQ(Greeted(quiet), quiet.size());
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 10);
    session.Finish();
  });
}

TEST(Crowding, WhereNoneIsHeavierTheOldestGoes) {
  RunInThread([] {
    OneSession session(Table(8));
    Clients crowd;
    for (uint8_t i = 0; i < 8; ++i) {
      crowd.push_back(Connect(session, static_cast<uint8_t>(10 + i)));
      session.RunFor(milliseconds(2));
    }
    EXPECT_EQ(Greeted(crowd), 8u);
    for (uint8_t i = 0; i < 8; ++i) {
      const auto quiet = Connect(session, static_cast<uint8_t>(100 + i));
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(quiet->Take().starts_with("220 "));
      EXPECT_EQ(crowd[i]->Take(), kTooMany);
    }
    session.Finish();
  });
}

TEST(Crowding, ProbesAndExemptSourcesStayAndGetIn) {
  for (const SourceRole role : {SourceRole::kProbe, SourceRole::kExempt}) {
    RunInThread([role] {
      Case with = Table(8);
      with.sources.push_back(Row("203.0.113.1", role));
      OneSession session(with);
      const Clients privileged = Crowd(session, 1, 6);
      const Clients crowd = Crowd(session, 2, 2);
      const auto first = Connect(session, 1);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(first->Take().starts_with("220 "));
      EXPECT_EQ(crowd[0]->Take(), kTooMany);
      const auto quiet = Connect(session, 3);
      session.RunFor(milliseconds(10));
      EXPECT_EQ(crowd[1]->Take(), kTooMany);
      // Now nobody is left who would go.
      quiet->Reset();
      session.RunFor(milliseconds(10));
      const auto last = Connect(session, 1);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(last->Take().starts_with("220 "));
      const auto late = Connect(session, 3);
      session.RunFor(milliseconds(10));
      EXPECT_EQ(late->Take(), kTooMany);
      for (const auto& client : privileged) EXPECT_EQ(client->Take(), "");
      session.Finish();
    });
  }
}

TEST(Crowding, ATrustedSourceWeighsLess) {
  RunInThread([] {
    Case with = Table(kHalfOpenOfMany + 8);
    with.sources.push_back(Row("203.0.113.1", SourceRole::kTrusted));
    OneSession session(with);
    const Clients webmail = Crowd(session, 1, kHalfOpenOfMany + 5);  // weighs as two
    const Clients crowd = Crowd(session, 2, 3);
    session.RunFor(kFreshHalfOpen);
    const auto first = Connect(session, 3);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(crowd[0]->Take(), kTooMany);
    // The webmail weighs no more than the crowd now; it has been so heavy for longer.
    const auto second = Connect(session, 4);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(webmail[0]->Take(), kTooMany);
    EXPECT_TRUE(first->Take().starts_with("220 "));
    EXPECT_TRUE(second->Take().starts_with("220 "));
    session.Finish();
  });
}

// Ten users of a webmail server come at the same moment, and each address of a crowd has but one
// session. As one source the server is no heavier than that.
TEST(Crowding, ManyUsersOfOneAddressGetInTogether) {
  for (const uint8_t each : {1, 2, 3}) {
    RunInThread([each] {
      constexpr size_t kUsers = 10;
      Case with = Table(24u * each, 16);
      with.sources.push_back(Row("203.0.113.1", SourceRole::kTrusted));
      OneSession session(with);
      std::vector<Clients> crowd;
      for (uint8_t i = 0; i < 24; ++i) crowd.push_back(Crowd(session, uint8_t(10 + i), each));
      const Clients users = Connect(session, 1, kUsers);
      session.RunFor(milliseconds(50));
      EXPECT_EQ(Greeted(users), kUsers);
      for (const auto& user : users) EXPECT_EQ(user->Take(), "");
      // With the sixteenth user its weight is still that of one session, with the next one no more.
      session.RunFor(kFreshHalfOpen - milliseconds(100 * each));
      const Clients more = Connect(session, 1, kHalfOpenOfMany - kUsers + 1);
      session.RunFor(milliseconds(50));
      EXPECT_EQ(Greeted(more), more.size());
      session.Finish();
    });
  }
}

// A mail program opens four at the same moment, and each address of a crowd has but one or two.
TEST(Crowding, AMailProgramGetsInWithAllThatItOpens) {
  for (const uint8_t each : {1, 2}) {
    for (const seconds later : {seconds(0), seconds(20)}) {
      RunInThread([each, later] {
        OneSession session(Table(24u * each, 16));
        std::vector<Clients> crowd;
        for (uint8_t i = 0; i < 24; ++i) crowd.push_back(Crowd(session, uint8_t(10 + i), each));
        session.RunFor(later);
        const Clients program = Connect(session, 1, kFewSessions);
        session.RunFor(milliseconds(20));
        // The crowd goes on: its places are older than those of the program.
        Clients more;
        for (uint8_t i = 0; i < 10; ++i) {
          more.push_back(Connect(session, uint8_t(100 + i)));
          session.RunFor(milliseconds(5));
        }
        EXPECT_EQ(Greeted(program), kFewSessions);
        EXPECT_EQ(Greeted(more), more.size());
        for (const auto& client : program) EXPECT_EQ(client->Take(), "");
        session.Finish();
      });
    }
  }
}

// One of them is open for long. For the next ones it takes places that were held for long.
TEST(Crowding, AMailProgramOpensOneMoreLater) {
  RunInThread([] {
    OneSession session(Table(8));
    const auto first = Connect(session, 1);
    Clients crowd;
    for (uint8_t i = 0; i < 7; ++i) crowd.push_back(Connect(session, uint8_t(10 + i)));
    session.RunFor(kFreshHalfOpen - milliseconds(10));
    for (size_t i = 0; i < crowd.size(); ++i) {
      crowd[i]->Reset();
      session.RunFor(milliseconds(1));
      crowd[i] = Connect(session, uint8_t(10 + i));
    }
    session.RunFor(milliseconds(50));
    EXPECT_TRUE(first->Take().starts_with("220 "));
    const auto early = Connect(session, 1);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(early->Take(), kTooMany) << "the others have only just come";
    session.RunFor(kFreshHalfOpen);
    const auto late = Connect(session, 1);
    session.RunFor(milliseconds(10));
    EXPECT_TRUE(late->Take().starts_with("220 "));
    EXPECT_EQ(first->Take(), "");
    session.Finish();
  });
}

// It answers each word after a while, and in that time half of the table comes anew.
TEST(Crowding, WhoNeedsARoundTripForEachStepStays) {
  RunInThread([] {
    constexpr uint32_t kPlaces = 20;
    OneSession session(Table(kPlaces));
    Clients crowd;
    uint8_t number = 10;
    const auto come = [&](uint32_t count) {
      for (uint32_t i = 0; i < count; ++i) {
        crowd.push_back(Connect(session, number++));
        session.RunFor(milliseconds(5));
      }
    };
    come(kPlaces);
    const auto slow = Connect(session, 1);
    come(kPlaces / 2 + 4);
    EXPECT_TRUE(slow->Take().starts_with("220 "));
    slow->Say("EHLO client\r\n");
    come(kPlaces / 2 + 4);
    EXPECT_TRUE(slow->Take().starts_with("250-"));
    slow->Say("STARTTLS\r\n");
    come(kPlaces / 2 + 4);
    EXPECT_TRUE(slow->Take().starts_with("220 "));
    session.Finish();
  });
}

// A webmail server has some half-open session all the time, each of them for a moment.
TEST(Crowding, ABusyAddressStaysWhereSilentOnesAreOlder) {
  RunInThread([] {
    Case with = Table(8);
    with.sources.push_back(Row("203.0.113.1", SourceRole::kTrusted));
    OneSession session(with);
    Clients users = Crowd(session, 1, 2);
    Clients silent;
    for (uint8_t i = 0; i < 6; ++i) silent.push_back(Connect(session, uint8_t(10 + i)));
    session.RunFor(milliseconds(10));
    EXPECT_EQ(Greeted(silent), 6u);
    for (const size_t leaves : {0u, 1u}) {
      users[leaves]->Reset();
      session.RunFor(milliseconds(10));
      users.push_back(Connect(session, 1));
      session.RunFor(milliseconds(10));
    }
    const auto quiet = Connect(session, 30);
    session.RunFor(milliseconds(10));
    EXPECT_TRUE(quiet->Take().starts_with("220 "));
    EXPECT_EQ(silent[0]->Take(), kTooMany);
    session.Finish();
  });
}

// The listener has as many sessions as it may, and the table has room.
TEST(Crowding, InAFullListenerOneOfItsOwnGivesWay) {
  for (const uint32_t reserved : {0u, 2u, 8u}) {
    RunInThread([reserved] {
      Case with = Table(16);
      with.change = [reserved](Config& config) {
        config.listeners[0].limits.most_sessions = 8;
        config.listeners[0].limits.reserved_sessions = reserved;
      };
      OneSession session(with);
      const auto alone = Connect(session, 1);
      session.RunFor(milliseconds(1));
      const Clients crowd = Crowd(session, 2, 7);
      alone->Take();
      const auto more = Connect(session, 2);
      session.RunFor(milliseconds(10));
      EXPECT_EQ(more->Take(), kTooMany) << "of the crowd itself";
      const auto quiet = Connect(session, 3);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(quiet->Take().starts_with("220 "));
      EXPECT_EQ(crowd[0]->Take(), kTooMany);
      EXPECT_EQ(crowd[1]->Take(), "");
      EXPECT_EQ(alone->Take(), "");
      session.RunFor(seconds(3));
      EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 1);
      session.Finish();
    });
  }
}

TEST(Crowding, AListenerGetsALimitWhileItIsFull) {
  RunInThread([] {
    Config* config = nullptr;
    Case with = Table(16);
    with.change = [&config](Config& made) { config = &made; };
    OneSession session(with);
    const Clients crowd = Crowd(session, 2, 6);
    config->listeners[0].limits.most_sessions = 6;
    session.gateway().Reload();
    session.RunFor(milliseconds(10));
    const auto quiet = Connect(session, 3);
    session.RunFor(milliseconds(10));
    EXPECT_TRUE(quiet->Take().starts_with("220 "));
    EXPECT_EQ(crowd[0]->Take(), kTooMany);
    session.Finish();
  });
}

// With a plaintext leg a session is half-open while the next word is the client's, or while
// nothing has moved for long.
TEST(Crowding, APlaintextLegGivesWayWhileItsClientIsSilent) {
  struct Step {
    std::string_view said;
    size_t lines;  // of the mail, after that
    seconds later;
    bool gives_way;
  };
  for (const Step& step :
       {Step{"", 0, seconds(0), true}, Step{"RCPT T", 0, seconds(0), true},
        Step{"DATA\r\n", 0, seconds(0), true}, Step{"DATA\r\n", 2, seconds(0), false},
        Step{"DATA\r\n", 2, kStalledLeg - seconds(2), false},
        Step{"DATA\r\n", 2, kStalledLeg + seconds(1), true}}) {
    RunInThread([&step] {
      Case with = Table(2);
      with.dialogue.policy = Policy::kOpportunistic;
      with.servers_of_legs = true;
      OneSession session(with);
      PlainClient silent(session, session.plan().endpoint);
      for (const std::string_view line : {"EHLO client\r\n", "MAIL FROM:<a@b.example>\r\n"}) {
        session.RunFor(milliseconds(20));
        silent.Say(line);
      }
      session.RunFor(milliseconds(20));
      silent.Say(step.said);
      session.RunFor(milliseconds(20));
      silent.Say(CodedText(session.plan().id, 0, step.lines * kTextLine));
      session.RunFor(step.later + milliseconds(20));
      EXPECT_NE(silent.Take().find("250 "), std::string::npos);
      const auto other = std::make_unique<PlainClient>(session);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(other->Take().starts_with("220 "));
      const auto quiet = Connect(session, 3);
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(quiet->Take().starts_with("220 "));
      EXPECT_EQ(silent.Take(), step.gives_way ? kTooMany : "") << step.said << step.lines;
      EXPECT_EQ(other->Take(), step.gives_way ? "" : kTooMany) << step.said << step.lines;
      session.Finish();
    });
  }
}

// The client's octets are on their way to the server, which has said all that it had to.
TEST(Crowding, APlaintextLegStaysFromTheMomentItsClientSpeaks) {
  int seen = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    RunInThread([seed, &seen] {
      Case with = Table(1);
      with.seed = seed;
      with.dialogue.policy = Policy::kOpportunistic;
      with.servers_of_legs = true;
      OneSession session(with);
      PlainClient client(session, session.plan().endpoint);
      for (const std::string_view line :
           {"EHLO client\r\n", "MAIL FROM:<a@b.example>\r\n", "DATA\r\n"}) {
        session.RunFor(milliseconds(20));
        client.Say(line);
      }
      session.RunFor(milliseconds(20));
      client.Take();
      GatewayFixture& gateway = session.gateway();
      const uint64_t octets = gateway.Octets(0);
      const uint64_t accepted = gateway.Accepted();
      client.Say(CodedText(session.plan().id, 0, 2 * kTextLine));
      std::unique_ptr<PlainClient> newcomer;
      session.world().At(session.world().now() + std::chrono::nanoseconds(200 * seed),
                         [&] { newcomer = Connect(session, 3); });
      bool spoke = false;
      while (gateway.Accepted() == accepted) {
        spoke = gateway.Octets(0) > octets;
        gateway.Turn();
      }
      session.RunFor(milliseconds(10));
      if (spoke) {
        ++seen;
        EXPECT_EQ(newcomer->Take(), kTooMany) << seed;
        EXPECT_EQ(client.Take(), "") << seed;
      }
      session.Finish();
    });
  }
  EXPECT_GT(seen, 0);
}

// Its half-open sessions alone would make a source that has established ones a quiet one.
TEST(Crowding, WhoHasManySessionsTakesNoPlaceOfOneThatHasOnlyJustCome) {
  RunInThread([] {
    Case with = Table(kFewSessions + 1);
    with.protocol = "imap";
    with.tls = TlsMode::kImplicit;
    OneSession session(with);
    std::list<HandClient> established;
    while (established.size() < kFewSessions) established.emplace_back(session);
    session.RunFor(milliseconds(50));
    const auto fresh = Connect(session, 3);
    session.RunFor(milliseconds(50));
    Endpoint same = session.world().FreshEndpoint();
    same.ip = session.plan().endpoint.ip;
    const PlainClient refused(session, same);
    session.RunFor(milliseconds(50));
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 0);
    // A new source gets the place at once.
    const auto other = Connect(session, 4);
    session.RunFor(milliseconds(50));
    EXPECT_NE(fresh->Take(), "");
    // And the other one gets it after a while.
    session.RunFor(kFreshHalfOpen);
    same.port = static_cast<uint16_t>(same.port + 1);
    const PlainClient late(session, same);
    session.RunFor(milliseconds(50));
    EXPECT_NE(other->Take(), "");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 2);
    session.Finish();
  });
}

// A mail program opens a few at once, and its address counts the one that it has just closed.
TEST(Crowding, WhoHasAFewSessionsTakesTheOldestPlaceAtOnce) {
  RunInThread([] {
    Case with = Table(kFewSessions);
    with.protocol = "imap";
    with.tls = TlsMode::kImplicit;
    OneSession session(with);
    std::list<HandClient> established;
    while (established.size() < kFewSessions - 1) established.emplace_back(session);
    const auto silent = Connect(session, 3);
    session.RunFor(milliseconds(50));
    established.emplace_back(session);
    EXPECT_NE(silent->Take(), "");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 1);
    session.Finish();
  });
}

TEST(Crowding, WhoHasSaidQuitAndStaysGivesWay) {
  RunInThread([] {
    OneSession session(Table(4));
    Clients crowd;
    for (uint8_t number = 1; number <= 4; ++number) crowd.push_back(Connect(session, number));
    session.RunFor(milliseconds(10));
    EXPECT_EQ(Greeted(crowd), 4u);
    for (const auto& client : crowd) client->Say("QUIT\r\n");
    session.RunFor(milliseconds(10));
    for (const auto& client : crowd) EXPECT_TRUE(client->Take().starts_with("221 "));
    EXPECT_EQ(session.ended(), 0);
    for (uint8_t number = 0; number < 4; ++number) {
      const auto quiet = Connect(session, static_cast<uint8_t>(10 + number));
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(quiet->Take().starts_with("220 "));
      EXPECT_EQ(session.ended(), number + 1);
    }
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 0);
    session.Finish();
  });
}

TEST(Crowding, WhoComesAroundTheBalancerTakesNoPlace) {
  RunInThread([] {
    Case with = Table(4);
    with.sources = {Row("203.0.113.2/32", SourceRole::kBalancer),
                    Row("0.0.0.0/0", SourceRole::kClient)};
    with.change = [](Config& config) {
      config.listeners[0].proxy_in.from = {*Cidr::Parse("203.0.113.2/32")};
    };
    OneSession session(with);
    const Clients behind = Connect(session, 2, 4);  // their headers are still to come
    session.RunFor(milliseconds(10));
    const auto around = Connect(session, 9);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(around->Take(), kTooMany);
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 0);
    for (const auto& client : behind) EXPECT_EQ(client->Take(), "");
    session.Finish();
  });
}

// Of a listener that load balancers and clients reach.
Case BehindABalancer(uint32_t sessions) {
  Case with = Table(sessions, 16);
  with.sources.push_back(Row("203.0.113.2/32", SourceRole::kBalancer));
  return with;
}

// One of the users of source `number` that the balancer connects.
std::unique_ptr<PlainClient> ConnectBehind(OneSession& session, uint8_t number) {
  auto client = Connect(session, 2);
  client->Say("PROXY TCP4 192.0.2." + std::to_string(number) + " 203.0.113.250 1000 25\r\n");
  return client;
}

TEST(Crowding, UsersBehindABalancerGetInTogether) {
  for (const uint8_t each : {1, 2, 3}) {
    RunInThread([each] {
      OneSession session(BehindABalancer(24u * each));
      std::vector<Clients> crowd;
      for (uint8_t i = 0; i < 24; ++i) crowd.push_back(Crowd(session, uint8_t(10 + i), each));
      Clients users;
      for (uint8_t i = 0; i < 10; ++i) users.push_back(ConnectBehind(session, uint8_t(1 + i)));
      session.RunFor(milliseconds(50));
      EXPECT_EQ(Greeted(users), 10u);
      session.RunFor(seconds(3));
      EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 10);
      session.Finish();
    });
  }
}

// It is refused as soon as the header says who it is.
TEST(Crowding, WhoIsRefusedBehindABalancerTakesNoPlace) {
  RunInThread([] {
    Case with = BehindABalancer(8);
    with.sources.push_back(Row("192.0.2.9/32", SourceRole::kClient));
    with.sources.back().limits.sessions = 1;
    OneSession session(with);
    const auto first = ConnectBehind(session, 9);
    Clients others;
    for (uint8_t i = 0; i < 7; ++i) others.push_back(Connect(session, uint8_t(10 + i)));
    session.RunFor(milliseconds(50));
    EXPECT_TRUE(first->Take().starts_with("220 "));
    EXPECT_EQ(Greeted(others), 7u);
    Clients over;
    for (uint8_t i = 0; i < 5; ++i) over.push_back(ConnectBehind(session, 9));
    session.RunFor(milliseconds(50));
    for (const auto& client : over) EXPECT_EQ(client->Take(), kTooMany);
    for (const auto& client : others) EXPECT_EQ(client->Take(), "");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kSourceSessions), 5);
    EXPECT_EQ(session.ended_for(EndReason::kCrowdedOut), 0);
    session.Finish();
  });
}

// More of them than may arrive at once: they take places of one another.
TEST(Crowding, WhoSendsNoHeaderTakesNoPlaceOfOthers) {
  for (const uint32_t accepts : {1u, 64u}) {
    RunInThread([accepts] {
      Case with = BehindABalancer(8);
      with.armed_accepts = accepts;
      OneSession session(with);
      const Clients crowd = Crowd(session, 10, 8);
      const Clients silent = Connect(session, 2, 3 * kArrivingSlots);
      session.RunFor(milliseconds(100));
      for (const auto& client : crowd) EXPECT_EQ(client->Take(), "");
      const auto user = ConnectBehind(session, 3);
      session.RunFor(milliseconds(50));
      EXPECT_TRUE(user->Take().starts_with("220 "));
      EXPECT_EQ(crowd[0]->Take(), kTooMany);
      EXPECT_EQ(crowd[1]->Take(), "");
      // A place that is free goes to those that have one coming.
      crowd[2]->Reset();
      session.RunFor(milliseconds(50));
      const auto next = ConnectBehind(session, 4);
      session.RunFor(milliseconds(50));
      EXPECT_TRUE(next->Take().starts_with("220 "));
      session.Finish();
    });
  }
}

// Those whose place has to be made free wait until it is.
TEST(Crowding, ManyBehindABalancerAtOnce) {
  RunInThread([] {
    const uint32_t sessions = 4 * kLeavingSlots;
    Case with = BehindABalancer(sessions);
    with.armed_accepts = 64;
    OneSession session(with);
    const Clients crowd = Crowd(session, 10, sessions);
    Clients users;
    for (uint32_t i = 0; i < 3 * kLeavingSlots; ++i) {
      users.push_back(ConnectBehind(session, uint8_t(1 + i)));
    }
    session.RunFor(milliseconds(200));
    EXPECT_GE(Greeted(users), size_t{kArrivingSlots});
    session.RunFor(seconds(3));
    session.Finish();
  });
}

TEST(Crowding, NobodyIsLostWhenAllStops) {
  for (const bool at_once : {false, true}) {
    RunInThread([at_once] {
      const uint32_t sessions = 4 * kLeavingSlots;
      OneSession session(Table(sessions, 64));
      const Clients crowd = Crowd(session, 2, sessions);
      Clients quiet;
      for (uint32_t i = 0; i < 3 * kLeavingSlots; ++i) {
        quiet.push_back(Connect(session, static_cast<uint8_t>(10 + i)));
      }
      session.world().At(session.world().now() + std::chrono::microseconds(60),
                         [&session] { session.world().Interrupt(); });
      session.gateway().Turn();
      session.gateway().Turn();
      session.gateway().worker().StopAccepting();
      if (!at_once) session.gateway().worker().EndSessions();
      session.Finish();
    });
  }
}

}  // namespace
}  // namespace starling::sim
