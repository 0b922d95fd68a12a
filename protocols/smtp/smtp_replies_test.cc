// Every command of a plaintext leg with every class of reply, whole and octet by octet:
// allowed replies pass, and no octet of any other reply reaches the client.
// smtp_inner_greeting_test.cc has the greeting inside TLS.
#include "protocols/smtp/smtp_replies.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocols/smtp/smtp_testing.h"

namespace starling {
namespace {

using namespace std::string_literals;

const std::string kHello = "EHLO x\r\n";
const std::string kBroken = "421 4.3.2 mx.example Service not available, try again later\r\n";
const std::set<std::string> kRefused = {"450", "451", "500", "502", "503", "535", "550", "554"};

// A state in which a reply is due, and the replies that may come.
struct Row {
  std::string name;
  std::vector<Move> moves;
  std::set<std::string> others = {};  // other replies that may come
  bool lmtp = false;
  bool swallowed = false;  // the gateway swallows a success: the client has had it, or another one
  bool greeting = false;
  bool nothing_due = false;
};

// The leg is up and idle after the client's first command, which opened it.
std::vector<Move> On(const std::string& hello, std::vector<Move> rest) {
  std::vector<Move> moves = {C(hello), C("VRFY a\r\n"), Opens(), B("220 b\r\n")};
  if (!hello.empty()) moves.push_back(B("250 b\r\n"));
  moves.push_back(B("252 a\r\n"));
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

std::vector<Move> Mail(bool lmtp, std::vector<Move> rest) {
  std::vector<Move> moves = On(lmtp ? "LHLO x\r\n" : kHello,
                               {C("MAIL FROM:<a@b>\r\n"), B("250 a\r\n"), C("RCPT TO:<c@d>\r\n"),
                                B("250 b\r\n"), C("RCPT TO:<e@f>\r\n"), B("250 c\r\n")});
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

std::vector<Row> Rows() {
  const std::set<std::string> done = {"200", "211", "214", "220", "221",
                                      "235", "250", "251", "252"};
  const std::set<std::string> completed = {"250"};
  std::vector<Row> rows = {
      {.name = "greeting",
       .moves = {C(kHello), C("VRFY a\r\n"), Opens()},
       .others = {"220"},
       .swallowed = true,
       .greeting = true},
      {.name = "replayed EHLO",
       .moves = {C(kHello), C("VRFY a\r\n"), Opens(), B("220 b\r\n")},
       .others = completed,
       .swallowed = true},
      {.name = "replayed HELO",
       .moves = {C("HELO x\r\n"), C("VRFY a\r\n"), Opens(), B("220 b\r\n")},
       .others = completed,
       .swallowed = true},
      {.name = "replayed LHLO",
       .moves = {C("LHLO x\r\n"), C("VRFY a\r\n"), Opens(), B("220 b\r\n")},
       .others = completed,
       .lmtp = true,
       .swallowed = true},
      {.name = "EHLO", .moves = On(kHello, {C(kHello)}), .others = completed, .swallowed = true},
      {.name = "LHLO",
       .moves = On("LHLO x\r\n", {C("LHLO x\r\n")}),
       .others = completed,
       .lmtp = true,
       .swallowed = true},
      {.name = "DATA", .moves = Mail(false, {C("DATA\r\n")}), .others = {"354"}},
      {.name = "DATA in LMTP",
       .moves = Mail(true, {C("DATA\r\n")}),
       .others = {"354"},
       .lmtp = true},
      {.name = "the end of data",
       .moves = Mail(false, {C("DATA\r\n"), B("354 d\r\n"), C("x\r\n.\r\n")}),
       .others = done},
      {.name = "the end of data, first recipient",
       .moves = Mail(true, {C("DATA\r\n"), B("354 d\r\n"), C("x\r\n.\r\n")}),
       .others = done,
       .lmtp = true},
      {.name = "the end of data, second recipient",
       .moves = Mail(true, {C("DATA\r\n"), B("354 d\r\n"), C("x\r\n.\r\n"), B("250 1\r\n")}),
       .others = done,
       .lmtp = true},
      {.name = "the end of data, third of two recipients",
       .moves =
           Mail(true, {C("DATA\r\n"), B("354 d\r\n"), C("x\r\n.\r\n"), B("250 1\r\n250 2\r\n")}),
       .lmtp = true,
       .nothing_due = true},
      {.name = "AUTH", .moves = On(kHello, {C("AUTH LOGIN\r\n")}), .others = {"235", "334"}},
      {.name = "a line of AUTH",
       .moves = On(kHello, {C("AUTH LOGIN\r\n"), B("334 a\r\n"), C("dQ==\r\n")}),
       .others = {"235", "334"}},
      {.name = "before a line of AUTH",
       .moves = On(kHello, {C("AUTH LOGIN\r\n"), B("334 a\r\n")}),
       .nothing_due = true},
      {.name = "nothing", .moves = On(kHello, {}), .nothing_due = true},
      {.name = "nothing, without hello", .moves = On("", {}), .nothing_due = true},
      {.name = "amid data",
       .moves = Mail(false, {C("DATA\r\n"), B("354 d\r\n"), C("x\r\n")}),
       .nothing_due = true},
  };
  for (const char* auth : {"AUTH", "a line of AUTH"}) {
    for (Row& row : rows) {
      if (row.name == auth) row.others.insert(done.begin(), done.end());
    }
  }
  for (const char* command : {"HELO y", "MAIL FROM:<>", "RCPT TO:<a@b>", "RSET", "NOOP", "VRFY a",
                              "EXPN a", "ETRN a", "HELP", "QUIT"}) {
    rows.push_back({command, On(kHello, {C(command + "\r\n"s)}), done});
  }
  return rows;
}

// All classes, and codes that are no replies at all.
const char* const kCodes[] = {"100", "150", "200", "211", "214", "220", "221", "235", "250",
                              "251", "252", "300", "334", "350", "354", "450", "451", "500",
                              "502", "503", "535", "550", "554", "600", "999", "000"};
const char* const kNoReplies[] = {"hello", "",        "2",      "25",     "25x no", "2500 no",
                                  "250x",  " 250 no", "-ERR x", "* OK x", "\t",     "\t250 no"};

struct Told {
  std::string before;  // of the reply
  std::string client, backend;
  EndReason reason = EndReason::kNone;
  bool over = false;
  uint16_t reply = 0;
};

Told Tell(const Row& row, const std::string& reply, size_t piece) {
  DialogueOptions options;
  options.hostname = "mx.example";
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = true;
  SmtpPlay play(options, row.lmtp, piece);
  play.Raise(EventKind::kStart);
  for (const Move& move : row.moves) PlayMove(play, move);
  EXPECT_FALSE(play.over());
  const std::string before = play.TakeToClient();
  play.TakeToBackend();
  play.Backend(reply);
  return {before,        play.TakeToClient(), play.TakeToBackend(),
          play.reason(), play.over(),         play.reply()};
}

constexpr size_t kPieces[] = {std::string::npos, 1, 5};

TEST(SmtpReplies, OnlyThoseThatACommandMayHavePass) {
  for (const Row& row : Rows()) {
    for (const std::string code : kCodes) {
      for (const std::string& reply :
           {code + " text\r\n", code + "-first\r\n" + code + " last\r\n", code + "\r\n"}) {
        SCOPED_TRACE(row.name + ": " + reply);
        const bool success = row.others.contains(code);
        const bool refusal = !row.nothing_due && kRefused.contains(code);
        for (size_t piece : kPieces) {
          const Told told = Tell(row, reply, piece);
          if (!success && !refusal) {
            EXPECT_EQ(told.client, kBroken);
            EXPECT_EQ(told.backend, "");
            EXPECT_EQ(told.reason, EndReason::kBackendProtocol);
          } else if (refusal || !row.swallowed) {
            EXPECT_EQ(told.client, reply);
            EXPECT_NE(told.reason, EndReason::kBackendProtocol);
          } else {
            EXPECT_EQ(told.client.find(reply), std::string::npos);
            EXPECT_FALSE(told.over);
          }
        }
      }
    }
  }
}

TEST(SmtpReplies, WhatIsNoReplyNeverPasses) {
  for (const Row& row : Rows()) {
    for (const std::string line : kNoReplies) {
      SCOPED_TRACE(row.name + ": " + line);
      for (size_t piece : kPieces) {
        const Told told = Tell(row, line + "\r\n", piece);
        EXPECT_EQ(told.client, kBroken);
        EXPECT_EQ(told.backend, "");
        EXPECT_EQ(told.reason, EndReason::kBackendProtocol);
      }
    }
  }
}

TEST(SmtpReplies, GoodbyeMayComeAtAnyTime) {
  for (const Row& row : Rows()) {
    const std::string text(3000, 'x');
    for (const std::string& reply :
         {"421 going\r\n"s, "421-soon\r\n421 gone\r\n"s, "421 " + text + "\r\n"}) {
      SCOPED_TRACE(row.name);
      for (size_t piece : kPieces) {
        const Told told = Tell(row, reply, piece);
        EXPECT_EQ(told.client, reply);
        EXPECT_EQ(told.backend, "");
        EXPECT_TRUE(told.over);
        EXPECT_TRUE(told.reason == EndReason::kBackendClosed ||
                    told.reason == EndReason::kBackendRefused);
        EXPECT_EQ(told.reply, 421);
      }
    }
  }
}

TEST(SmtpReplies, TheLinesOfOneHaveTheSameClass) {
  for (const Row& row : Rows()) {
    std::set<std::string> codes = kRefused;
    codes.insert(row.others.begin(), row.others.end());
    for (const std::string& code : codes) {
      if (row.nothing_due) break;
      for (const std::string other : {"250", "220", "354", "334", "450", "451", "550", "554"}) {
        if (code == other) continue;
        SCOPED_TRACE(row.name + ": " + code + "-" + other);
        const std::string first = code + "-first\r\n";
        const bool silent = row.swallowed && row.others.contains(code);
        const bool teased = row.greeting && code == "220" && kRefused.contains(other);
        // The client gets the same code in all lines.
        const bool goes_on =
            code[0] == other[0] && (kRefused.contains(other) || row.others.contains(other));
        for (size_t piece : kPieces) {
          const Told told = Tell(row, first + other + " last\r\n", piece);
          if (goes_on) {
            EXPECT_EQ(told.client, first + code + " last\r\n");
            EXPECT_NE(told.reason, EndReason::kBackendProtocol);
            continue;
          }
          const std::string end = teased ? other + " last\r\n" : kBroken;
          EXPECT_EQ(told.client, (silent ? "" : first) + end);
          EXPECT_EQ(told.reason, teased ? EndReason::kBackendRefused : EndReason::kBackendProtocol);
        }
      }
    }
  }
}

// However sloppily a server writes a refusal, it keeps its class, and the client gets it in
// the form that all clients read.
TEST(SmtpReplies, SloppyRefusalsPass) {
  struct {
    std::string reply, told;
  } const cases[] = {
      {"550 no\n", "550 no\r\n"},
      {"550\n", "550\r\n"},
      {"550\r\n", "550\r\n"},
      {"550\tno\r\n", "550 no\r\n"},
      {"550\t\n", "550 \r\n"},
      {"550 \t no \r\n", "550 \t no \r\n"},
      {"450\t4.2.0\tno\n", "450 4.2.0\tno\r\n"},
      {"550-a\r\n550 b\n", "550-a\r\n550 b\r\n"},
      {"550-a\n550-\tb\r\n550\tc\n", "550-a\r\n550-\tb\r\n550 c\r\n"},
      {"550-a\n551-b\n554\tc\n", "550-a\r\n550-b\r\n550 c\r\n"},
      {"450-a\r\n451\n", "450-a\r\n450\r\n"},
      {"450-a\r\n421 b\r\n", "450-a\r\n421 b\r\n"},
      {"550\t" + std::string(3000, 'x') + "\n", "550 " + std::string(3000, 'x') + "\r\n"},
  };
  for (const Row& row : Rows()) {
    if (row.nothing_due) continue;
    for (const auto& c : cases) {
      SCOPED_TRACE(row.name + ": " + c.reply.substr(0, 40));
      for (size_t piece : kPieces) {
        const Told told = Tell(row, c.reply, piece);
        EXPECT_TRUE(told.client == c.told) << told.client.substr(0, 100);
        EXPECT_NE(told.reason, EndReason::kBackendProtocol);
      }
    }
    for (const std::string& bad : {"550 n\0o\r\n"s, "550 n\ro\r\n"s, "421-a\n450 b\n"s}) {
      const Told told = Tell(row, bad, 1);
      EXPECT_TRUE(told.client.ends_with(kBroken));
      EXPECT_EQ(told.reason, EndReason::kBackendProtocol);
    }
  }
}

// A refusal keeps its code and its class, whatever its length: no limit of the gateway
// turns a permanent refusal into a temporary one, or the other way round.
TEST(SmtpReplies, LongRefusalsPass) {
  for (const Row& row : Rows()) {
    if (row.nothing_due) continue;
    for (const std::string code : {"450 4.2.0 ", "550 5.7.1 "}) {
      for (size_t size : {500, 1011, 1012, 1013, 1014, 1015, 1016, 1024, 2048, 3000, 20'000}) {
        SCOPED_TRACE(row.name + ": " + code + std::to_string(size));
        const std::string one = code + std::string(size, 'x') + "\r\n";
        std::string more = one;
        more[3] = '-';
        std::string bare_lf = one;
        bare_lf.erase(bare_lf.size() - 2, 1);
        const std::pair<std::string, std::string> pairs[] = {
            {one, one}, {more + more + one, more + more + one}, {bare_lf, one}};
        for (const auto& [reply, passed] : pairs) {
          for (size_t piece : {std::string::npos, size_t{97}}) {
            const Told told = Tell(row, reply, piece);
            EXPECT_TRUE(told.client == passed);
            EXPECT_NE(told.reason, EndReason::kBackendProtocol);
          }
        }
      }
    }
  }
}

TEST(SmtpReplies, RefusalsOfManyLinesPass) {
  std::string reply;
  for (int i = 0; i < 5'000; ++i) reply += "550-5.7.1 line " + std::to_string(i) + "\r\n";
  reply += "550 5.7.1 end\r\n";
  for (const Row& row : Rows()) {
    if (row.nothing_due) continue;
    EXPECT_TRUE(Tell(row, reply, std::string::npos).client == reply);
  }
}

TEST(SmtpReplies, BrokenAmidALongLine) {
  for (const Row& row : Rows()) {
    if (row.nothing_due) continue;
    for (const std::string& bad : {"\0"s, "\rx"s}) {
      SCOPED_TRACE(row.name);
      const std::string begin = "550 " + std::string(3000, 'x');
      const Told whole = Tell(row, begin + bad + "\r\n", std::string::npos);
      EXPECT_EQ(whole.reason, EndReason::kBackendProtocol);
      // The client has a part of a line. The gateway then ends that line.
      const std::string end = "\r\n" + kBroken;
      ASSERT_TRUE(whole.client.ends_with(end));
      const std::string part = whole.client.substr(0, whole.client.size() - end.size());
      EXPECT_TRUE(begin.starts_with(part));
      EXPECT_EQ(Tell(row, begin + bad + "\r\n", 1).client, whole.client);
    }
  }
}

TEST(SmtpReplies, AnEndAmidALongLine) {
  DialogueOptions options;
  options.hostname = "mx.example";
  options.policy = Policy::kOpportunistic;
  SmtpPlay play(options, false);
  play.Raise(EventKind::kStart);
  play.Client("VRFY a\r\n");
  play.Raise(EventKind::kLegUp);
  play.TakeToClient();
  play.Backend("220 b\r\n");
  play.Backend("550 " + std::string(2000, 'x'));
  play.Raise(EventKind::kBackendEnd);
  EXPECT_TRUE(play.TakeToClient().ends_with("xxx\r\n" + kBroken));
}

// While a server says goodbye, nothing of the gateway's own comes in between.
TEST(SmtpReplies, AGoodbyeIsNotInterrupted) {
  for (const std::string& begin : {"421-a\r\n"s, "421 " + std::string(2000, 'x')}) {
    const std::string end = begin[3] == '-' ? "421 b\r\n" : "\r\n";
    const Row row = {"", On(kHello, {B(begin), C("BURL x\r\n"), C("STARTTLS\r\n")})};
    const Told told = Tell(row, end, 1);
    EXPECT_TRUE((told.before + told.client).ends_with(begin + end)) << told.before;
    EXPECT_EQ(told.reason, EndReason::kBackendClosed);
  }
}

TEST(SmtpReplies, LongLinesOfAnEhloReplyAreRead) {
  const std::string tail = " " + std::string(3000, 'x') + "\r\n";
  const Row row = {"", On(kHello, {C(kHello)})};
  for (size_t piece : kPieces) {
    EXPECT_EQ(
        Tell(row, "250-b" + tail + "250-SIZE 99" + tail + "250-DSN" + tail + "250 8BITMIME\r\n",
             piece)
            .client,
        "250-mx.example\r\n250-STARTTLS\r\n250-SIZE 99\r\n250-8BITMIME\r\n250 DSN\r\n");
  }
}

}  // namespace
}  // namespace starling
