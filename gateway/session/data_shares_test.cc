// One client's share of the data channels that are waited for.
#include "gateway/session/data_shares.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

constexpr uint32_t kMost = 2;

Endpoint V4(uint8_t last) {
  return {.family = Endpoint::Family::kV4, .port = 40'000, .ip = {192, 0, 2, last}};
}
Endpoint V6(uint8_t network, uint8_t host) {
  Endpoint endpoint{
      .family = Endpoint::Family::kV6, .port = 40'000, .ip = {0x20, 0x01, 0x0d, 0xb8}};
  endpoint.ip[7] = network;
  endpoint.ip[15] = host;
  return endpoint;
}

TEST(DataSharesTest, AClientHasItsShareAndNoMore) {
  DataShares shares;
  EXPECT_TRUE(shares.Take(V4(1), kMost));
  EXPECT_TRUE(shares.Take(V4(1), kMost));
  EXPECT_FALSE(shares.Take(V4(1), kMost));
  EXPECT_TRUE(shares.Take(V4(2), kMost));
  shares.Leave(V4(1));
  EXPECT_TRUE(shares.Take(V4(1), kMost));
}

TEST(DataSharesTest, APortMakesNoOtherClient) {
  DataShares shares;
  Endpoint other = V4(1);
  other.port = 40'001;
  EXPECT_TRUE(shares.Take(V4(1), kMost));
  EXPECT_TRUE(shares.Take(other, kMost));
  EXPECT_FALSE(shares.Take(V4(1), kMost));
}

TEST(DataSharesTest, AllOfASlash64AreOneClient) {
  DataShares shares;
  EXPECT_TRUE(shares.Take(V6(1, 1), kMost));
  EXPECT_TRUE(shares.Take(V6(1, 2), kMost));
  EXPECT_FALSE(shares.Take(V6(1, 3), kMost));
  EXPECT_TRUE(shares.Take(V6(2, 3), kMost));
  shares.Leave(V6(1, 9));
  EXPECT_TRUE(shares.Take(V6(1, 3), kMost));
}

TEST(DataSharesTest, AClientWithoutChannelsIsForgotten) {
  DataShares shares;
  for (uint8_t host = 1; host <= 100; ++host) {
    EXPECT_TRUE(shares.Take(V4(host), kMost));
    EXPECT_TRUE(shares.Take(V6(host, host), kMost));
  }
  EXPECT_EQ(shares.clients(), 200u);
  for (uint8_t host = 1; host <= 100; ++host) {
    shares.Leave(V4(host));
    shares.Leave(V6(host, host));
  }
  EXPECT_EQ(shares.clients(), 0u);
}

}  // namespace
}  // namespace starling
