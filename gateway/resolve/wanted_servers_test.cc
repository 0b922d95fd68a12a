#include "gateway/resolve/wanted_servers.h"

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace starling {
namespace {

FoundAddress Found(const char* text, uint32_t priority = 0, uint32_t weight = 1) {
  const Endpoint endpoint = SocketAddress::Parse(text).value().endpoint();
  return {.priority = priority,
          .family = endpoint.family,
          .ip = endpoint.ip,
          .port = endpoint.port,
          .weight = weight};
}

ServerConfig Named(const std::string& host, uint16_t port) {
  ServerConfig server;
  server.by_name = {.host = host, .port = port, .srv = port == 0};
  return server;
}

using Zone = std::map<std::string, std::vector<FoundAddress>>;

WantedServers Now(const BackendConfig& backend, const Zone& zone) {
  return ServersNow(backend, [&](const NameQuery& query) {
    const auto found = zone.find(query.name);
    return found == zone.end() ? NamedAddresses{} : NamedAddresses{&found->second, 0};
  });
}

std::string Text(const WantedServers& wanted) {
  std::string text;
  for (const WantedServer& server : wanted.servers) {
    text += server.name + "/" + std::to_string(server.priority) + "/" +
            std::to_string(server.weight) + "/" + server.tls_name + " ";
  }
  for (const RefusedServer& refused : wanted.refused) {
    text += "not " +
            (refused.address.length() == 0 ? std::to_string(refused.count)
                                           : refused.address.ToString()) +
            ": " + std::string(kRefusedAddressLabels[static_cast<size_t>(refused.reason)]) + " ";
  }
  return text;
}

BackendConfig Everywhere(std::vector<ServerConfig> servers) {
  BackendConfig backend;
  backend.servers = std::move(servers);
  backend.plaintext_networks = {Cidr::Parse("0.0.0.0/0").value(), Cidr::Parse("::/0").value()};
  return backend;
}

TEST(ServersNow, OfAddressesAndNames) {
  ServerConfig literal(SocketAddress::Parse("10.0.0.9:25").value());
  literal.priority = 7;
  ServerConfig named = Named("a.example.", 25);
  named.weight = 4;
  const BackendConfig backend = Everywhere({named, literal});
  EXPECT_EQ(Text(Now(backend, {})), "10.0.0.9:25/7/1/ ");
  EXPECT_EQ(Text(Now(backend, {{"a.example.", {Found("10.0.0.1:25"), Found("[fd00::1]:25")}}})),
            "10.0.0.9:25/7/1/ 10.0.0.1:25/0/4/a.example [fd00::1]:25/0/4/a.example ");
}

TEST(ServersNow, SrvRecordsAddToTheFile) {
  ServerConfig srv = Named("_imap._tcp.example.org", 0);
  srv.priority = 100;
  srv.weight = 2;
  EXPECT_EQ(Text(Now(Everywhere({srv}),
                     {{"_imap._tcp.example.org",
                       {Found("10.0.0.1:143", 10, 300), Found("10.0.0.2:144", 20, UINT32_MAX)}}})),
            "10.0.0.1:143/110/600/example.org 10.0.0.2:144/120/4294967295/example.org ");
}

TEST(ServersNow, AnAddressIsOneServer) {
  ServerConfig literal(SocketAddress::Parse("10.0.0.1:25").value());
  EXPECT_EQ(Text(Now(Everywhere({Named("a", 25), Named("b", 25), literal}),
                     {{"a", {Found("10.0.0.1:25")}},
                      {"b", {Found("10.0.0.1:25"), Found("10.0.0.1:26")}}})),
            "10.0.0.1:25/0/1/ 10.0.0.1:26/0/1/b ");
}

TEST(ServersNow, PlaintextGoesOnlyWhereItMay) {
  BackendConfig backend = Everywhere({Named("a", 25)});
  backend.plaintext_networks = {Cidr::Parse("10.96.0.0/12").value()};
  const Zone zone = {{"a",
                      {Found("10.97.0.1:25"), Found("10.95.0.1:25"), Found("127.0.0.3:25"),
                       Found("[::1]:25"), Found("[2001:db8::1]:25"), Found("192.0.2.1:25")}}};
  EXPECT_EQ(Text(Now(backend, zone)),
            "10.97.0.1:25/0/1/a 127.0.0.3:25/0/1/a [::1]:25/0/1/a not 10.95.0.1:25: network not "
            "[2001:db8::1]:25: network not 192.0.2.1:25: network ");
  backend.tls.enabled = true;
  EXPECT_TRUE(Now(backend, zone).refused.empty());
}

TEST(ServersNow, WhatNoServerCanHave) {
  std::vector<FoundAddress> unusable;
  for (const char* const text : {"0.0.0.0:25", "0.1.2.3:25", "224.0.0.1:25", "255.255.255.255:25",
                                 "[::]:25", "[::10.0.0.1]:25", "[fe80::1]:25", "[ff02::1]:25"}) {
    unusable.push_back(Found(text));
  }
  // IPv4 addresses in AAAA records.
  for (const uint8_t first : {10, 127}) {
    FoundAddress mapped{.family = Endpoint::Family::kV6, .port = 25};
    mapped.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, first, 0, 0, 1};
    unusable.push_back(mapped);
  }
  const WantedServers now = Now(Everywhere({Named("a", 25)}), {{"a", unusable}});
  EXPECT_TRUE(now.servers.empty()) << Text(now);
  EXPECT_EQ(now.refused.size(), unusable.size());
}

TEST(ServersNow, ThereIsRoomForSixtyFour) {
  std::vector<FoundAddress> many;
  for (int i = 0; i < 64; ++i)
    many.push_back(Found(("10.0.0." + std::to_string(i) + ":25").c_str()));
  ServerConfig literal(SocketAddress::Parse("10.1.0.1:25").value());
  const WantedServers now = Now(Everywhere({Named("a", 25), literal}), {{"a", many}});
  EXPECT_EQ(now.servers.size(), 64u);
  EXPECT_EQ(now.servers.front().name, "10.1.0.1:25");
  ASSERT_EQ(now.refused.size(), 1u);
  EXPECT_EQ(now.refused[0].reason, RefusedAddress::kNoRoom);
  EXPECT_EQ(now.refused[0].count, 1u);
}

}  // namespace
}  // namespace starling
