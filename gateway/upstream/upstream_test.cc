#include "gateway/upstream/upstream.h"

#include <poll.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

BackendConfig Servers(const char* name, size_t count) {
  BackendConfig config;
  config.name = name;
  for (size_t i = 0; i < count; ++i) {
    config.servers.push_back(SocketAddress::Parse("127.0.0.1:" + std::to_string(1000 + i)).value());
  }
  return config;
}

// The order in which a session tries the servers.
std::vector<int> Order(const Backends& backends, uint32_t backend, uint32_t cursor) {
  std::vector<int> order;
  uint64_t tried = 0;
  for (int index; (index = backends.Pick(backend, cursor, tried)) >= 0;) {
    order.push_back(index);
    tried |= uint64_t{1} << index;
  }
  return order;
}

TEST(Backends, IdsAndNames) {
  const Backends backends({Servers("a", 2), Servers("b", 3)});
  EXPECT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends.server_count(), 5u);
  EXPECT_EQ(backends.IdOf(0, 1), 1u);
  EXPECT_EQ(backends.IdOf(1, 2), 4u);
  EXPECT_EQ(backends.server(4).backend, 1u);
  EXPECT_EQ(backends.server(4).name, "127.0.0.1:1002");
  EXPECT_EQ(backends.config(1).name, "b");
  EXPECT_EQ(backends.ServersOf(1).data(), &backends.server(2));
}

TEST(Backends, PickGoesRound) {
  const Backends backends({Servers("a", 1), Servers("b", 3)});
  uint32_t cursor = 0;
  for (const int want : {0, 1, 2, 0, 1, 2, 0}) EXPECT_EQ(backends.Pick(1, cursor, 0), want);
  cursor = UINT32_MAX;  // any value will do
  const int first = backends.Pick(1, cursor, 0);
  EXPECT_EQ(backends.Pick(1, cursor, 0), (first + 1) % 3);
}

TEST(Backends, EachServerOnceASession) {
  const Backends backends({Servers("a", 3)});
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(Order(backends, 0, 2), (std::vector<int>{2, 0, 1}));
}

TEST(Backends, ServersThatAreDownComeLast) {
  Backends backends({Servers("a", 4)});
  backends.MarkDown(0);
  backends.MarkDown(2);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{1, 3, 0, 2}));
  EXPECT_EQ(Order(backends, 0, 3), (std::vector<int>{3, 1, 2, 0}));
  // The servers that are up share the load evenly.
  uint32_t cursor = 0;
  for (const int want : {1, 3, 1, 3}) EXPECT_EQ(backends.Pick(0, cursor, 0), want);
  backends.MarkUp(0);
  EXPECT_EQ(Order(backends, 0, 0), (std::vector<int>{0, 1, 3, 2}));
}

TEST(Backends, SixtyFourServersAndNoMore) {
  const Backends backends({Servers("a", 70), Servers("b", 1), Servers("none", 0)});
  EXPECT_EQ(Order(backends, 0, 0).size(), 64u);
  EXPECT_EQ(Order(backends, 0, 63).front(), 63);
  EXPECT_EQ(backends.IdOf(1, 0), 64u);
  EXPECT_TRUE(Order(backends, 2, 0).empty());
}

TEST(Backends, MarkDownWakesTheProberOnce) {
  Backends backends({Servers("a", 2)});
  const auto woken = [&] {
    pollfd fd{backends.wake_fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
  };
  EXPECT_FALSE(woken());
  backends.MarkDown(1);
  EXPECT_TRUE(woken());
  uint64_t count;
  ASSERT_EQ(read(backends.wake_fd(), &count, sizeof count), 8);
  backends.MarkDown(1);
  EXPECT_FALSE(woken());
}

TEST(Backends, CapabilitiesOfALiveServerFirst) {
  Backends backends({Servers("a", 3)});
  EXPECT_EQ(backends.Capabilities(0), 0u);
  backends.server(1).capabilities = 5;
  EXPECT_EQ(backends.Capabilities(0), 5u);
  backends.server(2).capabilities = 6;
  backends.MarkDown(1);
  EXPECT_EQ(backends.Capabilities(0), 6u);
  backends.MarkDown(2);
  EXPECT_EQ(backends.Capabilities(0), 5u);
}

TEST(Backends, FirstUnavailable) {
  Backends backends({Servers("a", 2), Servers("b", 2)});
  EXPECT_EQ(backends.FirstUnavailable(), "");
  backends.MarkDown(2);
  EXPECT_EQ(backends.FirstUnavailable(), "");
  backends.MarkDown(3);
  EXPECT_EQ(backends.FirstUnavailable(), "b");
  backends.MarkUp(2);
  EXPECT_EQ(backends.FirstUnavailable(), "");
}

}  // namespace
}  // namespace starling
