#include "gateway/io/socket_address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstddef>
#include <string>

namespace starling {
namespace {

struct Good {
  std::string text;
  std::string shown;
  int family;
  bool local;
  bool wildcard;
};

TEST(SocketAddressTest, ReadsAndShows) {
  const Good kCases[] = {
      {"192.0.2.1:25", "192.0.2.1:25", AF_INET, false, false},
      {"127.0.0.1:0", "127.0.0.1:0", AF_INET, true, false},
      {"127.8.9.10:65535", "127.8.9.10:65535", AF_INET, true, false},
      {"0.0.0.0:993", "0.0.0.0:993", AF_INET, false, true},
      {"[::]:993", "[::]:993", AF_INET6, false, true},
      {"[::1]:25", "[::1]:25", AF_INET6, true, false},
      {"[2001:db8::1]:25", "[2001:db8::1]:25", AF_INET6, false, false},
      {"unix:/run/x.sock", "unix:/run/x.sock", AF_UNIX, true, false},
      {"unix:@name", "unix:@name", AF_UNIX, true, false},
      {"@name", "unix:@name", AF_UNIX, true, false},
      {"unix:/a:25", "unix:/a:25", AF_UNIX, true, false},
  };
  for (const Good& c : kCases) {
    SCOPED_TRACE(c.text);
    auto address = SocketAddress::Parse(c.text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), c.shown);
    EXPECT_EQ(address->family(), c.family);
    EXPECT_EQ(address->is_local(), c.local);
    EXPECT_EQ(address->is_wildcard(), c.wildcard);
    auto again = SocketAddress::FromKernel(address->get(), address->length());
    EXPECT_EQ(again.ToString(), c.shown);
    if (c.family != AF_UNIX) {
      EXPECT_EQ(SocketAddress::From(address->endpoint()).ToString(), c.shown);
    }
  }
}

TEST(SocketAddressTest, RefusesWithTheWordAndTheReason) {
  struct Bad {
    std::string text;
    std::string reason;
  };
  const Bad kCases[] = {
      {"", "expected ADDRESS:PORT"},
      {"25", "expected ADDRESS:PORT"},
      {"localhost:25", "host names are not resolved"},
      {"mail.example.org:25", "host names are not resolved"},
      {"192.0.2.1:", "port"},
      {"192.0.2.1:65536", "port"},
      {"192.0.2.1:-1", "port"},
      {"192.0.2.1:025", "port"},
      {"192.0.2.1:+25", "port"},
      {"192.0.2.01:25", "no IPv4 address"},
      {"192.0.2.1:25x", "port"},
      {"192.0.2.256:25", "no IPv4 address"},
      {":25", "no IPv4 address"},
      {"::1:25", "brackets"},
      {"[::1]", "port"},
      {"[::g]:25", "not an IPv6 address"},
      {"[]:25", "not an IPv6 address"},
      {"unix:", "missing"},
      {"unix:@", "missing"},
      {"@", "missing"},
      {"unix:/" + std::string(107, 'a'), "at most 107 octets"},
      {"unix:@" + std::string(108, 'a'), "at most 108 octets"},
      {std::string("unix:/a\0b", 9), "NUL"},
      {std::string("127.0.0.1\0x:25", 14), "no IPv4 address"},
  };
  for (const Bad& c : kCases) {
    SCOPED_TRACE(c.text);
    auto address = SocketAddress::Parse(c.text);
    ASSERT_FALSE(address.ok());
    EXPECT_NE(address.status().message().find(c.reason), std::string::npos) << address.status();
    EXPECT_NE(address.status().message().find("\"" + c.text + "\""), std::string::npos);
  }
}

TEST(SocketAddressTest, LongestNamesFit) {
  const std::string path = "unix:/" + std::string(106, 'a');
  const std::string abstract = "unix:@" + std::string(107, 'a');
  for (const std::string& text : {path, abstract}) {
    auto address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), text);
    EXPECT_LE(address->length(), sizeof(sockaddr_un));
  }
}

TEST(SocketAddressTest, UnixLengthSaysWhereTheNameEnds) {
  auto path = SocketAddress::Parse("unix:/ab");
  auto abstract = SocketAddress::Parse("unix:@ab");
  ASSERT_TRUE(path.ok() && abstract.ok());
  EXPECT_EQ(path->length(), offsetof(sockaddr_un, sun_path) + 4u);      // with its NUL
  EXPECT_EQ(abstract->length(), offsetof(sockaddr_un, sun_path) + 3u);  // with the leading one
}

TEST(SocketAddressTest, MappedAddressIsIPv4) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(25);
  const uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  std::copy(std::begin(ip), std::end(ip), in.sin6_addr.s6_addr);
  auto address = SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&in), sizeof(in));
  EXPECT_EQ(address.endpoint().family, Endpoint::Family::kV4);
  EXPECT_EQ(ToString(address.endpoint()), "192.0.2.1:25");
}

TEST(SocketAddressTest, NothingIsNobody) {
  SocketAddress none;
  EXPECT_EQ(none.endpoint().family, Endpoint::Family::kNone);
  EXPECT_FALSE(none.is_local());
  EXPECT_FALSE(none.is_wildcard());
  const sa_family_t unnamed = AF_UNIX;
  auto peer = SocketAddress::FromKernel(reinterpret_cast<const sockaddr*>(&unnamed), 2);
  EXPECT_TRUE(peer.is_unix());
  EXPECT_EQ(peer.ToString(), "unix:");
  EXPECT_EQ(peer.endpoint().family, Endpoint::Family::kNone);
  EXPECT_EQ(SocketAddress::FromKernel(nullptr, 0).length(), 0u);
}

}  // namespace
}  // namespace starling
