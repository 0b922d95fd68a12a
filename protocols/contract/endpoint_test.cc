#include "protocols/contract/endpoint.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

TEST(Endpoint, AsText) {
  Endpoint none;
  EXPECT_EQ(ToString(none), "-");
  EXPECT_EQ(IpToString(none), "-");

  Endpoint v4{Endpoint::Family::kV4, 25, {192, 0, 2, 1}};
  EXPECT_EQ(ToString(v4), "192.0.2.1:25");
  EXPECT_EQ(IpToString(v4), "192.0.2.1");

  Endpoint v6{Endpoint::Family::kV6, 65535, {0x20, 0x01, 0x0d, 0xb8}};
  v6.ip[15] = 1;
  EXPECT_EQ(ToString(v6), "[2001:db8::1]:65535");
  EXPECT_EQ(IpToString(v6), "2001:db8::1");
}

TEST(Endpoint, EqualityCountsEveryField) {
  Endpoint a{Endpoint::Family::kV4, 25, {192, 0, 2, 1}};
  Endpoint b = a;
  EXPECT_EQ(a, b);
  b.port = 26;
  EXPECT_NE(a, b);
  b = a;
  b.ip[3] = 2;
  EXPECT_NE(a, b);
  b = a;
  b.family = Endpoint::Family::kV6;
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace starling
