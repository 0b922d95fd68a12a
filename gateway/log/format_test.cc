#include "gateway/log/format.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace starling {
namespace {

using namespace std::string_literals;

TEST(Rfc3339, Times) {
  const struct {
    WallMicros at;
    const char* want;
  } kCases[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {1'767'225'599'999'999, "2025-12-31T23:59:59.999Z"},
      {1'709'210'096'007'000, "2024-02-29T12:34:56.007Z"},
      {-1, "1969-12-31T23:59:59.999Z"},
      {-1'000'000, "1969-12-31T23:59:59.000Z"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Rfc3339(c.at), c.want) << c.at;
}

TEST(Logfmt, Escaping) {
  const struct {
    std::string value;
    std::string want;
  } kCases[] = {
      {"plain", "plain"},
      {"127.0.0.1:25", "127.0.0.1:25"},
      {"", "\"\""},
      {"two words", "\"two words\""},
      {"a=b", "\"a=b\""},
      {"say \"hi\"", "\"say \\\"hi\\\"\""},
      {"back\\slash", "\"back\\\\slash\""},
      {"line\r\nmsg=forged", "\"line\\r\\nmsg=forged\""},
      {"tab\t", "\"tab\\t\""},
      {"\x1b[31mred", "\"\\x1b[31mred\""},
      {"nul\0nul"s, "\"nul\\x00nul\""},
      {"del\x7f", "\"del\\x7f\""},
      {"b\xc3\xbc", "\"b\\u00fc\""},
      {"\xc2\x9b", "\"\\u009b\""},      // CSI as one character
      {"\xe2\x80\xae", "\"\\u202e\""},  // right-to-left override
      {"\xf0\x9f\x90\xa6", "\"\\U0001f426\""},
      {"\xff\xfe", "\"\\xff\\xfe\""},
      {"\xc3", "\"\\xc3\""},                    // cut short
      {"\xc0\xaf", "\"\\xc0\\xaf\""},           // not the shortest form
      {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},  // a surrogate
      {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""},
  };
  for (const auto& c : kCases) {
    LogLine line(0, "info", "m");
    line.Add("k", c.value);
    EXPECT_EQ(line.Logfmt(), "time=1970-01-01T00:00:00.000Z level=info msg=m k=" + c.want);
  }
}

TEST(LogLine, NumbersAndFlags) {
  LogLine line(0, "info", "m");
  line.AddNumber("n", UINT64_MAX);
  line.AddBool("b", false);
  line.AddMillis("ms", 1'234'567);
  EXPECT_TRUE(line.Logfmt().ends_with(" n=18446744073709551615 b=false ms=1234.567"))
      << line.Logfmt();
  EXPECT_TRUE(line.Json().ends_with("\"n\":18446744073709551615,\"b\":false,\"ms\":1234.567}"))
      << line.Json();
}

// Whatever octets a peer chooses, a line is one line of printable ASCII, and
// JSON reads as JSON.
TEST(LogLine, IsAlwaysPrintableAscii) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  LogLine line(0, "info", all);
  line.Add("k", all);
  for (const std::string& text : {line.Logfmt(), line.Json()}) {
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; }))
        << text;
  }
  const auto parsed = nlohmann::json::parse(line.Json(), nullptr, false);
  ASSERT_FALSE(parsed.is_discarded());
  EXPECT_EQ(parsed["k"].get<std::string>().substr(0, 128), all.substr(0, 128));
}

}  // namespace
}  // namespace starling
