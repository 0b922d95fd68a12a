// What a server of a line protocol says first inside TLS: the gateway swallows a greeting,
// passes on a refusal, and lets nothing else reach the client. line_replies_test.cc has the
// lines on a plaintext leg.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/acap/acap.h"
#include "protocols/frames/testing/leg_testing.h"
#include "protocols/imap/imap.h"
#include "protocols/managesieve/managesieve.h"
#include "protocols/nntp/nntp.h"
#include "protocols/pop3/pop3.h"

namespace starling {
namespace {

using namespace std::string_literals;

const std::string kText(5000, 'x');
constexpr size_t kPieces[] = {std::string::npos, 1, 7};

struct Greeting {
  DialogueDriver::Create create;
  std::string upgrade;
  std::string octets;
  std::string told;
  EndReason reason;
};

TEST(InnerGreetings, GreetingsInsideTls) {
  const EndReason none = EndReason::kNone, refused = EndReason::kBackendRefused,
                  bad = EndReason::kBackendProtocol;
  const std::string tagged = "a STARTTLS\r\n", plain = "STARTTLS\r\n";
  const std::string reader = "MODE READER\r\nSTARTTLS\r\n";
  std::vector<Greeting> cases;
  auto add = [&](DialogueDriver::Create create, const std::string& upgrade,
                 const std::string& broken, const std::vector<std::string>& good,
                 const std::vector<std::string>& refusals, const std::vector<std::string>& wrong) {
    for (const std::string& octets : good) cases.push_back({create, upgrade, octets, "", none});
    for (const std::string& octets : refusals) {
      cases.push_back({create, upgrade, octets, octets, refused});
    }
    for (const std::string& octets : wrong) {
      cases.push_back({create, upgrade, octets, broken, bad});
    }
  };
  add(CreateImap, tagged, "* BYE Server broken, try again later\r\n",
      {"* OK hi\r\n", "*\tOK\thi\r\n", "* OK " + kText + "\r\n"},
      {"* BYE no\r\n", "* BYE " + kText + "\r\n"},
      {"* NO x\r\n", "* BAD x\r\n", "a OK\r\n", "+ x\r\n", "+OK\r\n", "220 x\r\n", "354 x\r\n",
       "* CAPABILITY X\r\n", " * OK x\r\n", "\r\n", kText + "\r\n"});
  add(CreatePop3, "STLS\r\n", "-ERR Server broken, try again later\r\n",
      {"+OK\r\n", "+OK\thi\r\n", "+OK " + kText + "\r\n"},
      {"-ERR no\r\n", "-ERR " + kText + "\r\n"},
      {"+ x\r\n", "+OKAY\r\n", "* OK\r\n", "220 x\r\n", ".\r\n", "\r\n", kText + "\r\n"});
  add(CreateManageSieve, plain, "BYE \"Server broken, try again later\"\r\n",
      {"\"SIEVE\" \"\"\r\nOK\r\n", "\"X\" \"" + kText + "\"\r\nOK\r\n", "OK\r\n",
       "BYE {2}\r\nno\r\n", "BYE \"" + kText + "\"\r\n"},
      {"BYE \"no\"\r\n", "NO \"no\"\r\n"},
      {"* OK\r\n", "+OK\r\n", "220 x\r\n", "{3}\r\n", "\r\n", kText + "\r\n"});
  add(CreateAcap, tagged, "* BYE \"Server broken, try again later\"\r\n",
      {"* ACAP (X)\r\n", "*\tACAP\t(X)\r\n", "* ACAP (" + kText + ")\r\n",
       "* BYE " + kText + "\r\n"},
      {"* BYE \"no\"\r\n"},
      {"* OK\r\n", "a OK\r\n", "+ x\r\n", "220 x\r\n", "\r\n", kText + "\r\n"});
  for (const std::string& before : {""s, "200 x\r\n"s}) {
    std::vector<std::string> good = {"200 x\r\n", "200\tx\r\n", "201 " + kText + "\r\n"};
    std::vector<std::string> refusals = {"400 no\r\n", "502 " + kText + "\r\n", "480 no\r\n"};
    std::vector<std::string> wrong = {"100 x\r\n",   "202 x\r\n",    "281 x\r\n",  "335 x\r\n",
                                      "382 x\r\n",   "600 x\r\n",    "4x0 x\r\n",  "4000 x\r\n",
                                      "* OK\r\n",    "200-more\r\n", " 200 x\r\n", "\r\n",
                                      kText + "\r\n"};
    for (auto* all : {&good, &refusals, &wrong}) {
      for (std::string& octets : *all) octets = before + octets;
    }
    const size_t first = cases.size();
    add(CreateNntp, before.empty() ? plain : reader, "400 Server broken, try again later\r\n", good,
        refusals, wrong);
    for (size_t i = first; i < cases.size(); ++i) {
      if (cases[i].reason == refused) cases[i].told = cases[i].told.substr(before.size());
    }
  }
  for (const Greeting& c : cases) {
    for (size_t piece : kPieces) {
      SCOPED_TRACE(c.upgrade + c.octets.substr(0, 30));
      DialogueOptions options;
      DialogueDriver play(c.create, options, piece);
      play.Raise(EventKind::kStart);
      play.Client(c.upgrade);
      play.EnterTls();
      play.TakeToClient();
      play.Backend(c.octets);
      EXPECT_EQ(play.TakeToClient(), c.told);
      EXPECT_EQ(Label(play.reason()), Label(c.reason));
      EXPECT_EQ(play.verdict(), c.reason == none ? Verdict::kRelay : Verdict::kClose);
    }
  }
}

TEST(InnerGreetings, AnEndlessGreetingIsAboveALimitOfTheGateways) {
  for (const bool inside_tls : {false, true}) {
    DialogueOptions options;
    options.policy = Policy::kOpportunistic;
    DialogueDriver play(CreateImap, options);
    play.Raise(EventKind::kStart);
    play.Client(inside_tls ? "a STARTTLS\r\n" : "a X\r\n");
    inside_tls ? play.EnterTls() : play.Raise(EventKind::kLegUp);
    play.TakeToClient();
    play.Backend("* OK " + std::string(100'000, 'x'));
    EXPECT_EQ(play.TakeToClient(),
              "* BYE The server's greeting is longer than this gateway allows\r\n");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendTooLong));
  }
}

}  // namespace
}  // namespace starling
