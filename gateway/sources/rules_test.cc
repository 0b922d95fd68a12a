#include "gateway/sources/rules.h"

#include <gtest/gtest.h>

#include <string>

#include "gateway/io/socket_address.h"

namespace starling {
namespace {

class SourceRulesTest : public testing::Test {
 protected:
  static SourceRow Row(const std::string& network, SourceRole role, uint32_t sessions = 0) {
    return {.from = {Cidr::Parse(network).value()}, .role = role, .limits = {.sessions = sessions}};
  }
  SourceRule Of(const std::string& address) const {
    const SourceRules rules(config_, listener_, 7);
    return rules.At(rules.Find(SocketAddress::Parse(address).value().endpoint()));
  }

  Config config_;
  ListenerConfig listener_;
};

TEST_F(SourceRulesTest, WithoutRowsAClientHasLimitsAndLoopbackIsTrusted) {
  const SourceRule client = Of("192.0.2.1:1");
  EXPECT_EQ(client.role, SourceRole::kClient);
  EXPECT_EQ(client.limits.sessions, 750u) << "three quarters of a table of 1,000";
  EXPECT_EQ(client.limits.connections_per_second, 100u);
  EXPECT_EQ(client.scope, 0u);
  EXPECT_TRUE(client.counted());
  for (const char* address : {"127.0.0.1:1", "127.255.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_EQ(Of(address).role, SourceRole::kTrusted) << address;
    EXPECT_EQ(Of(address).limits.sessions, 0u) << address;
    EXPECT_TRUE(Of(address).counted()) << address;
  }
  config_.workers = 4;
  EXPECT_EQ(Of("192.0.2.1:1").limits.sessions, 1'000u);
  EXPECT_EQ(Of("[2001:db8::1]:1").limits.sessions, 1'000u);
}

TEST_F(SourceRulesTest, TheLongestRowCountsAndAListenersOwnBeforeEqualOnes) {
  config_.sources = {Row("10.0.0.0/8", SourceRole::kTrusted, 1),
                     Row("10.1.0.0/16", SourceRole::kProbe),
                     Row("127.0.0.1", SourceRole::kClient, 2)};
  EXPECT_EQ(Of("10.2.0.1:1").limits.sessions, 1u);
  EXPECT_EQ(Of("10.1.0.1:1").role, SourceRole::kProbe);
  EXPECT_FALSE(Of("10.1.0.1:1").counted());
  EXPECT_EQ(Of("127.0.0.1:1").limits.sessions, 2u);
  EXPECT_EQ(Of("127.0.0.2:1").role, SourceRole::kTrusted);
  listener_.sources = {Row("10.0.0.0/8", SourceRole::kClient, 3)};
  EXPECT_EQ(Of("10.2.0.1:1").limits.sessions, 3u);
  EXPECT_EQ(Of("10.2.0.1:1").scope, 7u);
  EXPECT_EQ(Of("10.1.0.1:1").role, SourceRole::kProbe) << "it is longer";
}

TEST_F(SourceRulesTest, ProxyProtocolNamesBalancers) {
  listener_.proxy_in.from = {Cidr::Parse("127.0.0.1").value(), Cidr::Parse("192.0.2.0/24").value()};
  EXPECT_EQ(Of("127.0.0.1:1").role, SourceRole::kBalancer);
  EXPECT_EQ(Of("192.0.2.9:1").role, SourceRole::kBalancer);
  EXPECT_EQ(Of("192.0.3.9:1").role, SourceRole::kClient);
  config_.sources = {Row("10.1.0.0/16", SourceRole::kProbe)};
  EXPECT_EQ(Of("10.1.0.1:1").role, SourceRole::kProbe);
  listener_.proxy_in.roles.Add(SourceRole::kProbe);
  EXPECT_EQ(Of("10.1.0.1:1").role, SourceRole::kBalancer) << "by its role";
}

}  // namespace
}  // namespace starling
