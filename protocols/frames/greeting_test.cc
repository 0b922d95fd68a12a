#include "protocols/frames/greeting.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "protocols/frames/limits.h"

namespace starling {
namespace {

constexpr GreetingStatus kNeedMore = GreetingStatus::kNeedMore;
constexpr GreetingStatus kWelcome = GreetingStatus::kWelcome;
constexpr GreetingStatus kRefusal = GreetingStatus::kRefusal;
constexpr GreetingStatus kOther = GreetingStatus::kOther;

struct Case {
  GreetingStatus (*read)(ByteView in);
  std::string_view text;
  GreetingStatus whole;
  size_t decided_at;  // octets after which the status is final
};

constexpr std::string_view kGarbage("\0\0\xff\xfe x\r\n", 8);

const Case kCases[] = {
    {ReadSmtpGreeting, "220 mail ready\r\n", kWelcome, 16},
    {ReadSmtpGreeting, "220 mail ready\n", kWelcome, 15},
    {ReadSmtpGreeting, "220\r\n", kWelcome, 5},
    {ReadSmtpGreeting, "220\tmail\r\n", kWelcome, 10},
    {ReadSmtpGreeting, "220-mail\r\n220 ready\r\n", kWelcome, 21},
    {ReadSmtpGreeting, "220-mail\r\n220-ready\r\n", kNeedMore, 99},
    {ReadFtpGreeting, "220-banner\r\n of no code\r\n12\r\n220 ready\r\n", kWelcome, 40},
    {ReadFtpGreeting, "120 in a minute\r\n", kNeedMore, 99},
    {ReadFtpGreeting, "120 in a minute\r\n220 ready\r\n", kWelcome, 28},
    {ReadFtpGreeting, "120-in a minute\r\n120 or two\r\n421 too many\r\n", kRefusal, 43},
    {ReadSmtpGreeting, "120 in a minute\r\n", kOther, 17},
    {ReadSmtpGreeting, "421 too many\r\n", kRefusal, 14},
    {ReadSmtpGreeting, "554-no\r\n554 no\r\n", kRefusal, 16},
    {ReadSmtpGreeting, "220-wait\r\n550 no\r\n", kRefusal, 18},
    {ReadSmtpGreeting, "354 what\r\n", kOther, 10},
    {ReadSmtpGreeting, "200 news ready\r\n", kOther, 16},
    {ReadSmtpGreeting, "120 in a minute\r\n", kOther, 17},
    {ReadNntpGreeting, "200 news ready\r\n", kWelcome, 16},
    {ReadNntpGreeting, "201 read only\r\n", kWelcome, 15},
    {ReadNntpGreeting, "220 mail ready\r\n", kOther, 16},
    {ReadNntpGreeting, "502 no\r\n", kRefusal, 8},
    {ReadFtpGreeting, "200 news ready\r\n", kOther, 16},
    {ReadFtpGreeting, "421 too many\r\n", kRefusal, 14},
    {ReadSmtpGreeting, "22\r\n", kOther, 3},
    {ReadSmtpGreeting, "HTTP/1.1 400\r\n", kOther, 1},
    {ReadSmtpGreeting, kGarbage, kOther, 1},
    {ReadImapGreeting, "* OK ready\r\n", kWelcome, 12},
    {ReadImapGreeting, "* ok ready\n", kWelcome, 11},
    {ReadImapGreeting, "* PREAUTH hello\r\n", kWelcome, 17},
    {ReadImapGreeting, "* BYE no\r\n", kRefusal, 10},
    {ReadImapGreeting, "* OK rea", kNeedMore, 99},
    {ReadImapGreeting, "* NO\r\n", kOther, 3},
    {ReadImapGreeting, "+OK\r\n", kOther, 1},
    {ReadImapGreeting, kGarbage, kOther, 1},
    {ReadPop3Greeting, "+OK ready\r\n", kWelcome, 11},
    {ReadPop3Greeting, "-ERR [SYS/TEMP] no\r\n", kRefusal, 20},
    {ReadPop3Greeting, "+", kNeedMore, 99},
    {ReadPop3Greeting, "* OK\r\n", kOther, 1},
    {ReadAcapGreeting, "* ACAP (SASL \"PLAIN\")\r\n", kWelcome, 23},
    {ReadAcapGreeting, "* BYE \"no\"\r\n", kRefusal, 12},
    {ReadAcapGreeting, "* OK\r\n", kOther, 3},
    {ReadSieveGreeting, "\"SASL\" \"PLAIN\"\r\nOK\r\n", kWelcome, 20},
    {ReadSieveGreeting, "\"SASL\" \"PLAIN\"\r\nok \"ready\"\r\n", kWelcome, 28},
    {ReadSieveGreeting, "BYE \"no\"\r\n", kRefusal, 10},
    {ReadSieveGreeting, "NO\r\n", kRefusal, 4},
    {ReadSieveGreeting, "\"OK\" \"x\"\r\n", kNeedMore, 99},
    {ReadSieveGreeting, "\"SASL\" \"PLAIN\"\r\nB", kNeedMore, 99},
    {ReadSieveGreeting, "{3}\r\nabc\r\n", kOther, 1},
    {ReadSieveGreeting, "OKAY\r\n", kOther, 6},
    {ReadSieveGreeting, "* OK\r\n", kOther, 1},
    {ReadSieveGreeting, "\r\n", kOther, 1},
};

// However the octets come: not decided before the octet that decides, the same ever after.
TEST(Greeting, IsDecidedByItsOctetsAlone) {
  for (const Case& expected : kCases) {
    SCOPED_TRACE(expected.text);
    for (size_t size = 0; size <= expected.text.size(); ++size) {
      const GreetingStatus status = expected.read(AsBytes(expected.text.substr(0, size)));
      EXPECT_EQ(status, size < expected.decided_at ? kNeedMore : expected.whole) << size;
    }
  }
}

// A greeting that is longer than a dialogue accepts counts as nonsense.
TEST(Greeting, HasALimit) {
  ProtocolRow row{};
  row.read_greeting = ReadImapGreeting;
  const auto greeting = [](size_t size) {
    return "* OK " + std::string(size - std::string_view("* OK \r\n").size(), 'x') + "\r\n";
  };
  EXPECT_EQ(ReadGreeting(row, {}), kNeedMore);
  EXPECT_EQ(ReadGreeting(row, AsBytes(greeting(kMaxLegGreeting))), kWelcome);
  const std::string longer = greeting(kMaxLegGreeting + 1);
  EXPECT_EQ(ReadGreeting(row, AsBytes(longer)), kOther);
  EXPECT_EQ(ReadGreeting(row, AsBytes(longer.substr(0, kMaxLegGreeting - 1))), kNeedMore);
  EXPECT_EQ(ReadGreeting(row, AsBytes(longer.substr(0, kMaxLegGreeting))), kOther);
}

// What a server says behind its greeting does not matter.
TEST(Greeting, EndsWhereItEnds) {
  EXPECT_EQ(ReadSmtpGreeting(AsBytes("220 x\r\n500 y\r\n")), kWelcome);
  EXPECT_EQ(ReadImapGreeting(AsBytes("* OK x\r\n* BYE y\r\n")), kWelcome);
  EXPECT_EQ(ReadPop3Greeting(AsBytes("-ERR x\r\n+OK y\r\n")), kRefusal);
  EXPECT_EQ(ReadSieveGreeting(AsBytes("OK\r\nBYE\r\n")), kWelcome);
}

}  // namespace
}  // namespace starling
