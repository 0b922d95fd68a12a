#include "gateway/config/units.h"

#include <gtest/gtest.h>

#include <string>

namespace starling {
namespace {

struct Row {
  std::string text;
  std::optional<uint64_t> value;
};

TEST(Units, Durations) {
  const Row table[] = {
      {"0s", 0},
      {"500ms", 500},
      {"30s", 30'000},
      {"5m", 300'000},
      {"1h", 3'600'000},
      {"168h", 604'800'000},
      {"0", std::nullopt},
      {"30", std::nullopt},
      {"", std::nullopt},
      {"s", std::nullopt},
      {"-1s", std::nullopt},
      {"+1s", std::nullopt},
      {"1.5s", std::nullopt},
      {"1 s", std::nullopt},
      {" 1s", std::nullopt},
      {"1s ", std::nullopt},
      {"1S", std::nullopt},
      {"1d", std::nullopt},
      {"1h30m", std::nullopt},
      {"0x1s", std::nullopt},
      {"00s", std::nullopt},
      {"010m", std::nullopt},
      {"1_000ms", std::nullopt},
      {"1e3s", std::nullopt},
      {"18446744073709551615ms", 18446744073709551615u},
      {"18446744073709551616ms", std::nullopt},
      {"18446744073709551615s", std::nullopt},
  };
  for (const Row& row : table) EXPECT_EQ(ParseDuration(row.text), row.value) << row.text;
}

TEST(Units, Sizes) {
  const Row table[] = {
      {"0", 0},
      {"512", 512},
      {"64KiB", 65'536},
      {"1MiB", 1'048'576},
      {"2GiB", uint64_t{2} << 30},
      {"64kb", std::nullopt},
      {"64K", std::nullopt},
      {"1.5MiB", std::nullopt},
      {"0512", std::nullopt},
      {"064KiB", std::nullopt},
      {"0x40KiB", std::nullopt},
      {"00", std::nullopt},
      {"-1", std::nullopt},
      {"", std::nullopt},
      {"18446744073709551615GiB", std::nullopt},
  };
  for (const Row& row : table) EXPECT_EQ(ParseSize(row.text), row.value) << row.text;
}

TEST(Units, Numbers) {
  const Row table[] = {
      {"0", 0},
      {"007", std::nullopt},
      {"0777", std::nullopt},
      {"00", std::nullopt},
      {"0x1f", std::nullopt},
      {"0o17", std::nullopt},
      {"+5", std::nullopt},
      {" 5", std::nullopt},
      {"5 ", std::nullopt},
      {"~", std::nullopt},
      {"1.0", std::nullopt},
      {"18446744073709551615", 18446744073709551615u},
      {"", std::nullopt},
      {"1_000", std::nullopt},
      {"18446744073709551616", std::nullopt},
      {"-0", std::nullopt},
      {"1e3", std::nullopt},
  };
  for (const Row& row : table) EXPECT_EQ(ParseNumber(row.text), row.value) << row.text;
}

TEST(Units, AreWrittenWithTheLargestExactUnit) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(1), "1ms");
  EXPECT_EQ(FormatDuration(1'500), "1500ms");
  EXPECT_EQ(FormatDuration(90'000), "90s");
  EXPECT_EQ(FormatDuration(660'000), "11m");
  EXPECT_EQ(FormatDuration(7'200'000), "2h");
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(513), "513");
  EXPECT_EQ(FormatSize(65'536), "64KiB");
  EXPECT_EQ(FormatSize(16 << 20), "16MiB");
  for (const uint64_t value : {1u, 999u, 1'000u, 59'999u, 60'000u, 3'600'000u, 4'294'967'295u}) {
    EXPECT_EQ(ParseDuration(FormatDuration(value)), value);
    EXPECT_EQ(ParseSize(FormatSize(value)), value);
  }
}

TEST(Nearest, TakesTheFewestChanges) {
  const std::string_view known[] = {"policy", "protocol", "proxy_protocol", "limits", "listeners"};
  EXPECT_EQ(Nearest("polcy", known), "policy");
  EXPECT_EQ(Nearest("poliyc", known), "policy");
  EXPECT_EQ(Nearest("Protocol", known), "protocol");
  EXPECT_EQ(Nearest("listener", known), "listeners");
  EXPECT_EQ(Nearest("proxyprotocol", known), "proxy_protocol");
  EXPECT_EQ(Nearest("x", {}), "");
}

TEST(Nearest, GuessesNothingFromAWordUnlikeAny) {
  const std::string_view known[] = {"tcp", "state"};
  EXPECT_EQ(Nearest("", known), "");
  EXPECT_EQ(Nearest("a", known), "");
  EXPECT_EQ(Nearest("udp", known), "") << "two of three letters";
  EXPECT_EQ(Nearest("tls", known), "");
  EXPECT_EQ(Nearest("tp", known), "tcp");
  EXPECT_EQ(Nearest("stxyz", known), "");
  EXPECT_EQ(Nearest("stayz", known), "state");
  EXPECT_EQ(Nearest(std::string(100'000, 'x'), known), "");
}

// A swap of neighbours is one change, not two.
TEST(Nearest, CountsASwapOnce) {
  const std::string_view known[] = {"abxx", "bacd"};
  EXPECT_EQ(Nearest("abcd", known), "bacd");
}

}  // namespace
}  // namespace starling
