#include "gateway/resolve/name_record.h"

#include "gtest/gtest.h"

namespace starling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonoTime kStart{std::chrono::hours(1)};
constexpr RefreshTimes kTimes{.min_ms = 1'000, .max_ms = 300'000, .hold_ms = 30'000};

FoundAddress Address(uint8_t last) {
  return {.family = Endpoint::Family::kV4, .ip = {10, 0, 0, last}, .port = 25};
}

Answer Good(std::vector<FoundAddress> addresses, uint32_t ttl_s = 60) {
  return {.result = LookupResult::kAnswer,
          .addresses = std::move(addresses),
          .ttl_s = ttl_s,
          .left_out = 0,
          .error = ""};
}

Answer Bad(LookupResult result) {
  return {.result = result, .addresses = {}, .ttl_s = 0, .left_out = 0, .error = "why"};
}

TEST(NameRecord, IsLookedUpWhenItExpires) {
  struct Case {
    uint32_t ttl_s;
    milliseconds due;
  };
  for (const Case& c :
       {Case{0, seconds(1)}, Case{1, seconds(1)}, Case{7, seconds(7)}, Case{300, seconds(300)},
        Case{301, seconds(300)}, Case{UINT32_MAX, seconds(300)}}) {
    NameRecord record;
    EXPECT_LE(record.due(), kStart) << "at once";
    record.Note(Good({Address(1)}, c.ttl_s), kStart, kTimes);
    EXPECT_EQ(record.due(), kStart + c.due) << c.ttl_s;
  }
}

TEST(NameRecord, AFailureKeepsTheLastGoodAnswer) {
  NameRecord record;
  record.Note(Good({Address(1), Address(2)}), kStart, kTimes);
  MonoTime now = kStart;
  for (const LookupResult result : {LookupResult::kTimeout, LookupResult::kFailure}) {
    for (const int wait : {1, 2, 4, 8, 8}) {
      record.Note(Bad(result), now, kTimes);
      EXPECT_EQ(record.due(), now + seconds(wait));
      EXPECT_EQ(record.addresses().size(), 2u);
      now += std::chrono::hours(1);
    }
    record.Note(Good({Address(1), Address(2)}), now, kTimes);
  }
}

TEST(NameRecord, WithoutAnyAnswerThereIsNothing) {
  NameRecord record;
  EXPECT_FALSE(record.looked_up());
  record.Note(Bad(LookupResult::kNoName), kStart, kTimes);
  EXPECT_TRUE(record.looked_up());
  EXPECT_TRUE(record.addresses().empty());
  EXPECT_EQ(record.due(), kStart + seconds(1));
}

TEST(NameRecord, ANameWithoutAddressesKeepsThemForAWhile) {
  for (const LookupResult result : {LookupResult::kNoName, LookupResult::kNoAddress}) {
    NameRecord record;
    record.Note(Good({Address(1)}), kStart, kTimes);
    record.Note(Bad(result), kStart, kTimes);
    record.Note(Bad(result), kStart + milliseconds(29'500), kTimes);
    EXPECT_EQ(record.addresses().size(), 1u);
    EXPECT_EQ(record.due(), kStart + milliseconds(30'500)) << "not after twice the time";
    record.Note(Bad(result), kStart + milliseconds(30'500), kTimes);
    EXPECT_TRUE(record.addresses().empty());
    record.Note(Good({Address(1)}), kStart + seconds(40), kTimes);
    EXPECT_EQ(record.addresses().size(), 1u);
  }
}

TEST(NameRecord, TheTimeBeginsAnewWhenNobodyKnows) {
  NameRecord record;
  record.Note(Good({Address(1)}), kStart, kTimes);
  record.Note(Bad(LookupResult::kNoName), kStart, kTimes);
  record.Note(Bad(LookupResult::kTimeout), kStart + seconds(20), kTimes);
  record.Note(Bad(LookupResult::kNoName), kStart + seconds(40), kTimes);
  EXPECT_EQ(record.addresses().size(), 1u);
  record.Note(Bad(LookupResult::kNoName), kStart + seconds(70), kTimes);
  EXPECT_TRUE(record.addresses().empty());
}

TEST(NameRecord, MayHoldThemForNoTime) {
  NameRecord record;
  const RefreshTimes times{.min_ms = 1'000, .max_ms = 300'000, .hold_ms = 0};
  record.Note(Good({Address(1)}), kStart, times);
  record.Note(Bad(LookupResult::kNoAddress), kStart + seconds(60), times);
  EXPECT_TRUE(record.addresses().empty());
}

TEST(Tidy, SortsAndKeepsEachOnceAndSixtyFour) {
  Answer answer = Good({Address(9), Address(3), Address(9)});
  FoundAddress first = Address(9);
  first.priority = 5;
  answer.addresses.push_back(first);
  Tidy(answer);
  ASSERT_EQ(answer.addresses.size(), 2u);
  EXPECT_EQ(answer.addresses[0], Address(3));
  EXPECT_EQ(answer.addresses[1], Address(9)) << "the mention of the lowest priority number";

  Answer many = Good({});
  for (int i = 999; i >= 0; --i) {
    FoundAddress address = Address(static_cast<uint8_t>(i % 250));
    address.ip[2] = static_cast<uint8_t>(i / 250);
    many.addresses.push_back(address);
  }
  Tidy(many);
  EXPECT_EQ(many.addresses.size(), 64u);
  EXPECT_EQ(many.left_out, 936u);
  EXPECT_EQ(many.addresses.back(), Address(63)) << "always the same ones";
}

}  // namespace
}  // namespace starling
