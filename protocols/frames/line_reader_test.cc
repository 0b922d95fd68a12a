#include "protocols/frames/line_reader.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace starling {
namespace {

using Status = LineReader::Status;

constexpr size_t kMax = 16;

struct Case {
  const char* name;
  std::string_view in;
  bool accept_bare_lf;
  Status status;
  std::string_view text = {};
  size_t consumed = 0;
};

using namespace std::string_view_literals;

const Case kCases[] = {
    {"Empty", "", false, Status::kNeedMore},
    {"Line", "NOOP\r\n", false, Status::kLine, "NOOP", 6},
    {"TrailingOctets", "NOOP\r\nQUIT\r\n", false, Status::kLine, "NOOP", 6},
    {"EmptyLine", "\r\nx", false, Status::kLine, "", 2},
    {"NoEnd", "NOOP", false, Status::kNeedMore},
    {"CrAlone", "NOOP\r", false, Status::kNeedMore},
    {"LongestLine", "12345678901234\r\n", false, Status::kLine, "12345678901234", 16},
    {"OneTooLong", "123456789012345\r\n", false, Status::kTooLong},
    {"EndOnlyPastLimit", "1234567890123456\r\n", false, Status::kTooLong},
    {"NoEndAtLimit", "1234567890123456", false, Status::kTooLong},
    {"OneBelowLimit", "123456789012345", false, Status::kNeedMore},
    {"BareLf", "NOOP\nQUIT\r\n", false, Status::kBareLf},
    {"BareLfFirst", "\n", false, Status::kBareLf},
    {"BareLfAccepted", "NOOP\nQUIT\r\n", true, Status::kLine, "NOOP", 5},
    {"BareLfFirstAccepted", "\n\r\n", true, Status::kLine, "", 1},
    {"CrLfWhereBareLfIsAccepted", "NOOP\r\n", true, Status::kLine, "NOOP", 6},
    {"Nul", "NO\0OP\r\n"sv, false, Status::kNul},
    {"NulWithoutEnd", "NO\0"sv, false, Status::kNul},
    {"NulPastLimit", "1234567890123456\0\r\n"sv, false, Status::kTooLong},
    {"NulInNextLine", "NOOP\r\n\0"sv, false, Status::kLine, "NOOP", 6},
    {"BareCr", "NO\rOP\r\n", false, Status::kBareCr},
    {"TwoCr", "NOOP\r\r\n", false, Status::kBareCr},
    {"BareCrWhereBareLfIsAccepted", "NO\rOP\n", true, Status::kBareCr},
    {"CrThenNul", "NO\r\0OP\r\n"sv, false, Status::kBareCr},
    {"NulThenCr", "NO\0O\rP\r\n"sv, false, Status::kNul},
    {"CrAtTheEndOfWhatCame", "NO\0\r"sv, false, Status::kNul},
    {"EightBit", "\xc3\xa4\r\n", false, Status::kLine, "\xc3\xa4", 4},
};

TEST(LineReaderTest, AtOnce) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    LineReader reader(kMax, c.accept_bare_lf);
    LineReader::Line line = reader.Next(AsBytes(c.in));
    EXPECT_EQ(line.status, c.status);
    EXPECT_EQ(line.text, c.text);
    EXPECT_EQ(line.consumed, c.consumed);
  }
}

TEST(LineReaderTest, OneOctetAtATime) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    LineReader reader(kMax, c.accept_bare_lf);
    LineReader::Line line;
    for (size_t n = 1; n <= c.in.size() && line.status == Status::kNeedMore; ++n) {
      line = reader.Next(AsBytes(c.in.substr(0, n)));
    }
    EXPECT_EQ(line.status, c.status);
    EXPECT_EQ(line.text, c.text);
    EXPECT_EQ(line.consumed, c.consumed);
  }
}

TEST(LineReaderTest, ALineNotConsumedIsFoundAgain) {
  LineReader reader(kMax);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(reader.Next(AsBytes("NOOP\r\nQ")).text, "NOOP");
  EXPECT_EQ(reader.Next(AsBytes("Q")).status, Status::kNeedMore);
  EXPECT_EQ(reader.Next(AsBytes("QUIT\r\n")).text, "QUIT");
}

TEST(LineReaderTest, ResetForgetsHowFarItLooked) {
  LineReader reader(kMax);
  EXPECT_EQ(reader.Next(AsBytes("abcdef")).status, Status::kNeedMore);
  reader.Reset();
  EXPECT_EQ(reader.Next(AsBytes("\r\nx")).consumed, 2u);
}

TEST(LineReaderTest, AnErrorStaysAnError) {
  LineReader reader(kMax);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(reader.Next(AsBytes("a\nb")).status, Status::kBareLf);
}

}  // namespace
}  // namespace starling
