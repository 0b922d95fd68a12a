// Tests how long a client may take before its relay, in simulated time, with the real
// worker: with and without commands, and in a table that fills. Each end has its reason and its
// message.
//
// Not for: the other deadlines (deadline_test.cc, patience_test.cc), or each protocol's messages
// (protocols/deadline_words_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using namespace std::string_literals;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Tongue {
  const char* protocol;
  std::string command, noise;
  uint32_t silence_s, total_s;
};

std::vector<Tongue> Tongues() {
  return {{"smtp", "NOOP\r\n", "XYZZY\r\n", 300, 600},
          {"lmtp", "NOOP\r\n", "XYZZY\r\n", 300, 600},
          {"imap", "a NOOP\r\n", "a XYZZY\r\n", 60, 300},
          {"pop3", "CAPA\r\n", "XYZZY\r\n", 60, 300},
          {"managesieve", "NOOP\r\n", "XYZZY\r\n", 60, 300},
          {"nntp", "HELP\r\n", "XYZZY\r\n", 60, 300},
          {"acap", "a NOOP\r\n", "a XYZZY\r\n", 60, 300},
          {"irc", "PING x\r\n", "XYZZY\r\n", 60, 300},
          {"ftp", "NOOP\r\n", "XYZZY\r\n", 60, 300},
          {"ldap", "\x30\x06\x02\x01\x01\x50\x01\x07"s, "", 60, 300},
          {"telnet", "\xff\xfb\x2e", "", 60, 300},
          {"xmpp-client",
           "<stream:stream xmlns='jabber:client' "
           "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
           " ", 60, 300}};
}

class PreRelay : public testing::TestWithParam<Tongue> {};
INSTANTIATE_TEST_SUITE_P(All, PreRelay, testing::ValuesIn(Tongues()), [](const auto& info) {
  std::string name = info.param.protocol;
  std::ranges::replace(name, '-', '_');
  return name;
});

// Expects that the session lives until `end` and not longer.
void ExpectEnd(OneSession& session, milliseconds left, EndReason reason) {
  session.RunFor(left - milliseconds(1));
  EXPECT_EQ(session.ended(), 0) << "too early: " << Label(session.reason());
  session.RunFor(seconds(3));  // includes the linger
  EXPECT_EQ(session.ended(), 1) << "not in time";
  EXPECT_EQ(Label(session.reason()), Label(reason));
}

TEST_P(PreRelay, SilenceAfterACommandIsBounded) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf(GetParam().protocol);
    OneSession session(StartTlsCase("pre_relay", GetParam().protocol, limits));
    PlainClient client(session);
    session.RunFor(seconds(50));
    client.Say(GetParam().command);
    ExpectEnd(session, seconds(GetParam().silence_s), EndReason::kPreRelaySilence);
    session.Finish();
  });
}

TEST_P(PreRelay, AllOfItIsBoundedHoweverManyCommandsCome) {
  // XMPP clients say only one header, and Telnet clients only one option.
  const std::string_view protocol = GetParam().protocol;
  if (protocol.starts_with("xmpp")) return;
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf(GetParam().protocol);
    OneSession session(StartTlsCase("pre_relay", GetParam().protocol, limits));
    PlainClient client(session);
    session.RunFor(milliseconds(1));
    for (uint32_t passed = 0; passed < GetParam().total_s; passed += 50) {
      ASSERT_EQ(session.ended(), 0) << passed;
      client.Say(GetParam().command);
      client.Take();
      if (passed + 50 < GetParam().total_s) session.RunFor(seconds(50));
    }
    ExpectEnd(session, seconds(50) - milliseconds(5), EndReason::kPreRelayTotal);
    session.Finish();
  });
}

TEST_P(PreRelay, NoiseGivesNoTime) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf(GetParam().protocol);
    OneSession session(StartTlsCase("pre_relay", GetParam().protocol, limits));
    PlainClient client(session);
    session.RunFor(milliseconds(1));
    for (int i = 0; i < 5; ++i) {
      client.Say(GetParam().noise);
      session.RunFor(seconds(10));
    }
    ExpectEnd(session, seconds(10) - milliseconds(5), EndReason::kPreRelayDeadline);
    session.Finish();
  });
}

TEST(PreRelayWords, SayWhichTimeWasOver) {
  const struct {
    uint32_t ListenerLimits::* limit;
    std::string said, words;
  } table[] = {
      {&ListenerLimits::pre_relay_ms, "", "421 4.4.2 localhost No command received in time\r\n"},
      {&ListenerLimits::pre_relay_silence_ms, "NOOP\r\n",
       "421 4.4.2 localhost Timeout, closing connection\r\n"},
      {&ListenerLimits::pre_relay_total_ms, "NOOP\r\n",
       "421 4.4.2 localhost TLS was not started in time\r\n"},
  };
  for (const auto& row : table) {
    RunInThread([&row] {
      ListenerLimits limits = DefaultsOf("smtp");
      limits.*row.limit = 5'000;
      OneSession session(StartTlsCase("pre_relay", "smtp", limits));
      PlainClient client(session);
      client.Say(row.said);
      session.RunFor(seconds(1));
      client.Take();
      session.RunFor(milliseconds(4'100));
      EXPECT_EQ(client.Take(), row.words);
      session.Finish();
    });
  }
}

// A client that has begun TLS can only wait for its server. The gateway must tell it so,
// and not that it was idle.
TEST(PreRelayWords, OfAServerThatCannotBeReachedSaySo) {
  RunInThread([] {
    ListenerLimits limits = DefaultsOf("imap");
    limits.pre_relay_ms = 4'000;
    limits.connect_ms = kFar;
    Case with = StartTlsCase("pre_relay", "imap", limits);
    with.tls = TlsMode::kImplicit;
    with.servers = ServerKind::kBlackHole;
    OneSession session(with);
    HandClient client(session);
    session.RunFor(seconds(4));
    client.Exchange();
    EXPECT_EQ(client.TakeReceived(),
              "* BYE [UNAVAILABLE] Server not available, try again later\r\n");
    session.RunFor(seconds(3));
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kPreRelayDeadline));
    session.Finish();
  });
}

// The same holds for a client that has given a command in plaintext, where that is
// allowed. No deadline limits its silence, because it has nothing to say.
TEST(PreRelayWords, OfAServerOfALegThatCannotBeReachedSaySo) {
  RunInThread([] {
    ListenerLimits limits = DefaultsOf("smtp");
    limits.pre_relay_silence_ms = 2'000;
    limits.pre_relay_total_ms = 4'000;
    limits.connect_ms = kFar;
    Case with = StartTlsCase("pre_relay", "smtp", limits);
    with.dialogue.policy = Policy::kOpportunistic;
    with.servers = ServerKind::kBlackHole;
    OneSession session(with);
    PlainClient client(session);
    client.Say("EHLO x\r\nMAIL FROM:<a@b>\r\n");
    session.RunFor(milliseconds(3'990));
    client.Take();
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(kSlack);
    EXPECT_EQ(client.Take(), "421 4.3.2 localhost Service not available, try again later\r\n");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kPreRelayTotal), 1);
    session.Finish();
  });
}

// After the upgrade the gateway expects no command: the handshake has its own deadline.
TEST(PreRelayAgain, InAHandshakeNotAsSilence) {
  RunInThread([] {
    ListenerLimits limits = DefaultsOf("smtp");
    limits.pre_relay_silence_ms = 2'000;
    OneSession session(StartTlsCase("pre_relay", "smtp", limits));
    PlainClient client(session);
    client.Say("STARTTLS\r\n");
    session.RunFor(seconds(14));
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.RunFor(seconds(4));
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeDeadline), 1);
    session.Finish();
  });
}

// A plaintext dialogue may take longer than the limit before a relay; an upgrade after it
// has its own time.
TEST(PreRelayAgain, BehindWorkInPlaintext) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("smtp");
    Case with = StartTlsCase("pre_relay", "smtp", limits);
    with.dialogue.policy = Policy::kOpportunistic;
    with.servers_of_legs = true;
    OneSession session(with);
    PlainClient client(session, session.plan().endpoint);
    client.Say("EHLO x\r\nMAIL FROM:<a@b>\r\n");
    for (uint32_t passed = 0; passed <= limits.pre_relay_total_ms / 1'000; passed += 50) {
      session.RunFor(seconds(50));
      ASSERT_EQ(session.ended(), 0) << Label(session.reason());
      client.Say("NOOP\r\n");
    }
    client.Say("RSET\r\n");  // a client cannot upgrade inside a message
    session.RunFor(seconds(1));
    client.Take();
    client.Say("STARTTLS\r\n");
    session.RunFor(seconds(14));
    EXPECT_TRUE(client.Take().starts_with("220 "));
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.RunFor(seconds(4));
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeDeadline), 1);
    session.Finish();
  });
}

// `count` clients, each of which has given a command.
std::vector<std::unique_ptr<PlainClient>> Clients(OneSession& session, int count) {
  std::vector<std::unique_ptr<PlainClient>> clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<PlainClient>(session));
    session.RunFor(milliseconds(1));
    clients.back()->Say("NOOP\r\n");
  }
  session.RunFor(milliseconds(10));
  for (auto& client : clients) client->Take();
  return clients;
}

constexpr std::string_view kBusy =
    "421 4.3.2 localhost Server busy and TLS not started in time, try again later\r\n";

// When the table gets half full, all sessions learn it at once, even if their timers are
// minutes away.
TEST(Crowd, EndsThoseWhoHaveHadTheirMinute) {
  for (const int early : {1, 7, 199}) {
    RunInThread([early] {
      const ListenerLimits limits = DefaultsOf("smtp");
      Case with = StartTlsCase("pre_relay", "smtp", limits);
      with.sessions = early == 199 ? 400 : 16;
      const int half = static_cast<int>(with.sessions) / 2;
      OneSession session(with);
      const auto first = Clients(session, early);
      session.RunFor(seconds(90));
      EXPECT_EQ(session.ended(), 0) << Label(session.reason());
      const auto later = Clients(session, half - early);
      session.RunFor(seconds(3));
      EXPECT_EQ(session.ended(), early);
      EXPECT_EQ(session.ended_for(EndReason::kPreRelayCrowded), early);
      for (const auto& client : first) EXPECT_EQ(client->Take(), kBusy);
      // They crowded the table: now the others have their full time again.
      session.RunFor(seconds(100));
      EXPECT_EQ(session.ended(), early);
      for (const auto& client : later) EXPECT_EQ(client->Take(), "");
      session.Finish();
    });
  }
}

TEST(Crowd, HasAMinute) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("smtp");
    OneSession session(StartTlsCase("pre_relay", "smtp", limits));
    const auto clients = Clients(session, 8);
    session.RunFor(milliseconds(59'900));
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kPreRelayCrowded), 8);
    for (const auto& client : clients) EXPECT_EQ(client->Take(), kBusy);
    session.Finish();
  });
}

// Sessions that have ended, or that relay, do not count.
TEST(Crowd, LeavesOthersAlone) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("smtp");
    OneSession session(StartTlsCase("pre_relay", "smtp", limits));
    const auto first = Clients(session, 7);
    session.RunFor(seconds(90));
    for (const auto& client : first) client->Say("QUIT\r\n");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kGoodbye), 7);
    const auto later = Clients(session, 8);
    session.RunFor(seconds(30));
    EXPECT_EQ(session.ended(), 7);
    session.Finish();
  });
}

// Nor do sessions that broke off, in whatever state.
TEST(Crowd, ForgetsWhoHasBrokenOff) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("smtp");
    OneSession session(StartTlsCase("pre_relay", "smtp", limits));
    const auto first = Clients(session, 7);
    session.RunFor(seconds(90));
    for (size_t i = 0; i < first.size(); i += 2) first[i]->Reset();
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended(), 4);
    const auto later = Clients(session, 5);
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kPreRelayCrowded), 3);
    EXPECT_EQ(session.ended(), 7);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
