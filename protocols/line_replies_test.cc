// Every state of a plaintext leg of IMAP, POP3 and ManageSieve with every kind of line,
// whole and octet by octet: allowed lines pass, and no octet of any other line reaches the
// client. inner_greetings_test.cc has the greetings inside TLS.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "protocols/frames/testing/leg_testing.h"
#include "protocols/imap/imap.h"
#include "protocols/managesieve/managesieve.h"
#include "protocols/pop3/pop3.h"

namespace starling {
namespace {

using namespace std::string_literals;

const std::string kText(5000, 'x');
constexpr size_t kPieces[] = {std::string::npos, 1, 7};

// What the server owes.
enum class Owes { kNothing, kGreeting, kReply, kList, kLogin, kCall, kSasl, kResponse };

struct State {
  Owes owes;
  std::vector<Move> moves;
};

// A line of the server, and the states in which it may come.
struct Line {
  std::string octets;
  std::vector<Owes> in;
  std::string told = {};  // what the client gets, if it is not the line itself
  bool swallowed_in_greeting = true;
  bool only_there = false;  // elsewhere a part of it may come; other rows test that
};

struct Language {
  const char* name;
  DialogueDriver::Create create;
  std::string broken;
  std::string success;  // the beginning of the reply that ends a log-in
  std::vector<State> states;
  std::vector<Line> lines;
};

const std::vector<Owes> kAlways = {Owes::kNothing, Owes::kGreeting, Owes::kReply, Owes::kList,
                                   Owes::kLogin,   Owes::kCall,     Owes::kSasl,  Owes::kResponse};
const std::vector<Owes> kAfterGreeting = {Owes::kNothing, Owes::kReply, Owes::kList,
                                          Owes::kLogin,   Owes::kCall,  Owes::kSasl,
                                          Owes::kResponse};
const std::vector<Owes> kOutstanding = {Owes::kReply, Owes::kList, Owes::kLogin,
                                        Owes::kCall,  Owes::kSasl, Owes::kResponse};
const std::vector<Owes> kCalls = {Owes::kCall, Owes::kSasl, Owes::kResponse};

Language Imap() {
  const std::string hello = "* OK hi\r\n", no = "a BAD no\r\n";
  auto on = [&](std::vector<Move> rest) {
    std::vector<Move> moves = {{'c', "a X\r\n"}, {'b', hello}, {'b', no}};
    for (Move& move : rest) moves.push_back(std::move(move));
    return moves;
  };
  const std::string sasl = "b AUTHENTICATE PLAIN\r\n";
  return {"imap",
          CreateImap,
          "* BYE Server broken, try again later\r\n",
          "b OK",
          {{Owes::kNothing, on({})},
           {Owes::kGreeting, {{'c', "b X\r\n"}}},
           {Owes::kReply, on({{'c', "b X\r\n"}})},
           {Owes::kList, on({{'c', "b CAPABILITY\r\n"}})},
           {Owes::kLogin, on({{'c', "b LOGIN u p\r\n"}})},
           {Owes::kCall, on({{'c', "b LOGIN {1}\r\n"}})},
           {Owes::kSasl, on({{'c', sasl}})},
           {Owes::kResponse, on({{'c', sasl}, {'b', "+ \r\n"}, {'c', "eA==\r\n"}})}},
          {{"b OK done\r\n", kOutstanding},
           {"b OK " + kText + "\r\n", kOutstanding},
           {"b NO [ALERT] no\r\n", kOutstanding},
           {"b NO " + kText + "\r\n", kOutstanding},
           {"b BAD no\r\n", kOutstanding},
           {"b BAD " + kText + "\r\n", kOutstanding},
           {"b NO [" + kText + "] x\r\n", kOutstanding, "b NO Not available here\r\n"},
           {"b OK [" + kText + "] x\r\n", kOutstanding, "b OK Completed\r\n"},
           {"* OK [ALERT] soon\r\n", kAlways},
           {"* OK [ALERT] " + kText + "\r\n", kAlways},
           {"* NO " + kText + "\r\n", kAfterGreeting},
           {"* BAD what\r\n", kAfterGreeting},
           {"* BYE " + kText + "\r\n", kAlways, {}, false},
           {"* CAPABILITY A\r\n", kAfterGreeting, "* CAPABILITY A STARTTLS\r\n"},
           {"* CAPABILITY A B" + kText + "\r\n", kAfterGreeting, "* CAPABILITY A STARTTLS\r\n"},
           {"+ \r\n", kCalls},
           {"+ " + kText + "\r\n", kCalls},
           {"* PREAUTH hi\r\n", {}},
           {"* 1 EXISTS\r\n", {}},
           {"* LIST () \"/\" INBOX\r\n", {}},
           {"* 1 FETCH (BODY[] {3}\r\nabc)\r\n", {}},
           {"* SEARCH 1\r\n", {}},
           {"* FLAGS ()\r\n", {}},
           {"* X\r\n", {}},
           {"*\r\n", {}},
           {"c OK of another\r\n", {}},
           {"b YES\r\n", {}},
           {"b BYE\r\n", {}},
           {"b PREAUTH\r\n", {}},
           {"B OK\r\n", {}},
           {"+OK\r\n", {}},
           {"220 mx\r\n", {}},
           {"354 go\r\n", {}},
           {"OK \"x\"\r\n", {}},
           {"{3}\r\n", {}},
           {"\r\n", {}},
           {kText + "\r\n", {}}}};
}

Language Pop3() {
  auto on = [&](std::vector<Move> rest) {
    std::vector<Move> moves = {{'c', "X\r\n"}, {'b', "+OK hi\r\n"}, {'b', "-ERR no\r\n"}};
    for (Move& move : rest) moves.push_back(std::move(move));
    return moves;
  };
  const std::vector<Owes> replies = {Owes::kReply, Owes::kLogin, Owes::kSasl, Owes::kResponse};
  std::vector<Owes> yes = replies;
  yes.push_back(Owes::kGreeting);
  yes.push_back(Owes::kList);  // where it begins a list
  return {"pop3",
          CreatePop3,
          "-ERR Server broken, try again later\r\n",
          "+OK",
          {{Owes::kNothing, on({})},
           {Owes::kGreeting, {{'c', "STAT\r\n"}}},
           {Owes::kReply, on({{'c', "STAT\r\n"}})},
           {Owes::kList, on({{'c', "CAPA\r\n"}})},
           {Owes::kLogin, on({{'c', "PASS p\r\n"}})},
           {Owes::kSasl, on({{'c', "AUTH PLAIN\r\n"}})},
           {Owes::kResponse, on({{'c', "AUTH PLAIN\r\n"}, {'b', "+ \r\n"}, {'c', "eA==\r\n"}})}},
          {{"+OK\r\n", yes},
           {"+OK " + kText + "\r\n", yes},
           {"+OK list\r\nTOP\r\nSTLS\r\nXCLIENT\r\nSASL A B-PLUS\r\n.\r\n",
            {Owes::kList},
            "+OK list\r\nTOP\r\nSASL A\r\nSTLS\r\n.\r\n",
            true,
            true},
           {"+OK\r\nSASL A B" + kText + "\r\nTOP\r\n.\r\n",
            {Owes::kList},
            "+OK\r\nSASL A\r\nTOP\r\nSTLS\r\n.\r\n",
            true,
            true},
           {"-ERR [SYS/PERM] " + kText + "\r\n", kAlways, {}, false},
           {"-ERR no\r\n", kAlways, {}, false},
           {"+ \r\n", kCalls},
           {"+ " + kText + "\r\n", kCalls},
           {"+OKAY\r\n", {}},
           {"+ok\r\n", {}},
           {"ERR\r\n", {}},
           {"* OK hi\r\n", {}},
           {"220 mx\r\n", {}},
           {"354 go\r\n", {}},
           {".\r\n", {}},
           {"\r\n", {}},
           {kText + "\r\n", {}}}};
}

Language Sieve() {
  const std::string hello = "\"SIEVE\" \"\"\r\nOK\r\n";
  auto on = [&](std::vector<Move> rest) {
    std::vector<Move> moves = {{'c', "X\r\n"}, {'b', hello}, {'b', "NO\r\n"}};
    for (Move& move : rest) moves.push_back(std::move(move));
    return moves;
  };
  const std::string sasl = "AUTHENTICATE \"PLAIN\"\r\n";
  const std::vector<Owes> replies = {Owes::kReply, Owes::kList, Owes::kSasl, Owes::kResponse};
  const std::vector<Owes> challenge = {Owes::kSasl, Owes::kResponse};
  std::vector<Owes> refused = replies;
  refused.push_back(Owes::kGreeting);
  return {"managesieve",
          CreateManageSieve,
          "BYE \"Server broken, try again later\"\r\n",
          "OK",
          {{Owes::kNothing, on({})},
           {Owes::kGreeting, {{'c', "LISTSCRIPTS\r\n"}}},
           {Owes::kReply, on({{'c', "LISTSCRIPTS\r\n"}})},
           {Owes::kList, on({{'c', "CAPABILITY\r\n"}})},
           {Owes::kSasl, on({{'c', sasl}})},
           {Owes::kResponse, on({{'c', sasl}, {'b', "\"\"\r\n"}, {'c', "\"eA==\"\r\n"}})}},
          {{"OK \"done\"\r\n",
            {Owes::kReply, Owes::kSasl, Owes::kResponse, Owes::kGreeting},
            {},
            true,
            true},
           {"OK \"done\"\r\n", {Owes::kList}, "\"STARTTLS\"\r\nOK \"done\"\r\n", true, true},
           {"OK \"" + kText + "\"\r\n", {Owes::kReply, Owes::kSasl}, {}, true, true},
           {"OK {5}\r\n", challenge, {}, true, true},  // the rest is relayed
           {"NO \"" + kText + "\"\r\n", refused, {}, false},
           {"NO {5000}\r\n" + kText + "\r\n", refused, {}, false},
           {"NO (QUOTA) {5}\r\nOK\r\nx {2}\r\nno\r\n", refused, {}, false},
           {"NO (\"" + kText + "\") {3}\r\nOK\r \"x\"\r\n", refused, {}, false},
           {"NO {70000}\r\n" + std::string(70'000, 'y') + "\r\n", refused, {}, false},
           {"NO (REFERRAL \"sieve://x\") {3}\r\nabc\r\n", refused, "NO \"Not available here.\"\r\n",
            false},
           {"BYE {5}\r\nhello\r\n", kAlways, {}, false},
           {"BYE \"" + kText + "\"\r\n", kAlways, {}, false},
           {"\"NOTIFY\" \"" + kText + "\"\r\nOK\r\n",
            {Owes::kList, Owes::kGreeting},
            "\"NOTIFY\" \"" + kText + "\"\r\n\"STARTTLS\"\r\nOK\r\n",
            true,
            true},
           {"\"SASL\" {3}\r\nA B\r\nOK\r\n",
            {Owes::kList, Owes::kGreeting},
            "\"SASL\" \"\"\r\n\"STARTTLS\"\r\nOK\r\n",
            true,
            true},
           {"\"eA==\"\r\n", challenge, {}, true, true},
           {"\"" + kText + "\"\r\n", challenge, {}, true, true},
           {"{5000}\r\n" + kText + "\r\n", challenge},
           {"NO {99999999999}\r\nx", {}},
           {"{4}\r\nkeep\r\n", challenge},
           {"\"script\" ACTIVE\r\n", {Owes::kList, Owes::kGreeting, Owes::kSasl, Owes::kResponse}},
           {"PREAUTH\r\n", {}},
           {"+ \r\n", {}},
           {"+OK\r\n", {}},
           {"* OK hi\r\n", {}},
           {"a OK\r\n", {}},
           {"220 mx\r\n", {}},
           {"\r\n", {}},
           {kText + "\r\n", {}}}};
}

bool Contains(const std::vector<Owes>& all, Owes one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

const std::vector<Owes> kLogIns = {Owes::kLogin, Owes::kCall, Owes::kSasl, Owes::kResponse};

struct Told {
  std::string client, backend;
  EndReason reason;
  Verdict verdict;
};

Told Tell(const Language& language, const State& state, const std::string& octets, size_t piece) {
  DialogueOptions options;
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = true;
  DialogueDriver play(language.create, options, piece);
  play.Raise(EventKind::kStart);
  for (const Move& move : state.moves) {
    move.who == 'c' ? play.Client(move.octets) : play.Backend(move.octets);
    if (play.opening()) play.Raise(EventKind::kLegUp);
  }
  EXPECT_FALSE(play.over());
  play.TakeToClient();
  play.TakeToBackend();
  play.Backend(octets);
  return {play.TakeToClient(), play.TakeToBackend(), play.reason(), play.verdict()};
}

void Check(const Language& language, const State& state, const Line& line) {
  SCOPED_TRACE(language.name + " "s + std::to_string(static_cast<int>(state.owes)) + ": " +
               line.octets.substr(0, 40));
  const bool greets = state.owes == Owes::kGreeting;
  for (size_t piece : kPieces) {
    const Told told = Tell(language, state, line.octets, piece);
    if (!Contains(line.in, state.owes)) {
      if (line.octets.starts_with("* PREAUTH")) {
        EXPECT_EQ(told.reason, EndReason::kBackendPreauth);
      } else {
        EXPECT_EQ(told.reason, EndReason::kBackendProtocol);
      }
      EXPECT_TRUE(told.client.ends_with(language.broken)) << told.client;
      EXPECT_EQ(told.backend, "");
      continue;
    }
    EXPECT_NE(told.reason, EndReason::kBackendProtocol);
    const bool logs_in = Contains(kLogIns, state.owes) && line.octets.starts_with(language.success);
    EXPECT_EQ(told.verdict == Verdict::kRelay, logs_in);
    if (greets && line.swallowed_in_greeting) {
      EXPECT_EQ(told.client, "");
    } else {
      EXPECT_TRUE(told.client == (line.told.empty() ? line.octets : line.told))
          << told.client.substr(0, 200);
    }
  }
}

TEST(LineReplies, OnlyThoseThatMayComePass) {
  for (const Language& language : {Imap(), Pop3(), Sieve()}) {
    for (const State& state : language.states) {
      for (const Line& line : language.lines) {
        if (!line.only_there || Contains(line.in, state.owes)) Check(language, state, line);
      }
    }
  }
}

// No octet of a forbidden line passes, not even its beginning.
TEST(LineReplies, NothingOfAWrongOnePasses) {
  for (const Language& language : {Imap(), Pop3(), Sieve()}) {
    for (const State& state : language.states) {
      for (const char* octets : {"354 go\r\n", "334 x\r\n", "\x16\x03\x01\r\n", "x OK\r\n"}) {
        for (size_t piece : kPieces) {
          EXPECT_EQ(Tell(language, state, octets, piece).client, language.broken) << octets;
        }
      }
    }
  }
}

TEST(LineReplies, BrokenAmidALongLine) {
  const std::string begins[] = {"b NO ", "-ERR ", "NO \""};
  const Language languages[] = {Imap(), Pop3(), Sieve()};
  for (size_t i = 0; i < 3; ++i) {
    for (const State& state : languages[i].states) {
      if (state.owes != Owes::kReply) continue;
      for (const std::string& bad : {"\0"s, "\rx"s}) {
        const std::string octets = begins[i] + kText + bad + "\r\n";
        const Told whole = Tell(languages[i], state, octets, std::string::npos);
        EXPECT_EQ(whole.reason, EndReason::kBackendProtocol);
        EXPECT_TRUE(whole.client.starts_with(begins[i]));
        EXPECT_TRUE(whole.client.ends_with("xxx\r\n" + languages[i].broken));
        EXPECT_EQ(Tell(languages[i], state, octets, 1).client, whole.client);
      }
    }
  }
}

// The gateway's own words wait for the end of the server's line.
TEST(LineReplies, NothingOfTheGatewaysComesBetween) {
  for (size_t piece : kPieces) {
    DialogueOptions options;
    options.policy = Policy::kOpportunistic;
    DialogueDriver play(CreateImap, options, piece);
    play.Raise(EventKind::kStart);
    play.Client("a X\r\n");
    play.Raise(EventKind::kLegUp);
    play.Backend("* OK hi\r\n");
    play.Backend("a NO\r\n* OK " + kText);
    play.TakeToClient();
    play.Client("b NOOP\r\n");
    play.Backend("yz\r\n");
    EXPECT_TRUE(play.TakeToClient().ends_with("xxyz\r\nb OK NOOP completed\r\n"));
  }
}

TEST(LineReplies, AnEndAmidALongLine) {
  const Language imap = Imap();
  DialogueOptions options;
  options.policy = Policy::kOpportunistic;
  DialogueDriver play(CreateImap, options);
  play.Raise(EventKind::kStart);
  play.Client("a X\r\n");
  play.Raise(EventKind::kLegUp);
  play.Backend("* OK hi\r\n");
  play.Backend("a NO " + kText);
  play.Raise(EventKind::kBackendEnd);
  EXPECT_TRUE(play.TakeToClient().ends_with(
      "xxx\r\n* BYE [UNAVAILABLE] Server not available, try again later\r\n"));
}

// The dialogue does not believe a success before the command is whole.
TEST(LineReplies, NoSuccessOfHalfACommand) {
  struct {
    DialogueDriver::Create create;
    std::string hello, command, yes, broken;
  } const cases[] = {
      {CreateImap, "* OK hi\r\n", "b LOGIN {5+}\r\nab", "b OK in\r\n", Imap().broken},
      {CreateManageSieve, "OK\r\n", "AUTHENTICATE \"PLAIN\" {5+}\r\nab", "OK\r\n", Sieve().broken},
  };
  for (const auto& c : cases) {
    for (size_t piece : kPieces) {
      DialogueOptions options;
      options.policy = Policy::kOpportunistic;
      options.plaintext_auth = true;
      DialogueDriver play(c.create, options, piece);
      play.Raise(EventKind::kStart);
      play.Client(c.command);
      play.Raise(EventKind::kLegUp);
      play.Backend(c.hello);
      play.TakeToClient();
      play.Backend(c.yes);
      EXPECT_EQ(play.TakeToClient(), c.broken);
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendProtocol));
    }
  }
}

}  // namespace
}  // namespace starling
