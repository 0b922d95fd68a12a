#include "gateway/text/characters.h"

#include <string>

#include "gtest/gtest.h"

namespace starling {
namespace {

using namespace std::string_literals;

TEST(NextCharacter, WellFormed) {
  const struct {
    std::string text;
    uint32_t code;
    size_t length;
  } kCases[] = {
      {"ab", 'a', 1},
      {"\0"s, 0, 1},
      {"\x7f", 0x7f, 1},
      {"\xc2\x80", 0x80, 2},
      {"\xdf\xbf", 0x7ff, 2},
      {"\xe0\xa0\x80", 0x800, 3},
      {"\xed\x9f\xbf", 0xd7ff, 3},
      {"\xee\x80\x80", 0xe000, 3},
      {"\xef\xbf\xbf", 0xffff, 3},
      {"\xf0\x90\x80\x80", 0x10000, 4},
      {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
  };
  for (const auto& c : kCases) {
    const std::optional<Character> character = NextCharacter(c.text);
    ASSERT_TRUE(character.has_value()) << c.code;
    EXPECT_EQ(character->code, c.code);
    EXPECT_EQ(character->length, c.length) << c.code;
  }
}

TEST(NextCharacter, Malformed) {
  for (const std::string text : {
           "\x80", "\xbf",                                  // no lead
           "\xc0\xaf", "\xc1\xbf",                          // two octets where one would do
           "\xe0\x9f\xbf",                                  // three where two would do
           "\xf0\x8f\xbf\xbf",                              // four where three would do
           "\xed\xa0\x80", "\xed\xbf\xbf",                  // surrogates
           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",  // beyond the last character
           "\xc2", "\xe0\xa0", "\xf0\x90\x80",              // cut short
           "\xc2"
           "a",
           "\xe0\xa0"
           "a",
           "\xf0\x90\x80"
           "a",  // another one begins too early
       }) {
    EXPECT_FALSE(NextCharacter(text).has_value()) << testing::PrintToString(text);
  }
}

TEST(Control, AsciiAlone) {
  for (int octet = 0; octet < 256; ++octet) {
    EXPECT_EQ(IsControl(static_cast<char>(octet)), octet < 0x20 || octet == 0x7f) << octet;
  }
  EXPECT_TRUE(HasControl("a\x1b[31m"));
  EXPECT_TRUE(HasControl("nul\0"s));
  EXPECT_FALSE(HasControl("caf\xc3\xa9 ~"));
  EXPECT_FALSE(HasControl(""));
}

}  // namespace
}  // namespace starling
