#include "gateway/sources/deny_lists.h"

#include <gtest/gtest.h>

#include <string>

#include "gateway/io/socket_address.h"

namespace starling {
namespace {

Endpoint At(const std::string& text) { return SocketAddress::Parse(text).value().endpoint(); }

TEST(DenyFile, HasOneNetworkInEachLine) {
  std::vector<NetworkMap::Entry> networks;
  const absl::Status status = ParseDenyFile(
      "# a comment\n192.0.2.1\n\n  192.0.3.0/24 ; SBL1\r\n2001:db8::/32# x\n\t\n::ffff:10.0.0.1",
      networks);
  ASSERT_TRUE(status.ok()) << status;
  const DenyLists lists(std::make_shared<NetworkMap>(networks));
  for (const char* denied : {"192.0.2.1:1", "192.0.3.255:9", "[2001:db8:ffff::1]:1", "10.0.0.1:1",
                             "[::ffff:192.0.2.1]:1"}) {
    EXPECT_TRUE(lists.Has(0, At(denied))) << denied;
  }
  for (const char* other : {"192.0.2.2:1", "192.0.4.0:1", "[2001:db9::]:1"}) {
    EXPECT_FALSE(lists.Has(0, At(other))) << other;
  }
  EXPECT_FALSE(lists.Has(0, Endpoint{}));
}

TEST(DenyFile, AnErrorNamesTheLine) {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"192.0.2.1\nexample.org\n", "line 2: not an IP address"},
      {"192.0.2.1 192.0.2.2\n", "line 1: not an IP address"},
      {"\n\n192.0.2.0/33", "line 3: a prefix length has 0 to 32 bits"},
      {"192.0.2.1/24\n", "line 1: bits are set after the prefix; the range is 192.0.2.0/24"},
  };
  for (const Row& row : rows) {
    std::vector<NetworkMap::Entry> networks;
    EXPECT_EQ(ParseDenyFile(row.text, networks).message(), row.error);
  }
}

TEST(DenyLists, AListenersOwnConcernItAlone) {
  const std::vector<NetworkMap::Entry> general = {{Cidr::Parse("192.0.2.1").value(), 1}};
  const std::vector<NetworkMap::Entry> own = {{Cidr::Parse("192.0.2.2").value(), 1}};
  EXPECT_TRUE(DenyLists().empty());
  DenyLists lists(std::make_shared<NetworkMap>(general));
  lists.Set(3, std::make_shared<NetworkMap>(own));
  EXPECT_TRUE(lists.Has(1, At("192.0.2.1:1")));
  EXPECT_TRUE(lists.Has(3, At("192.0.2.1:1")));
  EXPECT_TRUE(lists.Has(3, At("192.0.2.2:1")));
  EXPECT_FALSE(lists.Has(1, At("192.0.2.2:1")));
}

}  // namespace
}  // namespace starling
