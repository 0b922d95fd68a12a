#include "gateway/sources/network_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gateway/io/socket_address.h"

namespace starling {
namespace {

Endpoint At(const std::string& address) {
  const bool v6 = address.find(':') != std::string::npos;
  return SocketAddress::Parse(v6 ? "[" + address + "]:1" : address + ":1").value().endpoint();
}

NetworkMap Made(const std::vector<std::string>& networks) {
  std::vector<NetworkMap::Entry> entries;
  for (const std::string& network : networks) {
    entries.push_back({Cidr::Parse(network).value(), static_cast<uint16_t>(entries.size() + 1)});
  }
  return NetworkMap(entries);
}

TEST(NetworkMap, TheLongestNetworkCounts) {
  const NetworkMap map =
      Made({"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.1.3.0/24", "2001:db8::/32",
            "2001:db8:1::/48", "2001:db8:1::7", "::1"});
  struct Row {
    const char* address;
    uint16_t value;
  };
  const Row rows[] = {
      {"9.255.255.255", 0},
      {"10.0.0.0", 1},
      {"10.0.255.255", 1},
      {"10.1.0.0", 2},
      {"10.1.1.255", 2},
      {"10.1.2.0", 3},
      {"10.1.2.2", 3},
      {"10.1.2.3", 4},
      {"10.1.2.4", 3},
      {"10.1.2.255", 3},
      {"10.1.3.0", 5},
      {"10.1.3.255", 5},
      {"10.1.4.0", 2},
      {"10.1.255.255", 2},
      {"10.2.0.0", 1},
      {"10.255.255.255", 1},
      {"11.0.0.0", 0},
      {"255.255.255.255", 0},
      {"0.0.0.0", 0},
      {"::ffff:10.1.2.3", 4},
      {"::", 0},
      {"::1", 9},
      {"::2", 0},
      {"2001:db7:ffff::", 0},
      {"2001:db8::", 6},
      {"2001:db8:0:ffff::", 6},
      {"2001:db8:1::", 7},
      {"2001:db8:1::6", 7},
      {"2001:db8:1::7", 8},
      {"2001:db8:1::8", 7},
      {"2001:db8:1:ffff::", 7},
      {"2001:db8:2::", 6},
      {"2001:db9::", 0},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0},
  };
  for (const Row& row : rows) EXPECT_EQ(map.Find(At(row.address)), row.value) << row.address;
  EXPECT_EQ(map.Find(Endpoint{}), 0);
}

TEST(NetworkMap, EverybodyAndTheEdges) {
  const NetworkMap map = Made({"0.0.0.0/0", "255.255.255.255", "255.0.0.0/8", "::/0",
                               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0"});
  EXPECT_EQ(map.Find(At("1.2.3.4")), 1);
  EXPECT_EQ(map.Find(At("254.255.255.255")), 1);
  EXPECT_EQ(map.Find(At("255.255.255.254")), 3);
  EXPECT_EQ(map.Find(At("255.255.255.255")), 2);
  EXPECT_EQ(map.Find(At("0.0.0.0")), 6);
  EXPECT_EQ(map.Find(At("0.0.0.1")), 1);
  EXPECT_EQ(map.Find(At("fe80::1")), 4);
  EXPECT_EQ(map.Find(At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), 5);
}

TEST(NetworkMap, OfTwoEqualOnesTheLater) {
  EXPECT_EQ(Made({"10.0.0.0/8", "10.0.0.0/8"}).Find(At("10.1.1.1")), 2);
  EXPECT_EQ(Made({"::ffff:10.0.0.0/104", "10.0.0.0/8"}).Find(At("10.1.1.1")), 2);
  EXPECT_EQ(Made({"10.0.0.0/8", "::ffff:10.0.0.0/104"}).Find(At("10.1.1.1")), 2);
}

TEST(NetworkMap, EmptyFindsNothing) {
  EXPECT_EQ(NetworkMap().Find(At("10.1.1.1")), 0);
  EXPECT_EQ(NetworkMap().Find(At("::1")), 0);
}

// Against a search through all of them, in both families, with many that overlap.
TEST(NetworkMap, AgreesWithAPlainSearch) {
  uint64_t state = 1;
  const auto random = [&](uint64_t below) {
    state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    return (state >> 33) % below;
  };
  // Few different octets, so that networks nest and addresses hit them.
  const auto address = [&](bool v6) {
    Endpoint endpoint{.family = v6 ? Endpoint::Family::kV6 : Endpoint::Family::kV4};
    for (size_t i = 0; i < (v6 ? 16u : 4u); ++i) {
      endpoint.ip[i] = static_cast<uint8_t>(random(3) * 127 + random(2));
    }
    return endpoint;
  };
  std::vector<NetworkMap::Entry> entries;
  for (uint16_t i = 0; i < 3'000; ++i) {
    const bool v6 = random(2) == 0;
    const auto bits = static_cast<unsigned>(random(v6 ? 129 : 33));
    Cidr cidr{.network = address(v6), .bits = static_cast<uint8_t>(bits)};
    for (unsigned bit = bits; bit < 128; ++bit) {
      cidr.network.ip[bit / 8] &= static_cast<uint8_t>(~(0x80u >> bit % 8));
    }
    entries.push_back({cidr, static_cast<uint16_t>(random(5))});
  }
  const NetworkMap map(entries);
  for (int i = 0; i < 3'000; ++i) {
    const Endpoint endpoint = address(random(2) == 0);
    const NetworkMap::Entry* longest = nullptr;
    for (const NetworkMap::Entry& entry : entries) {
      if (!entry.network.Contains(endpoint)) continue;
      if (longest == nullptr || entry.network.bits >= longest->network.bits) longest = &entry;
    }
    ASSERT_EQ(map.Find(endpoint), longest == nullptr ? 0 : longest->value) << ToString(endpoint);
  }
}

TEST(NetworkMap, AMillionIsCompact) {
  std::vector<NetworkMap::Entry> entries(1'000'000, {Cidr::Parse("0.0.0.0").value(), 1});
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const uint32_t ip = i * 2'654'435'761u | 1;  // no two are neighbours
    for (int octet = 0; octet < 4; ++octet) {
      entries[i].network.network.ip[octet] = static_cast<uint8_t>(ip >> (24 - 8 * octet));
    }
  }
  const NetworkMap map(entries);
  EXPECT_LE(map.octets(), 13'000'000u);
  EXPECT_EQ(map.Find(entries[12'345].network.network), 1);
}

}  // namespace
}  // namespace starling
