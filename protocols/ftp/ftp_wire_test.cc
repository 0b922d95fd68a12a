#include "protocols/ftp/ftp_wire.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace starling {
namespace {

using Family = Endpoint::Family;

TEST(FtpWire, Verbs) {
  EXPECT_EQ(FindFtpVerb("retr"), FtpVerb::kRetrieve);
  EXPECT_EQ(FindFtpVerb("APPE"), FtpVerb::kStore);
  EXPECT_EQ(FindFtpVerb("ABOR"), FtpVerb::kAbor);
  EXPECT_EQ(FindFtpVerb("CPSV"), FtpVerb::kRefused);
  EXPECT_EQ(FindFtpVerb("XSHA1"), FtpVerb::kOther);
  EXPECT_EQ(FindFtpVerb(""), FtpVerb::kUnknown);
  EXPECT_EQ(FindFtpVerb("RETR\t"), FtpVerb::kUnknown);
  EXPECT_EQ(FindFtpVerb("R\xc3\xa9TR"), FtpVerb::kUnknown);
  EXPECT_EQ(FindFtpVerb(std::string(kFtpMaxVerb + 1, 'x')), FtpVerb::kUnknown);
}

TEST(FtpWire, Commands) {
  const struct {
    std::string line, word, argument;
  } cases[] = {
      {"NOOP", "NOOP", ""},
      {"TYPE  I ", "TYPE", "I"},
      {"TYPE\tA N\t", "TYPE", "A N"},
      {"RETR  a ", "RETR", " a "},
      {"CWD\ta", "CWD", "a"},
      {"PASS a b ", "PASS", "a b "},
      {"\xff\xf4\xff\xf2"
       "ABOR ",
       "ABOR", ""},
      {" NOOP", "", "NOOP"},
  };
  for (const auto& c : cases) {
    const FtpCommand command = ParseFtpCommand(c.line);
    EXPECT_EQ(command.word, c.word) << c.line;
    EXPECT_EQ(command.argument, c.argument) << c.line;
  }
}

TEST(FtpWire, LinesThatNameAnAddress) {
  for (const char* line :
       {"227 Entering (1,2,3,4,5,6)", "227-1,2,3,4,5,6", "\t228 (4,4,1,2)", "229 (|||5|)"}) {
    EXPECT_TRUE(NamesDataAddress(line, false)) << line;
  }
  for (const char* line :
       {"", "22", "227", "227 x", "226 (1,2,3,4,5,6)", "2271 (1,2)", "x 227 (1)"}) {
    EXPECT_FALSE(NamesDataAddress(line, false)) << line;
  }
  EXPECT_TRUE(NamesDataAddress("227 x", true)) << "the rest of the line may have it";
  EXPECT_FALSE(NamesDataAddress("226 x", true));
}

TEST(FtpWire, TelnetBeforeAbor) {
  EXPECT_EQ(StripTelnet("\xff\xf4\xff\xf2"
                        "ABOR"),
            "ABOR");
  EXPECT_EQ(StripTelnet("ABOR"), "ABOR");
  EXPECT_EQ(StripTelnet("\xff\xff"
                        "ABOR"),
            "\xff\xff"
            "ABOR");
  EXPECT_EQ(StripTelnet("\xff"), "\xff");
}

TEST(FtpWire, PortOfAReply) {
  EXPECT_EQ(PortOf227("227 Entering Passive Mode (127,0,0,1,160,41)."), 160 << 8 | 41);
  EXPECT_EQ(PortOf227("227 Entering Passive Mode 10,0,0,1,4,1"), 1025);
  EXPECT_EQ(PortOf227("227 On 2 (1,2,3,4,255,255)"), 65535);
  for (const char* line : {"227-1,2,3,4,4,1", "(1,2,3,4,4,1)", "1,2,3,4,4,1", "=1,2,3,4,4,1",
                           " (1,2,3,4,4,1)", "227 (1,2,3,4,4,1)"}) {
    EXPECT_EQ(PortOf227(line), 1025) << line;
  }
  for (const char* text : {"227", "227 ", "227 Entering (1,2,3,4,5)", "227 (1,2,3,4,256,1)",
                           "227 (1,2,3,4,5,6,7)", "227 (1,2,3,4,0,0)", "227 (1,,3,4,5,6)"}) {
    EXPECT_EQ(PortOf227(text), std::nullopt) << text;
  }
  EXPECT_EQ(PortOf229("229 Entering Extended Passive Mode (|||6446|)"), 6446);
  EXPECT_EQ(PortOf229("229 Extended (!!!65535!)"), 65535);
  for (const char* text :
       {"229", "229 ()", "229 (|||0|)", "229 (|||65536|)", "229 (||6446|)", "229 (|||6446)",
        "229 (|||+6|)", "229 (|1||6446|)", "229 (1116446,1)", "229 |||6446|"}) {
    EXPECT_EQ(PortOf229(text), std::nullopt) << text;
  }
}

TEST(FtpWire, Port) {
  const auto address = ParsePort("192,0,2,1,4,1");
  ASSERT_TRUE(address);
  EXPECT_EQ(ToString(*address), "192.0.2.1:1025");
  for (const char* text : {"", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,6 ", "256,2,3,4,5,6",
                           "1,2,3,4,5,", " 1,2,3,4,5,6", "-1,2,3,4,5,6"}) {
    EXPECT_FALSE(ParsePort(text)) << text;
  }
}

TEST(FtpWire, Eprt) {
  const auto v4 = ParseEprt("|1|192.0.2.1|1025|");
  ASSERT_TRUE(v4);
  EXPECT_EQ(ToString(*v4), "192.0.2.1:1025");
  const auto v6 = ParseEprt("!2!2001:db8::1!65535!");
  ASSERT_TRUE(v6);
  EXPECT_EQ(ToString(*v6), "[2001:db8::1]:65535");
  for (const std::string text :
       {"", "|", "|1|192.0.2.1|1025", "|1|192.0.2.1|1025||", "|1|2001:db8::1|1025|",
        "|2|192.0.2.1|1025|", "|3|192.0.2.1|1025|", "|1|192.0.2.1|65536|", "|1|192.0.2.1||",
        "1119219219211102511", "|1|192.0.2.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1|1025|"}) {
    EXPECT_FALSE(ParseEprt(text)) << text;
  }
}

TEST(FtpWire, AddressesAreSaid) {
  std::array<uint8_t, 128> memory;
  Writer out(memory);
  Endpoint v4{.family = Family::kV4, .port = 41001, .ip = {203, 0, 113, 7}};
  SayPortCommand(v4, out);
  Endpoint v6{.family = Family::kV6, .port = 9, .ip = {}};
  v6.ip[15] = 1;
  SayPortCommand(v6, out);
  EXPECT_EQ(AsText(out.written()), "PORT 203,0,113,7,160,41\r\nEPRT |2|::1|9|\r\n");
}

struct Read {
  int code;
  bool first, last;
  bool operator==(const Read&) const = default;
};

std::vector<Read> ReadAll(const std::vector<std::string>& lines) {
  std::vector<Read> result;
  int amid = 0;
  for (const std::string& text : lines) {
    const FtpReplyLine line = ParseFtpReplyLine(text, amid);
    result.push_back({line.code, line.first, line.last});
    amid = line.last ? 0 : line.code;
  }
  return result;
}

TEST(FtpWire, LinesOfReplies) {
  const struct {
    std::vector<std::string> text;
    std::vector<Read> lines;
  } cases[] = {
      {{"220 x"}, {{220, true, true}}},
      {{"220"}, {{220, true, true}}},
      {{"220-a", "220 b"}, {{220, true, false}, {220, false, true}}},
      {{"211-a", " b", "", "211-c", "226 d", "211 e"},
       {{211, true, false},
        {211, false, false},
        {211, false, false},
        {211, false, false},
        {211, false, false},
        {211, false, true}}},
      {{"150 a", "226 b"}, {{150, true, true}, {226, true, true}}},
      {{"hello"}, {{0, false, false}}},
      {{"22"}, {{0, false, false}}},
      {{"099 x"}, {{0, false, false}}},
      {{"600 x"}, {{0, false, false}}},
      {{"220x"}, {{0, false, false}}},
      {{"220 " + std::string(2000, 'x')}, {{220, true, true}}},
  };
  for (const auto& c : cases) EXPECT_EQ(ReadAll(c.text), c.lines) << c.text[0];
}

}  // namespace
}  // namespace starling
