#include "protocols/frames/dialogue.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "protocols/frames/mangled.h"

namespace starling {
namespace {

TEST(Dialogue, Words) {
  std::string_view rest = "a STARTTLS  x";
  EXPECT_EQ(TakeWord(rest), "a");
  EXPECT_EQ(TakeWord(rest), "STARTTLS");
  EXPECT_EQ(TakeWord(rest), "");
  EXPECT_EQ(TakeWord(rest), "x");
  EXPECT_EQ(TakeWord(rest), "");
  EXPECT_TRUE(EqualsIgnoreCase("sTls", "StLS"));
  EXPECT_FALSE(EqualsIgnoreCase("STL", "STLS"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_TRUE(IsPrintable("a~!"));
  for (std::string_view bad : {" ", "\x1b", "\x7f", "\xc3"}) EXPECT_FALSE(IsPrintable(bad));
  EXPECT_TRUE(Has8Bit("a\x80"));
  EXPECT_FALSE(Has8Bit("a\x7f\x01"));
}

TEST(Dialogue, WhiteSpaceAroundWords) {
  std::string_view rest = "  MODE \t READER\t";
  EXPECT_EQ(NextWord(rest, kBlanks), "MODE");
  EXPECT_EQ(rest, "READER\t");
  EXPECT_EQ(NextWord(rest, kBlanks), "READER");
  EXPECT_EQ(NextWord(rest, kBlanks), "");
  rest = "a\tb  c";
  EXPECT_EQ(NextWord(rest, kSpace), "a\tb");
  EXPECT_EQ(rest, "c");
  for (std::string_view text : {"", " ", " \t "}) {
    EXPECT_EQ(Trim(text, kBlanks), "");
    EXPECT_EQ(TrimStart(text, kBlanks), "");
    EXPECT_EQ(TrimEnd(text, kBlanks), "");
  }
  EXPECT_EQ(Trim(" \ta b\t ", kBlanks), "a b");
  EXPECT_EQ(Trim(" \ta b\t ", kSpace), "\ta b\t");
}

TEST(Dialogue, PassesWordsOnWithOneSpace) {
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"", ""},
      {"  ", ""},
      {" a   b ", "a b"},
      {"a \"b  \\\"  c\"  d", "a \"b  \\\"  c\" d"},
      {"a:<b  c>  d", "a:<b  c> d"},
      {"a:<\"b  >\"  c>  d", "a:<\"b  >\"  c> d"},
      {"a  \"b  c", "a \"b  c"},
      {"a  <b  c", "a <b  c"},
      {"a  b\\", "a b\\"},
      {"a\\  b  c", "a\\ b c"},
      {"a  \"b\\", "a \"b\\"},
      {"a>  b", "a> b"},
  };
  for (const auto& [line, passed] : lines) {
    std::vector<uint8_t> memory(line.size() + 2);
    Writer out(memory);
    SayWords(out, line, kBlanks);
    EXPECT_EQ(AsText(out.written()), passed + "\r\n") << line;
    Writer small(std::span(memory).first(Trim(line, kBlanks).size() + 1));
    SayWords(small, line, kBlanks);
    EXPECT_EQ(small.size(), 0u) << line;
  }
}

TEST(Dialogue, Strangers) {
  EXPECT_TRUE(BeginsLikeTls(AsBytes("\x16")));
  EXPECT_TRUE(BeginsLikeTls(AsBytes("\x80\x2e")));
  for (std::string_view text : {"", "E", "\x15", "\xc3"})
    EXPECT_FALSE(BeginsLikeTls(AsBytes(text)));

  for (std::string_view line : {"GET / HTTP/1.1", "POST /x HTTP/1.0", "OPTIONS * HTTP/1.1",
                                "CONNECT mail:25 HTTP/1.1", "PRI * HTTP/2.0", "GET /"}) {
    EXPECT_TRUE(LooksLikeHttp(line)) << line;
  }
  for (std::string_view line : {"GET NOOP", "GET", "EHLO /", "get / HTTP/1.1", ""}) {
    EXPECT_FALSE(LooksLikeHttp(line)) << line;
  }
  for (std::string_view line : {"Host: x", "User-Agent: y", "Subject:"}) {
    EXPECT_TRUE(LooksLikeHeader(line)) << line;
  }
  for (std::string_view line : {"MAIL FROM:<>", ":", "", "RCPT TO: <x>", "a:b"}) {
    EXPECT_FALSE(LooksLikeHeader(line)) << line;
  }
}

TEST(Dialogue, SaysAllOrNothing) {
  std::vector<uint8_t> memory(4);
  Writer out(memory);
  Say(out, {"abc", "de"});
  EXPECT_EQ(AsText(out.written()), "");
  Say(out, {"abc", "d"});
  EXPECT_EQ(AsText(out.written()), "abcd");
}

TEST(Dialogue, ClosingNamesTheAttack) {
  struct Case {
    EndReason reason;
    uint32_t attacks;
  };
  auto bit = [](Attack a) { return 1u << static_cast<unsigned>(a); };
  for (const Case& c :
       {Case{EndReason::kTlsOnPlainPort, bit(Attack::kTlsOnPlainPort)},
        Case{EndReason::kCrossProtocol, bit(Attack::kCrossProtocol)},
        Case{EndReason::kLineTooLong, bit(Attack::kOverlongLine)},
        Case{EndReason::kBadOctet, bit(Attack::kBadOctet)},
        Case{EndReason::kBackendPreauth, bit(Attack::kPreauth)}, Case{EndReason::kGoodbye, 0}}) {
    Step step;
    Close(step, c.reason);
    EXPECT_EQ(step.verdict, Verdict::kClose);
    EXPECT_EQ(step.reason, c.reason);
    EXPECT_EQ(step.attacks, c.attacks) << Label(c.reason);
  }
}

TEST(Mangled, Verbs) {
  struct Case {
    std::string_view verb, upgrade;
    bool mangled;
  };
  for (const Case& c :
       {Case{"XXXX", "STARTTLS", true}, Case{"XXXXA", "STARTTLS", true},
        Case{"xxxxxxxx", "STARTTLS", true}, Case{"XXXXXXXXXXXX", "STARTTLS", true},
        Case{"XXX", "STARTTLS", false}, Case{"XXXA", "STARTTLS", false},
        Case{"XXXXAB", "STARTTLS", false}, Case{"XXXX1", "STARTTLS", false},
        Case{"STARTTLS", "STARTTLS", false}, Case{"starttls", "STARTTLS", false},
        Case{"STARTTLX", "STARTTLS", true}, Case{"XXARTTLS", "STARTTLS", true},
        Case{"XXXRTTLS", "STARTTLS", false}, Case{"STARTTL", "STARTTLS", false},
        Case{"STARTTLSX", "STARTTLS", false}, Case{"STLX", "STLS", true},
        Case{"SXXS", "STLS", true}, Case{"XXXS", "STLS", false}, Case{"", "STLS", false}}) {
    EXPECT_EQ(LooksMangled(c.verb, c.upgrade), c.mangled) << c.verb;
  }
}

}  // namespace
}  // namespace starling
