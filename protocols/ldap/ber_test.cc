#include "protocols/ldap/ber.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace starling {
namespace {

using Octets = std::vector<uint8_t>;

TEST(Ber, Heads) {
  struct Case {
    Octets in;
    BerHead::Status status;
    size_t size = 0;
    size_t length = 0;
  };
  constexpr auto kHead = BerHead::Status::kHead;
  constexpr auto kBad = BerHead::Status::kBad;
  constexpr auto kNeedMore = BerHead::Status::kNeedMore;
  const Case table[] = {
      {{}, kNeedMore},
      {{0x30}, kNeedMore},
      {{0x30, 0x00}, kHead, 2, 0},
      {{0x30, 0x7f}, kHead, 2, 127},
      {{0x30, 0x81}, kNeedMore},
      {{0x30, 0x81, 0x05}, kHead, 3, 5},  // longer than necessary
      {{0x30, 0x81, 0xff}, kHead, 3, 255},
      {{0x30, 0x84, 0x00, 0x00, 0x00}, kNeedMore},
      {{0x30, 0x84, 0x00, 0x00, 0x00, 0x0c}, kHead, 6, 12},
      {{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, kHead, 6, 0xffffffff},
      {{0x30, 0x80}, kBad},              // indefinite
      {{0x30, 0x85}, kBad},              // five octets of length
      {{0x30, 0xff}, kBad},              // reserved (X.690 8.1.3.5)
      {{0x1f}, kBad},                    // a tag of several octets
      {{0xbf, 0x81, 0x01, 0x00}, kBad},  // another tag of several octets
  };
  for (const Case& c : table) {
    const BerHead head = ReadBerHead(c.in);
    SCOPED_TRACE(testing::PrintToString(c.in));
    EXPECT_EQ(head.status, c.status);
    if (c.status != kHead) continue;
    EXPECT_EQ(head.tag, c.in[0]);
    EXPECT_EQ(head.size, c.size);
    EXPECT_EQ(head.length, c.length);
  }
}

TEST(Ber, ElementsAreCutOff) {
  const Octets in = {0x04, 0x02, 'a', 'b', 0x02, 0x81, 0x01, 0x07, 0x04, 0x02, 'c'};
  ByteView rest = in;
  const std::optional<BerElement> first = TakeBer(rest);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->tag, 0x04);
  EXPECT_EQ(AsText(first->content), "ab");
  ByteView other = rest;
  EXPECT_FALSE(TakeBer(other, 0x04));
  const std::optional<ByteView> second = TakeBer(rest, 0x02);
  ASSERT_TRUE(second);
  EXPECT_EQ(ReadBerNumber(*second), 7u);
  // The third element lacks one octet, so the call cuts off nothing.
  EXPECT_FALSE(TakeBer(rest));
  EXPECT_EQ(rest.size(), 3u);
}

TEST(Ber, ALengthBeyondAllThereIs) {
  const Octets in = {0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 'x'};
  ByteView rest = in;
  EXPECT_FALSE(TakeBer(rest));
}

TEST(Ber, Numbers) {
  const auto read = [](Octets octets) { return ReadBerNumber(octets); };
  EXPECT_EQ(read({0x00}), 0u);
  EXPECT_EQ(read({0x7f}), 127u);
  EXPECT_EQ(read({0x00, 0x80}), 128u);
  EXPECT_EQ(read({0x7f, 0xff, 0xff, 0xff}), 0x7fffffffu);
  EXPECT_EQ(read({}), std::nullopt);
  EXPECT_EQ(read({0x80}), std::nullopt);  // negative
  // Longer than necessary; slapd accepts that.
  EXPECT_EQ(read({0x00, 0x01}), 1u);
  EXPECT_EQ(read({0x00, 0x00, 0x00, 0x01}), 1u);
  EXPECT_EQ(read({0x00, 0x80, 0x00, 0x00, 0x00}), std::nullopt);
}

}  // namespace
}  // namespace starling
