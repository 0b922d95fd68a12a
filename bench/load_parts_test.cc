// Tests the load generator's parts that use no sockets, because the figures depend on
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/dialogue.h"
#include "bench/fake_mail_server.h"
#include "bench/latencies.h"

namespace starling::bench {
namespace {

// --- latencies ----------------------------------------------------------------

TEST(Latencies, QuantilesAreThoseOfASortedListWithinOnePercent) {
  Latencies latencies;
  std::vector<double> times;
  uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    // From nanoseconds to seconds, equally many in each power of ten.
    const double time = static_cast<double>(state >> 40) * 1e-9 / static_cast<double>(1 + i % 1000);
    times.push_back(time);
    latencies.Add(time);
  }
  std::sort(times.begin(), times.end());
  for (const double share : {0.0, 0.01, 0.5, 0.99, 0.999}) {
    const double exact = times[static_cast<size_t>(share * static_cast<double>(times.size()))];
    EXPECT_GE(latencies.Quantile(share), exact - 1e-9) << share;
    EXPECT_LE(latencies.Quantile(share), exact * 1.01 + 1e-9) << share;
  }
  EXPECT_NEAR(latencies.Quantile(1), times.back(), 2e-9);
  EXPECT_NEAR(latencies.worst(), times.back(), 2e-9);
  EXPECT_EQ(latencies.count(), times.size());
}

TEST(Latencies, TakesWhatIsOutOfRange) {
  Latencies latencies;
  latencies.Add(-1);
  latencies.Add(1e9);
  EXPECT_EQ(latencies.count(), 2u);
  EXPECT_EQ(latencies.Quantile(0), 0);
  EXPECT_GT(latencies.worst(), 3600);
  latencies.Clear();
  EXPECT_EQ(latencies.count(), 0u);
  EXPECT_EQ(latencies.worst(), 0);
}

// --- dialogues ------------------------------------------------------------------

constexpr Turn kTurns[] = {{"", "220 "}, {"EHLO x\r\n", "250 "}, {"STARTTLS\r\n", "220 "}};
constexpr std::string_view kRefusals[] = {"4", "5"};
constexpr Script kScript{kTurns, kRefusals};

TEST(Dialogue, WaitsForTheLastLineOfEachAnswer) {
  Dialogue dialogue;
  dialogue.Begin(kScript);
  ASSERT_EQ(dialogue.state(), Dialogue::State::kWait);
  EXPECT_EQ(dialogue.Take("220-wait\r\n220 mail"), 18u);
  EXPECT_EQ(dialogue.state(), Dialogue::State::kWait);
  EXPECT_EQ(dialogue.Take(".example.org\r\n"), 14u);
  ASSERT_EQ(dialogue.state(), Dialogue::State::kSay);
  EXPECT_EQ(dialogue.Say(), "EHLO x\r\n");
  EXPECT_EQ(dialogue.Take("250-a\r\n250 b\r\n"), 14u);
  ASSERT_EQ(dialogue.state(), Dialogue::State::kSay);
  EXPECT_EQ(dialogue.Say(), "STARTTLS\r\n");
  // Take leaves the octets after the last line.
  EXPECT_EQ(dialogue.Take("220 go\r\nmore"), 8u);
  EXPECT_EQ(dialogue.state(), Dialogue::State::kDone);
}

TEST(Dialogue, EndsAtARefusal) {
  Dialogue dialogue;
  dialogue.Begin(kScript);
  dialogue.Take("421 not now\r\n220 mail\r\n");
  EXPECT_EQ(dialogue.state(), Dialogue::State::kFailed);
}

TEST(Dialogue, MayBeginLater) {
  Dialogue dialogue;
  dialogue.Begin(kScript, 1);
  ASSERT_EQ(dialogue.state(), Dialogue::State::kSay);
  EXPECT_EQ(dialogue.Say(), "EHLO x\r\n");
}

// --- both sides together --------------------------------------------------------

// Plays the script against the server, in pieces of `piece` octets. Returns the final
// state.
Dialogue::State Play(const Script& script, FakeMailServer& mail_server, size_t piece,
                     bool& goodbye) {
  Dialogue dialogue;
  dialogue.Begin(script);
  std::string answer(mail_server.Greeting());
  goodbye = false;
  for (;;) {
    while (!answer.empty() && dialogue.state() == Dialogue::State::kWait) {
      const size_t taken = dialogue.Take(std::string_view(answer).substr(0, piece));
      answer.erase(0, taken);
    }
    if (dialogue.state() != Dialogue::State::kSay) return dialogue.state();
    EXPECT_TRUE(answer.empty()) << "the server sent more than the script waits for: " << answer;
    std::string_view said = dialogue.Say();
    while (!said.empty()) {
      goodbye = !mail_server.Take(said.substr(0, piece), answer);
      said.remove_prefix(std::min(piece, said.size()));
    }
  }
}

TEST(Mail, VisitsEndWithAGoodbye) {
  for (const auto& [name, protocol] : {std::pair("smtp", FakeMailServer::Protocol::kSmtp),
                                       std::pair("imap", FakeMailServer::Protocol::kImap)}) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{100'000}}) {
      FakeMailServer mail_server(protocol);
      bool goodbye = false;
      EXPECT_EQ(Play(*MailScript(name), mail_server, piece, goodbye), Dialogue::State::kDone)
          << name << " in pieces of " << piece;
      EXPECT_TRUE(goodbye) << name;
    }
  }
}

TEST(Mail, EachProtocolOfStartTlsHasAScript) {
  for (const std::string_view name : {"smtp", "lmtp", "imap", "pop3", "managesieve"}) {
    EXPECT_NE(StartTlsScript(name), nullptr) << name;
  }
  EXPECT_EQ(StartTlsScript(""), nullptr);
}

std::string Answer(FakeMailServer& mail_server, std::string_view said) {
  std::string answer;
  mail_server.Take(said, answer);
  return answer;
}

TEST(FakeMailServer, TakesImapLiteralsAndLongLines) {
  FakeMailServer mail_server(FakeMailServer::Protocol::kImap);
  EXPECT_EQ(Answer(mail_server, "a LOGIN {4}\r\n"), "+ go on\r\n");
  EXPECT_EQ(Answer(mail_server, "user {6}\r\n"), "+ OK\r\n");
  EXPECT_EQ(Answer(mail_server, "secret\r\n"), "a OK done\r\n");
  EXPECT_EQ(Answer(mail_server, std::string(100'000, 'x') + "\r\n").size(), 16 + 10u);
  EXPECT_EQ(Answer(mail_server, "b NOOP\r\n"), "b OK done\r\n");
}

TEST(FakeMailServer, TakesMailUntilTheDot) {
  FakeMailServer mail_server(FakeMailServer::Protocol::kSmtp);
  EXPECT_EQ(Answer(mail_server, "DATA\r\n"), "354 go on\r\n");
  EXPECT_EQ(Answer(mail_server, "QUIT\r\n..\r\n"), "");
  EXPECT_EQ(Answer(mail_server, ".\r\n"), "250 2.0.0 taken\r\n");
}

}  // namespace
}  // namespace starling::bench
