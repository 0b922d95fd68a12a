// Which servers get sessions, and which sessions leave a server, where some are slow.
#include "gateway/upstream/pace.h"

#include <chrono>
#include <string>
#include <vector>

#include "gateway/upstream/upstream.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

using std::chrono::milliseconds;

constexpr MonoTime kStart{std::chrono::hours(1)};
constexpr MonoTime kNextTrial = kStart + milliseconds(2'000);
constexpr TimeLeft kWholeTime{.reach_ms = 5'000, .greeting_ms = 30'000};

BackendConfig Servers(size_t count) {
  BackendConfig config;
  config.name = "a";
  for (size_t i = 0; i < count; ++i) {
    config.servers.emplace_back(
        SocketAddress::Parse("127.0.0.1:" + std::to_string(1'000 + i)).value());
  }
  return config;
}

// How many of `count` sessions at `now` each server gets.
std::vector<int> Shares(Backends& backends, int count, MonoTime now = kStart) {
  std::vector<int> shares(backends.server_count());
  uint32_t cursor = 0;
  for (int i = 0; i < count; ++i) {
    const Backends::Picked picked =
        backends.Pick(0, {.cursor = &cursor, .now = now, .next_trial = now + milliseconds(2'000)});
    if (picked.server < 0) continue;
    ++shares[static_cast<size_t>(picked.server)];
    backends.Leave(static_cast<ServerId>(picked.server));
  }
  return shares;
}

Backends::Request RetryAfter(uint64_t tried, MonoTime now = kStart) {
  return {.tried = tried, .now = now, .retries = true};
}

TEST(ServerPace, IsWhatTheLatestSessionFound) {
  ServerPace pace;
  EXPECT_EQ(pace.pace(), Pace::kPrompt);
  pace.NoteSlow(Wait::kGreeting, kNextTrial);
  EXPECT_EQ(pace.pace(), Pace::kMute);
  pace.NoteAnswer(Wait::kReach, 0);
  EXPECT_EQ(pace.pace(), Pace::kMute) << "a connect says nothing about greetings";
  pace.NoteAnswer(Wait::kGreeting, 26'000);
  EXPECT_EQ(pace.pace(), Pace::kLate);
  EXPECT_TRUE(pace.Fits({.reach_ms = 0, .greeting_ms = 26'000}));
  EXPECT_FALSE(pace.Fits({.reach_ms = 5'000, .greeting_ms = 25'999}));
  pace.NoteSlow(Wait::kGreeting, kNextTrial);
  EXPECT_EQ(pace.pace(), Pace::kLate) << "it is as it was";
  pace.NoteMute(Wait::kGreeting, kNextTrial);
  EXPECT_EQ(pace.pace(), Pace::kMute);
  pace.NoteAnswer(Wait::kGreeting, 0);
  EXPECT_EQ(pace.pace(), Pace::kPrompt);
}

TEST(ServerPace, ASlowServerGetsOneSessionAtATime) {
  for (const Balance balance : {Balance::kRoundRobin, Balance::kLeastSessions}) {
    BackendConfig config = Servers(3);
    config.balance = balance;
    Backends backends({config});
    backends.NoteSlow(0, Wait::kGreeting, kNextTrial);
    EXPECT_EQ(Shares(backends, 30), (std::vector<int>{0, 15, 15}));
    const std::vector<int> shares = Shares(backends, 31, kNextTrial);
    EXPECT_EQ(shares[0], 1) << "it finds out whether the server is prompt again";
    EXPECT_NEAR(shares[1], shares[2], 1);
    EXPECT_EQ(Shares(backends, 30, kNextTrial)[0], 0);
    backends.server(0).state->pace.NoteAnswer(Wait::kGreeting, 0);
    EXPECT_EQ(Shares(backends, 30), (std::vector<int>{10, 10, 10}));
  }
}

TEST(ServerPace, WhereAllAreSlowAllGetTheirShare) {
  Backends backends({Servers(2)});
  for (const ServerId id : {0u, 1u}) backends.NoteSlow(id, Wait::kReach, kNextTrial);
  EXPECT_EQ(Shares(backends, 30), (std::vector<int>{15, 15}));
  // One that answers late is better than one that does not.
  backends.server(1).state->pace.NoteAnswer(Wait::kReach, 2'000);
  EXPECT_EQ(Shares(backends, 30), (std::vector<int>{0, 30}));
}

// One that is prompt and full, or down, does not help.
TEST(ServerPace, ASlowServerIsBetterThanNoPlace) {
  BackendConfig config = Servers(3);
  config.servers[1].max_sessions = 1;
  config.queue = 10;
  Backends backends({config});
  backends.MarkDown(2);
  uint32_t cursor = 1;
  EXPECT_EQ(backends.Pick(0, {.cursor = &cursor, .now = kStart}).server, 1);
  backends.NoteSlow(0, Wait::kGreeting, kNextTrial);
  EXPECT_EQ(Shares(backends, 10), (std::vector<int>{10, 0, 0}));
}

TEST(ServerPace, APromptBackupComesBeforeASlowServer) {
  BackendConfig config = Servers(3);
  config.servers[1].priority = 1;
  config.servers[2].priority = 2;
  config.servers[2].max_sessions = 1;
  Backends backends({config});
  backends.NoteSlow(0, Wait::kGreeting, kNextTrial);
  EXPECT_EQ(Shares(backends, 10), (std::vector<int>{0, 10, 0}));
  EXPECT_EQ(Shares(backends, 10, kNextTrial), (std::vector<int>{1, 9, 0}));
  backends.NoteSlow(1, Wait::kGreeting, kNextTrial + milliseconds(2'000));
  EXPECT_EQ(Shares(backends, 10, kNextTrial), (std::vector<int>{0, 0, 10}));
  backends.NoteSlow(2, Wait::kGreeting, kNextTrial + milliseconds(2'000));
  EXPECT_EQ(Shares(backends, 10, kNextTrial), (std::vector<int>{10, 0, 0})) << "all are alike";
}

// The places of a backup may be those of sessions that wait.
TEST(ServerPace, AFullBackupIsNoBetter) {
  BackendConfig config = Servers(2);
  config.servers[1].priority = 1;
  config.servers[1].max_sessions = 1;
  config.queue = 1;
  Backends backends({config});
  backends.NoteSlow(0, Wait::kGreeting, kNextTrial);
  EXPECT_TRUE(backends.JoinQueue(0));
  EXPECT_EQ(Shares(backends, 10), (std::vector<int>{10, 0}));
}

// What a session that has met the limit at server 0 does.
TEST(ServerPace, ASessionLeavesForABetterServerOnly) {
  Backends backends({Servers(2)});
  backends.NoteSlow(0, Wait::kReach, kNextTrial);
  EXPECT_TRUE(backends.HasSooner(0, RetryAfter(1), 0, kWholeTime));
  backends.NoteSlow(1, Wait::kReach, kNextTrial);
  EXPECT_FALSE(backends.HasSooner(0, RetryAfter(1), 0, kWholeTime)) << "it is no better";
  EXPECT_FALSE(backends.HasSooner(0, RetryAfter(1, kNextTrial), 0, kWholeTime))
      << "a session that has waited already need not find out";
  EXPECT_TRUE(backends.HasOther(0, RetryAfter(1), 0)) << "but it accepts";
  backends.server(1).state->pace.NoteAnswer(Wait::kReach, 2'000);
  EXPECT_TRUE(backends.HasSooner(0, RetryAfter(1), 0, {.reach_ms = 2'000, .greeting_ms = 1}));
  EXPECT_FALSE(backends.HasSooner(0, RetryAfter(1), 0, {.reach_ms = 1'999, .greeting_ms = 1}))
      << "its answer would come too late";
  backends.server(0).state->pace.NoteAnswer(Wait::kReach, 3'000);
  EXPECT_FALSE(backends.HasSooner(0, RetryAfter(1), 0, kWholeTime)) << "both answer late";
}

// A probe judges whether a slow server is up.
TEST(ServerPace, SlownessIsSuspectedAndEndsNoTrial) {
  Backends backends({Servers(1)});
  backends.MarkDown(0);
  backends.NoteProbe(0, true);
  backends.NoteSlow(0, Wait::kGreeting, kNextTrial);
  EXPECT_TRUE(backends.server(0).up());
  EXPECT_TRUE(backends.server(0).state->suspected);
}

}  // namespace
}  // namespace starling
