// Tests the delayed greeting, in simulated time: who has to wait, what becomes of a client that
// does not, and who need not wait again.
//
// Not for: the memory by itself (gateway/sources/recent_sources_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <string>
#include <string_view>

#include "gateway/config/source_defaults.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Endpoint At(uint8_t source, uint16_t port) {
  return {.family = Endpoint::Family::kV4, .port = port, .ip = {192, 0, 2, source}};
}

struct Tongue {
  const char* protocol;
  std::string greeting, command, answer, refusal;
};

std::vector<Tongue> Tongues() {
  const std::string words = "Client spoke before the greeting";
  return {{"smtp", "220 ", "NOOP\r\n", "250 ", "521 5.5.1 localhost " + words + "\r\n"},
          {"lmtp", "220 ", "NOOP\r\n", "250 ", "521 5.5.1 localhost " + words + "\r\n"},
          {"imap", "* OK ", "a NOOP\r\n", "a OK ", "* BYE " + words + "\r\n"},
          {"pop3", "+OK ", "CAPA\r\n", "+OK ", "-ERR " + words + "\r\n"},
          {"managesieve", "\"", "NOOP\r\n", "NOOP completed", "BYE \"" + words + ".\"\r\n"},
          {"nntp", "20", "HELP\r\n", "100 ", "502 " + words + "\r\n"},
          {"acap", "* ACAP ", "a NOOP\r\n", "a OK ", "* BYE \"" + words + "\"\r\n"},
          {"ftp", "220 ", "NOOP\r\n", "200 ", "421 " + words + "\r\n"},
          {"telnet", "\xff\xfd\x2e", "\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0",
           "\xff\xfa\x2e\x01\xff\xf0", "\r\n" + words + "\r\n"}};
}

constexpr uint32_t kDelay = 6'000;

Case With(const char* protocol, Pregreet pregreet) {
  static ListenerLimits limits;
  limits = DefaultsOf(protocol);
  Case with = StartTlsCase("pregreet", protocol, limits);
  with.sources = {{.from = {*Cidr::Parse("192.0.2.0/24")}}};
  with.change = [=](Config& config) {
    config.listeners.back().greeting_delay_ms = kDelay;
    config.listeners.back().pregreet = pregreet;
  };
  return with;
}

uint64_t Counted(OneSession& session, GreetingDelay result) {
  return session.gateway().shard().Get(Family::kGreetingDelays, 0, static_cast<size_t>(result), 0);
}

class EachProtocol : public testing::TestWithParam<Tongue> {};
INSTANTIATE_TEST_SUITE_P(All, EachProtocol, testing::ValuesIn(Tongues()),
                         [](const auto& info) { return std::string(info.param.protocol); });

TEST_P(EachProtocol, WhoHasWaitedIsGreetedAtOnce) {
  RunInThread([] {
    OneSession session(With(GetParam().protocol, Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(milliseconds(kDelay - 10));
    EXPECT_EQ(client.Take(), "");
    session.RunFor(milliseconds(20));
    EXPECT_TRUE(client.Take().starts_with(GetParam().greeting));
    PlainClient again(session, At(1, 1'001)), other(session, At(2, 1'002));
    session.RunFor(milliseconds(10));
    EXPECT_TRUE(again.Take().starts_with(GetParam().greeting));
    EXPECT_EQ(other.Take(), "");
    EXPECT_EQ(Counted(session, GreetingDelay::kPassed), 1u);
    EXPECT_EQ(Counted(session, GreetingDelay::kKnown), 1u);
    session.Finish();
  });
}

TEST_P(EachProtocol, WhoSpeaksFirstIsRefused) {
  RunInThread([] {
    OneSession session(With(GetParam().protocol, Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    client.Say(GetParam().command);
    session.RunFor(milliseconds(10));
    EXPECT_EQ(client.Take(), GetParam().refusal);
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kPregreet), 1);
    EXPECT_EQ(Counted(session, GreetingDelay::kPregreet), 1u);
    // Next time it has to wait all the same.
    PlainClient again(session, At(1, 1'001));
    session.RunFor(seconds(3));
    EXPECT_EQ(again.Take(), "");
    session.Finish();
  });
}

TEST_P(EachProtocol, WhoSpeaksFirstIsCountedAndLosesNothing) {
  RunInThread([] {
    OneSession session(With(GetParam().protocol, Pregreet::kCount));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    // The command in two parts, and the second before the greeting as well.
    const std::string& command = GetParam().command;
    client.Say(std::string_view(command).substr(0, 3));
    session.RunFor(seconds(1));
    client.Say(std::string_view(command).substr(3));
    session.RunFor(milliseconds(kDelay - 2'020));
    EXPECT_EQ(client.Take(), "");
    session.RunFor(milliseconds(50));
    const std::string said = client.Take();
    EXPECT_TRUE(said.starts_with(GetParam().greeting)) << said;
    const size_t answer = said.find(GetParam().answer, GetParam().greeting.size());
    EXPECT_NE(answer, std::string::npos) << said;
    EXPECT_EQ(Counted(session, GreetingDelay::kPregreet), 1u);
    EXPECT_EQ(Counted(session, GreetingDelay::kPassed), 0u);
    session.Finish();
  });
}

TEST(Pregreet, AfterSomeDaysAClientWaitsAgain) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kRefuse));
    const auto greeted = [&](uint16_t port) {
      PlainClient client(session, At(1, port));
      session.RunFor(milliseconds(10));
      const bool at_once = !client.Take().empty();
      session.RunFor(seconds(7));
      EXPECT_TRUE(at_once || !client.Take().empty());
      client.Reset();
      return at_once;
    };
    EXPECT_FALSE(greeted(1'000));
    session.RunFor(hours(6 * 24));
    EXPECT_TRUE(greeted(1'001));
    session.RunFor(hours(24));
    EXPECT_FALSE(greeted(1'002));
    session.Finish();
  });
}

TEST(Pregreet, AReloadForgetsNobody) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(7));
    session.gateway().Reload();
    session.RunFor(seconds(1));
    PlainClient again(session, At(1, 1'001));
    session.RunFor(milliseconds(10));
    EXPECT_TRUE(again.Take().starts_with("220 "));
    session.Finish();
  });
}

TEST(Pregreet, WhoLeavesHasNotWaited) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(3));
    client.Reset();
    session.RunFor(seconds(9));
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Counted(session, GreetingDelay::kLeft), 1u);
    PlainClient again(session, At(1, 1'001));
    session.RunFor(seconds(1));
    EXPECT_EQ(again.Take(), "");
    session.Finish();
  });
}

TEST(Pregreet, WhoSpeaksAndLeavesIsCountedOnce) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kCount));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    client.Say("NOOP\r\n");
    session.RunFor(seconds(1));
    client.Reset();
    session.RunFor(seconds(9));
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Counted(session, GreetingDelay::kPregreet), 1u);
    EXPECT_EQ(Counted(session, GreetingDelay::kLeft), 0u);
    session.Finish();
  });
}

TEST(Pregreet, WhoIsRefusedIsNamedInTheSummary) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    client.Say("NOOP\r\n");
    session.RunFor(seconds(1));
    const RefusalTally::Report report = session.gateway().sources().refusals.Take(1);
    EXPECT_EQ(report.refused, 1u);
    ASSERT_EQ(report.heaviest.size(), 1u);
    session.Finish();
  });
}

TEST(Pregreet, TlsBeforeTheGreetingIsAnsweredByAnAlert) {
  RunInThread([] {
    OneSession session(With("imap", Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    client.Say("\x16\x03\x01");
    session.RunFor(milliseconds(10));
    EXPECT_EQ(client.Take(), std::string("\x15\x03\x01\x00\x02\x02\x0a", 7));
    session.Finish();
  });
}

// Whoever ends the gateway does not wait for the greeting.
TEST(Pregreet, TheGatewaysEndWaitsForNobody) {
  RunInThread([] {
    OneSession session(With("smtp", Pregreet::kRefuse));
    PlainClient client(session, At(1, 1'000));
    session.RunFor(seconds(1));
    session.gateway().worker().EndSessions();
    session.RunFor(milliseconds(10));
    const std::string said = client.Take();
    EXPECT_TRUE(said.starts_with("220 ")) << said;
    EXPECT_TRUE(said.ends_with("421 4.3.2 localhost Service shutting down, try again later\r\n"));
    // That was no wait.
    EXPECT_EQ(Counted(session, GreetingDelay::kPassed), 0u);
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kDrainDeadline), 1);
    session.Finish();
  });
}

TEST(Pregreet, OthersThanClientsDoNotWait) {
  for (const SourceRole role : {SourceRole::kTrusted, SourceRole::kExempt, SourceRole::kProbe}) {
    RunInThread([role] {
      Case with = With("smtp", Pregreet::kRefuse);
      with.sources = {{.from = {*Cidr::Parse("192.0.2.0/24")}, .role = role}};
      OneSession session(with);
      PlainClient client(session, At(1, 1'000));
      session.RunFor(milliseconds(10));
      EXPECT_TRUE(client.Take().starts_with("220 "));
      session.Finish();
    });
  }
}

// An attacker with many addresses fills the table, and comes again whenever it had to go. Places go
// round faster than the delay is over.
TEST(Pregreet, AFullTableLetsANewClientWait) {
  RunInThread([] {
    constexpr size_t kPlaces = 20, kAddresses = 40;
    Case with = With("smtp", Pregreet::kRefuse);
    with.sessions = kPlaces;
    with.new_sources_percent = 0;
    with.linger_ms = 100;
    with.sources[0].limits = kNoSourceLimits;
    OneSession session(with);
    std::deque<PlainClient> crowd;
    uint16_t port = 1'000;
    const auto come = [&] {
      const auto source = static_cast<uint8_t>(100 + port % kAddresses);
      crowd.emplace_back(session, At(source, port++));
      session.RunFor(milliseconds(100));
      if (crowd.size() <= kPlaces + 2) return;
      crowd.front().Reset();
      crowd.pop_front();
    };
    for (size_t i = 0; i < 2 * kAddresses; ++i) come();
    EXPECT_GT(session.ended_for(EndReason::kCrowdedOut), 0);
    PlainClient client(session, At(1, 1'000));
    for (int i = 0; i < 62; ++i) come();
    EXPECT_TRUE(client.Take().starts_with("220 "));
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
