#include <gtest/gtest.h>

#include <string>

#include "gateway/config/config.h"

namespace starling {
namespace {

Endpoint Address(const std::string& text) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text + ":1");
  return address.ok() ? address->endpoint() : Endpoint{};
}

struct Row {
  std::string range;
  std::string address;
  bool contained;
};

TEST(Cidr, Contains) {
  const Row table[] = {
      {"192.0.2.0/24", "192.0.2.0", true},
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"192.0.2.0/24", "192.0.1.255", false},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.128/25", "192.0.2.128", true},
      {"192.0.2.4/31", "192.0.2.5", true},
      {"192.0.2.4/31", "192.0.2.6", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.6", false},
      {"192.0.2.7/32", "192.0.2.7", true},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "[2001:db8::1]", false},
      {"2001:db8::/32", "[2001:db8:ffff::1]", true},
      {"2001:db8::/32", "[2001:db9::1]", false},
      {"2001:db8::/33", "[2001:db8:8000::1]", false},
      {"2001:db8::1", "[2001:db8::1]", true},
      {"2001:db8::1", "[2001:db8::2]", false},
      {"::/0", "[::1]", true},
      {"::/0", "192.0.2.1", false},
  };
  for (const Row& row : table) {
    const absl::StatusOr<Cidr> range = Cidr::Parse(row.range);
    ASSERT_TRUE(range.ok()) << row.range;
    EXPECT_EQ(range->Contains(Address(row.address)), row.contained)
        << row.range << " " << row.address;
  }
}

TEST(Cidr, HoldsNoUnixSocket) {
  EXPECT_FALSE(Cidr::Parse("0.0.0.0/0")->Contains(Endpoint{}));
  EXPECT_FALSE(Cidr{}.Contains(Endpoint{}));
}

TEST(Cidr, IsWrittenAsItIsRead) {
  for (const std::string text : {"192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1/128"}) {
    EXPECT_EQ(Cidr::Parse(text)->ToString(), text);
  }
  EXPECT_EQ(Cidr::Parse("192.0.2.1")->ToString(), "192.0.2.1/32");
}

TEST(Cidr, SaysWhatIsWrong) {
  const std::pair<std::string, std::string> table[] = {
      {"", "not an IP address"},
      {"mail.example.org", "not an IP address"},
      {"192.0.2", "not an IP address"},
      {"192.0.2.0/", "a prefix length has 0 to 32 bits"},
      {"192.0.2.0/33", "a prefix length has 0 to 32 bits"},
      {"192.0.2.0/-1", "a prefix length has 0 to 32 bits"},
      {"192.0.2.0/24/8", "a prefix length has 0 to 32 bits"},
      {"2001:db8::/129", "a prefix length has 0 to 128 bits"},
      {"192.0.2.1/24", "bits are set after the prefix; the range is 192.0.2.0/24"},
      {"2001:db8::1/32", "bits are set after the prefix; the range is 2001:db8::/32"},
  };
  for (const auto& [text, message] : table) {
    const absl::StatusOr<Cidr> range = Cidr::Parse(text);
    ASSERT_FALSE(range.ok()) << text;
    EXPECT_EQ(range.status().message(), message) << text;
  }
}

}  // namespace
}  // namespace starling
