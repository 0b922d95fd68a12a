#include "gateway/upstream/upstream.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

BackendConfig Servers(const char* name, size_t count) {
  BackendConfig config;
  config.name = name;
  for (size_t i = 0; i < count; ++i) {
    config.servers.emplace_back(
        SocketAddress::Parse("127.0.0.1:" + std::to_string(1000 + i)).value());
  }
  return config;
}

constexpr MonoTime kStart{std::chrono::hours(1)};

int Pick(Backends& backends, uint32_t backend, uint32_t& cursor, uint64_t tried = 0,
         MonoTime now = kStart) {
  return backends.Pick(backend, {.cursor = &cursor, .tried = tried, .now = now}).server;
}

constexpr TimeLeft kWholeTime{.reach_ms = 5'000, .greeting_ms = 30'000};

// The order in which a session tries the servers.
std::vector<int> Order(Backends& backends, uint32_t backend, uint32_t cursor) {
  std::vector<int> order;
  uint64_t tried = 0;
  for (int index; (index = Pick(backends, backend, cursor, tried)) >= 0;) {
    order.push_back(index);
    tried |= uint64_t{1} << index;
    backends.Leave(backends.IdOf(backend, index));
  }
  return order;
}

bool Woken(const Backends& backends) {
  pollfd fd{backends.wake_fd(), POLLIN, 0};
  if (poll(&fd, 1, 0) != 1) return false;
  uint64_t count;
  EXPECT_EQ(read(backends.wake_fd(), &count, sizeof count), 8);
  return true;
}

TEST(Backends, IdsAndNames) {
  const Backends backends({Servers("a", 2), Servers("b", 3)});
  EXPECT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends.server_count(), 5u);
  EXPECT_EQ(backends.IdOf(0, 1), 1u);
  EXPECT_EQ(backends.IdOf(1, 2), 4u);
  EXPECT_EQ(backends.BackendOf(4), 1u);
  EXPECT_EQ(backends.server(4).name, "127.0.0.1:1002");
  EXPECT_EQ(backends.config(1).name, "b");
  EXPECT_EQ(backends.ServersOf(1).data(), &backends.server(2));
}

TEST(Backends, PickGoesRound) {
  Backends backends({Servers("a", 1), Servers("b", 3)});
  uint32_t cursor = 0;
  for (const int want : {0, 1, 2, 0, 1, 2, 0}) EXPECT_EQ(Pick(backends, 1, cursor), want);
}

TEST(Backends, EachServerOnceASession) {
  Backends backends({Servers("a", 3)});
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(Order(backends, 0, 2), (std::vector<int>{2, 0, 1}));
}

TEST(Backends, ServersThatAreDownComeLast) {
  Backends backends({Servers("a", 4)});
  backends.MarkDown(0);
  backends.MarkDown(2);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{1, 3, 0, 2}));
  EXPECT_EQ(Order(backends, 0, 3), (std::vector<int>{3, 1, 2, 0}));
  // The servers that are up share the load evenly.
  uint32_t cursor = 0;
  for (const int want : {1, 3, 1, 3}) EXPECT_EQ(Pick(backends, 0, cursor), want);
  backends.MarkUp(0, kStart);
  // A second later it has its share again, but not all of it at once.
  EXPECT_EQ(Order(backends, 0, 0).back(), 2);
}

TEST(Backends, SixtyFourServersAndNoMore) {
  Backends backends({Servers("a", 70), Servers("b", 1), Servers("none", 0)});
  EXPECT_EQ(Order(backends, 0, 0).size(), 64u);
  EXPECT_EQ(Order(backends, 0, 63).front(), 63);
  EXPECT_EQ(backends.IdOf(1, 0), 64u);
  EXPECT_TRUE(Order(backends, 2, 0).empty());
}

TEST(Backends, MarkDownWakesTheProberOnce) {
  Backends backends({Servers("a", 2)});
  EXPECT_FALSE(Woken(backends));
  backends.MarkDown(1);
  EXPECT_TRUE(Woken(backends));
  backends.MarkDown(1);
  EXPECT_FALSE(Woken(backends));
}

// A session that suspects a server does not judge it.
TEST(Backends, SuspectWakesTheProberOnce) {
  Backends backends({Servers("a", 2)});
  backends.Suspect(1);
  EXPECT_TRUE(Woken(backends));
  EXPECT_TRUE(backends.server(1).up());
  EXPECT_TRUE(backends.server(1).state->suspected);
  backends.Suspect(1);
  EXPECT_FALSE(Woken(backends));
}

// A server that a probe found well again gets one session, and the others when that is well.
TEST(Backends, OneTrialBeforeTheRest) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(1);
  backends.NoteProbe(1, true);
  EXPECT_TRUE(backends.server(1).up()) << "for metrics and /readyz it is up";
  uint32_t cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Pick(backends, 0, cursor), 0);
  backends.MarkUp(1, kStart);
  std::vector<int> chosen(2);
  for (int i = 0; i < 100; ++i) ++chosen[static_cast<size_t>(Pick(backends, 0, cursor))];
  EXPECT_GT(chosen[1], 0);
}

TEST(Backends, AFailedTrialPutsTheServerDown) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(1);
  backends.NoteProbe(1, true);
  uint32_t cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 1);
  backends.Suspect(1);
  EXPECT_FALSE(backends.server(1).up());
}

// A refusal may concern the client that has the trial alone.
TEST(Backends, ARefusalDuringATrialLeavesItToTheNextSession) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(1);
  backends.NoteProbe(1, true);
  uint32_t cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 1);
  EXPECT_TRUE(Woken(backends));
  backends.NoteRefusal(1);
  EXPECT_TRUE(backends.server(1).up());
  EXPECT_TRUE(backends.server(1).state->suspected);
  EXPECT_TRUE(Woken(backends)) << "a probe judges";
  cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 1) << "the next one has the trial at once";
  cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 0);
  // One that refuses long after the trial is judged by probes alone.
  backends.MarkUp(1, kStart);
  backends.NoteRefusal(1);
  EXPECT_EQ(backends.server(1).state->health.load(), Health::kUp);
}

// Without a trial, sessions would try the server that is down.
TEST(Backends, NobodyWaitsForTheTrialOfTheOnlyServerLeft) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(0);
  backends.MarkDown(1);
  backends.NoteProbe(1, true);
  uint32_t cursor = 0;
  EXPECT_EQ(Pick(backends, 0, cursor), 1) << "the trial";
  EXPECT_GE(Pick(backends, 0, cursor), 0);
  EXPECT_EQ(Order(backends, 0, 0).size(), 2u);
}

// The session that had the trial may vanish.
TEST(Backends, ATrialDoesNotLastForEver) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(1);
  backends.NoteProbe(1, true);
  uint32_t cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor), 1);
  cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor, 0, kStart + std::chrono::milliseconds(9'999)), 0);
  cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor, 0, kStart + std::chrono::milliseconds(10'000)), 1);
}

TEST(Backends, AConnectEndsATrialAndProvesNothingElse) {
  Backends backends({Servers("a", 1)});
  backends.MarkDown(0);
  backends.ConfirmTrial(0, kStart);
  EXPECT_FALSE(backends.server(0).up());
  backends.NoteProbe(0, true);
  backends.ConfirmTrial(0, kStart);
  EXPECT_EQ(backends.server(0).state->health.load(), Health::kUp);
}

// Of 1,000 sessions, those that the second of two servers gets `age` after it came up.
int ShareAfter(std::chrono::milliseconds age) {
  Backends backends({Servers("a", 2)});
  backends.MarkDown(1);
  backends.MarkUp(1, kStart);
  uint32_t cursor = 0;
  int second = 0;
  for (int i = 0; i < 1'000; ++i) second += Pick(backends, 0, cursor, 0, kStart + age);
  return second;
}

TEST(Backends, SlowStart) {
  using std::chrono::milliseconds;
  EXPECT_NEAR(ShareAfter(milliseconds(0)), 91, 5);  // a tenth beside a whole
  EXPECT_NEAR(ShareAfter(milliseconds(5'000)), 333, 5);
  EXPECT_NEAR(ShareAfter(milliseconds(10'000)), 500, 1);
}

TEST(Backends, ThePriorityWithAServerUp) {
  BackendConfig config = Servers("a", 4);
  config.servers[0].priority = config.servers[2].priority = 7;
  Backends backends({config});
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{1, 3, 0, 2}));
  backends.MarkDown(1);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{3, 0, 2, 1}));
  backends.MarkDown(3);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{0, 2, 3, 1}));
}

TEST(Backends, AServerThatDrainsGetsNoSession) {
  BackendConfig config = Servers("a", 2);
  config.servers[0].drains = true;
  Backends backends({config});
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{1}));
  backends.MarkDown(1);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{1})) << "not even if no other is left";
  EXPECT_EQ(backends.FirstUnavailable(), "a");
  EXPECT_FALSE(backends.HasOther(0, {.tried = 2, .now = kStart}, 1));
}

TEST(Backends, PlacesAreLimited) {
  BackendConfig config = Servers("a", 2);
  config.servers[0].max_sessions = 1;
  config.servers[1].max_sessions = 2;
  Backends backends({config});
  uint32_t cursor = 0;
  std::vector<int> chosen;
  for (int i = 0; i < 3; ++i) chosen.push_back(Pick(backends, 0, cursor));
  std::ranges::sort(chosen);
  EXPECT_EQ(chosen, (std::vector<int>{0, 1, 1}));
  EXPECT_TRUE(backends.Pick(0, {.cursor = &cursor, .now = kStart}).full);
  backends.Leave(0);
  EXPECT_EQ(Pick(backends, 0, cursor), 0);
}

// Those that wait have the places that become free.
TEST(Backends, TheQueueComesFirst) {
  BackendConfig config = Servers("a", 1);
  config.servers[0].max_sessions = 1;
  config.queue = 1;
  Backends backends({config});
  uint32_t cursor = 0;
  EXPECT_EQ(Pick(backends, 0, cursor), 0);
  EXPECT_TRUE(backends.JoinQueue(0));
  EXPECT_FALSE(backends.JoinQueue(0)) << "the queue is full";
  backends.Leave(0);
  EXPECT_TRUE(backends.Pick(0, {.cursor = &cursor, .now = kStart}).full);
  EXPECT_EQ(backends.Pick(0, {.cursor = &cursor, .now = kStart, .waited = true}).server, 0);
  backends.LeaveQueue(0);
  EXPECT_TRUE(backends.JoinQueue(0));
}

// A session that has tried the other servers waits for this one alone.
TEST(Backends, NobodyWaitsWhereThereArePlacesForAll) {
  BackendConfig config = Servers("a", 2);
  config.servers[0].max_sessions = 1;
  config.servers[1].max_sessions = 2;
  config.queue = 1;
  Backends backends({config});
  uint32_t cursor = 0;
  EXPECT_EQ(Pick(backends, 0, cursor), 0);
  EXPECT_TRUE(backends.Pick(0, {.cursor = &cursor, .tried = 0b10, .now = kStart}).full);
  EXPECT_TRUE(backends.JoinQueue(0));
  EXPECT_EQ(Pick(backends, 0, cursor), 1);
  EXPECT_TRUE(backends.Pick(0, {.cursor = &cursor, .now = kStart}).full) << "the last place";
}

// A cancel request goes to each server, since any of them may have the query.
TEST(Backends, AMessageForAllReachesServersThatTakeNoSession) {
  BackendConfig config = Servers("a", 3);
  config.servers[0].drains = true;
  config.servers[1].max_sessions = 1;
  config.queue = 1;
  Backends backends({config});
  uint32_t cursor = 0;
  EXPECT_EQ(Pick(backends, 0, cursor, 0b101), 1) << "it is full now";
  EXPECT_TRUE(backends.JoinQueue(0));
  uint64_t reached = 0;
  for (int i = 0; i < 3; ++i) {
    const Backends::Picked picked =
        backends.Pick(0, {.cursor = &cursor, .tried = reached, .now = kStart, .all = true});
    ASSERT_GE(picked.server, 0);
    reached |= uint64_t{1} << picked.server;
    backends.Leave(backends.IdOf(0, picked.server));
  }
  EXPECT_EQ(reached, 0b111u);
  const Backends::Picked none =
      backends.Pick(0, {.cursor = &cursor, .tried = reached, .now = kStart, .all = true});
  EXPECT_EQ(none.server, -1);
  EXPECT_FALSE(none.full);
  EXPECT_EQ(backends.server(1).state->sessions.count(), 1u);
}

// A reload does not forget the sessions of the configuration before.
TEST(Backends, InheritsHealthAndPlaces) {
  BackendConfig config = Servers("a", 2);
  config.servers[0].max_sessions = 1;
  Backends before({config});
  uint32_t cursor = 0;
  EXPECT_EQ(Pick(before, 0, cursor), 0);
  before.MarkDown(1);
  Backends after({config});
  after.Inherit(before);
  EXPECT_FALSE(after.server(1).up());
  EXPECT_TRUE(after.Pick(0, {.cursor = &cursor, .now = kStart}).full);
  before.Leave(0);
  EXPECT_EQ(Pick(after, 0, cursor), 0);
}

// Sessions of the configuration before live on. They hear what the prober finds out now, and the
// prober hears them.
TEST(Backends, SharesWhatIsKnownWithTheConfigurationBefore) {
  Backends before({Servers("a", 3)});
  Backends after({Servers("a", 2)});
  after.Inherit(before);
  before.Suspect(1);
  EXPECT_TRUE(Woken(after));
  EXPECT_TRUE(after.server(1).state->suspected);
  after.NoteProbe(1, false);
  EXPECT_FALSE(before.server(1).up());
  EXPECT_TRUE(before.server(2).up());
}

// Only a server that would take the session at once is another one to go to.
TEST(Backends, WhatIsLeftToTry) {
  BackendConfig config = Servers("a", 2);
  config.servers[1].max_sessions = 2;
  config.queue = 1;
  Backends backends({config});
  const Backends::Request request{.tried = 1, .now = kStart, .retries = true};
  EXPECT_TRUE(backends.HasOther(0, request, 0));
  EXPECT_FALSE(backends.HasOther(0, {.tried = 3, .now = kStart, .retries = true}, 0));
  backends.MarkDown(1);
  EXPECT_FALSE(backends.HasOther(0, request, 0));
  backends.MarkDown(0);
  EXPECT_TRUE(backends.HasOther(0, request, 0)) << "either may be well again";
  backends.MarkUp(0, kStart);
  backends.MarkUp(1, kStart);
  uint32_t cursor = 1;
  EXPECT_EQ(Pick(backends, 0, cursor, 1), 1);
  EXPECT_TRUE(backends.HasOther(0, request, 0));
  EXPECT_TRUE(backends.JoinQueue(0));
  EXPECT_FALSE(backends.HasOther(0, request, 0)) << "its last place is that of the one that waits";
  backends.LeaveQueue(0);
  EXPECT_EQ(Pick(backends, 0, cursor, 1), 1);
  EXPECT_FALSE(backends.HasOther(0, request, 0)) << "it is full";
  EXPECT_FALSE(backends.HasSooner(0, request, 0, kWholeTime));
}

TEST(Backends, CapabilitiesOfALiveServerFirst) {
  Backends backends({Servers("a", 3)});
  EXPECT_EQ(backends.Capabilities(0), 0u);
  backends.server(1).state->capabilities = 5;
  EXPECT_EQ(backends.Capabilities(0), 5u);
  backends.server(2).state->capabilities = 6;
  backends.MarkDown(1);
  EXPECT_EQ(backends.Capabilities(0), 6u);
  backends.MarkDown(2);
  EXPECT_EQ(backends.Capabilities(0), 5u);
}

TEST(Backends, FirstUnavailable) {
  Backends backends({Servers("a", 2), Servers("b", 2)});
  EXPECT_EQ(backends.FirstUnavailable(), "");
  backends.MarkDown(2);
  EXPECT_EQ(backends.FirstUnavailable(), "");
  backends.MarkDown(3);
  EXPECT_EQ(backends.FirstUnavailable(), "b");
  EXPECT_FALSE(backends.NoneAvailable());
  backends.MarkDown(0);
  backends.MarkDown(1);
  EXPECT_TRUE(backends.NoneAvailable());
  backends.MarkUp(0, kStart);
  EXPECT_FALSE(backends.NoneAvailable());
  backends.MarkUp(2, kStart);
  EXPECT_EQ(backends.FirstUnavailable(), "");
}

}  // namespace
}  // namespace starling
