#include "gateway/sources/source_key.h"

#include <gtest/gtest.h>

#include <string>

#include "gateway/io/socket_address.h"

namespace starling {
namespace {

Endpoint At(const std::string& text) { return SocketAddress::Parse(text).value().endpoint(); }

std::string Name(const std::string& address, const SourceWidths& widths = {}) {
  return ToString(SourceOf(At(address), widths).value(), widths);
}

TEST(SourceKey, AnAddressOrAWiderNetworkIsOneSource) {
  struct Row {
    const char* address;
    SourceWidths widths;
    const char* name;
  };
  const Row rows[] = {
      {"192.0.2.7:25", {}, "192.0.2.7"},
      {"192.0.2.7:26", {}, "192.0.2.7"},
      {"192.0.2.255:1", {.v4 = 24}, "192.0.2.0/24"},
      {"255.255.255.255:1", {.v4 = 8}, "255.0.0.0/8"},
      {"[2001:db8:1:2:3:4:5:6]:1", {}, "2001:db8:1:2::/64"},
      {"[2001:db8:1:2ff::1]:1", {.v6 = 56}, "2001:db8:1:200::/56"},
      {"[2001:db8:1:2:ffff::1]:1", {.v6 = 68}, "2001:db8:1:2:f000::/68"},
      {"[2001:db8:1:2:3:4:5:6]:1", {.v6 = 128}, "2001:db8:1:2:3:4:5:6"},
      {"[2001:db8:1:2:3:4:5:6]:1", {.v6 = 16}, "2001::/16"},
      {"[::1]:1", {}, "::/64"},
      {"[::ffff:192.0.2.7]:1", {}, "192.0.2.7"},
      {"[::ffff:192.0.2.7]:1", {.v4 = 24, .v6 = 16}, "192.0.2.0/24"},
      {"[::fffe:192.0.2.7]:1", {}, "::/64"},
  };
  for (const Row& row : rows) EXPECT_EQ(Name(row.address, row.widths), row.name) << row.address;
}

TEST(SourceKey, IPv4AndIPv6NeverMeet) {
  EXPECT_NE(SourceOf(At("0.0.0.0:1"), {}), SourceOf(At("[::]:1"), {}));
  EXPECT_EQ(SourceOf(At("192.0.2.7:1"), {}), SourceOf(At("[::ffff:192.0.2.7]:2"), {}));
}

TEST(SourceKey, AClientOfAUnixSocketHasNone) {
  EXPECT_EQ(SourceOf(Endpoint{}, {}), std::nullopt);
  EXPECT_EQ(SourceOf(At("unix:/path"), {}), std::nullopt);
}

}  // namespace
}  // namespace starling
