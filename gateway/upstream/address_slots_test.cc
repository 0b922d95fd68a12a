#include "gateway/upstream/address_slots.h"

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gateway/upstream/upstream.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

constexpr MonoTime kStart{std::chrono::hours(1)};

WantedServer At(int number, uint32_t priority = 0) {
  const SocketAddress address =
      SocketAddress::Parse("10.0.0." + std::to_string(number) + ":25").value();
  return {.address = address,
          .name = address.ToString(),
          .tls_name = "a.example",
          .weight = 1,
          .priority = priority,
          .max_sessions = 0,
          .drains = false};
}

class Slots : public ::testing::Test {
 protected:
  Slots() {
    BackendConfig config;
    config.name = "b";
    config.servers.emplace_back().by_name = {.host = "a.example", .port = 25, .srv = false};
    config.slow_start_ms = 10'000;
    backends_ = std::make_unique<Backends>(std::vector<BackendConfig>{config});
  }
  AddressSlots& slots() { return *backends_->slots(0); }

  // Gives each missing address a series of its own.
  AddressSlots::Applied Apply(const AddressSlots::Wanted& wanted, bool first = false) {
    AddressSlots::SeriesByName series;
    for (const std::string& name : slots().Missing(wanted)) series[name] = next_series_++;
    return slots().Apply(wanted, series, now_, first);
  }
  int Pick(uint64_t tried = 0, bool all = false) {
    return backends_->Pick(0, {.cursor = &cursor_, .tried = tried, .now = now_, .all = all}).server;
  }
  // The names of the servers that sessions get.
  std::set<std::string> Served() {
    std::set<std::string> names;
    uint64_t tried = 0;
    for (int index; (index = Pick(tried)) >= 0;) {
      tried |= uint64_t{1} << index;
      names.insert(ServerAt(index).name);
      backends_->Leave(backends_->IdOf(0, index));
    }
    return names;
  }
  Server& ServerAt(int index) { return backends_->server(backends_->IdOf(0, index)); }
  void Leave(int index) { backends_->Leave(backends_->IdOf(0, index)); }

  std::unique_ptr<Backends> backends_;
  MonoTime now_ = kStart;
  uint32_t cursor_ = 0;
  uint32_t next_series_ = 100;
};

TEST_F(Slots, AreEmptyAtFirst) {
  EXPECT_EQ(backends_->server_count(), kMaxServers);
  EXPECT_EQ(Pick(), -1);
  EXPECT_EQ(Pick(0, /*all=*/true), -1);
  EXPECT_EQ(backends_->FirstUnavailable(), "b");
  EXPECT_TRUE(backends_->NoneAvailable());
}

TEST_F(Slots, AddressesComeAndGo) {
  EXPECT_EQ(Apply({At(1), At(2)}, true).joined.size(), 2u);
  EXPECT_EQ(Served(), (std::set<std::string>{"10.0.0.1:25", "10.0.0.2:25"}));
  EXPECT_FALSE(backends_->NoneAvailable());
  const AddressSlots::Applied applied = Apply({At(2), At(3)});
  EXPECT_EQ(applied.joined, (std::vector<std::string>{"10.0.0.3:25"}));
  EXPECT_EQ(applied.left, (std::vector<std::string>{"10.0.0.1:25"}));
  EXPECT_EQ(Served(), (std::set<std::string>{"10.0.0.2:25", "10.0.0.3:25"}));
  EXPECT_TRUE(Apply({At(3), At(2)}).joined.empty()) << "the order means nothing";
  Apply({});
  EXPECT_EQ(Served(), (std::set<std::string>{}));
}

TEST_F(Slots, OneThatLeavesKeepsItsSessionsAndItsSlot) {
  Apply({At(1)}, true);
  const int held = Pick();
  ASSERT_GE(held, 0);
  const uint32_t occupant = ServerAt(held).occupant;
  Apply({At(2)});
  EXPECT_TRUE(slots().Sweep().empty());
  EXPECT_TRUE(slots().any_leaving());
  EXPECT_EQ(ServerAt(held).name, "10.0.0.1:25");
  EXPECT_EQ(Served(), (std::set<std::string>{"10.0.0.2:25"})) << "no new session";
  EXPECT_FALSE(ServerAt(held).up());
  // A message for each server goes there, too, as long as it has sessions.
  EXPECT_EQ(Pick(~(uint64_t{1} << held), /*all=*/true), held);
  Leave(held);
  // The same address comes back to its session.
  Apply({At(1), At(2)});
  EXPECT_EQ(ServerAt(held).occupant, occupant);
  EXPECT_EQ(ServerAt(held).state->health, Health::kTrial);
  Apply({At(2)});
  Leave(held);
  EXPECT_EQ(Pick(~(uint64_t{1} << held), /*all=*/true), -1);
  EXPECT_EQ(slots().Sweep(), (std::vector<uint32_t>{100}));
  EXPECT_FALSE(slots().any_leaving());
}

TEST_F(Slots, AProbeHoldsASlotAsWell) {
  Apply({At(1)}, true);
  ServerState& state = *slots().servers()[0].state;
  ASSERT_TRUE(state.probes.Take());
  Apply({});
  EXPECT_TRUE(slots().Sweep().empty());
  ASSERT_TRUE(state.sessions.Take()) << "as before";
  state.sessions.Leave();
  state.probes.Leave();
  EXPECT_EQ(slots().Sweep().size(), 1u);
  EXPECT_FALSE(state.probes.Take());
  EXPECT_FALSE(state.sessions.Take());
  EXPECT_FALSE(state.sessions.Take(5));
}

TEST_F(Slots, AnotherAddressBeginsAnew) {
  Apply({At(1)}, true);
  const ServerId id = backends_->IdOf(0, 0);
  backends_->MarkDown(id);
  backends_->NoteSlow(id, Wait::kReach, kNever);
  ServerAt(0).state->capabilities = 7;
  Apply({});
  slots().Sweep();
  now_ += std::chrono::hours(1);
  Apply({At(2)});
  const Server& server = ServerAt(0);
  EXPECT_EQ(server.name, "10.0.0.2:25");
  EXPECT_EQ(server.occupant, 2u);
  EXPECT_EQ(server.series, 101u);
  EXPECT_EQ(server.state->health, Health::kTrial);
  EXPECT_EQ(server.state->pace.pace(), Pace::kPrompt);
  EXPECT_FALSE(server.state->suspected);
  EXPECT_EQ(server.state->capabilities, 0u);
  EXPECT_EQ(server.state->came_up.load(), now_);
}

TEST_F(Slots, OneThatJoinsBeginsWithLittle) {
  Apply({At(1)}, true);
  EXPECT_EQ(ServerAt(0).state->health, Health::kUp) << "the first are known as well as can be";
  EXPECT_EQ(ServerAt(0).state->came_up.load(), MonoTime::min());
  Apply({At(1), At(2)});
  const int joined = 1;
  // One session tries it, the others wait for what comes of it.
  std::multiset<int> first, second;
  for (int i = 0; i < 20; ++i) first.insert(Pick());
  EXPECT_EQ(first.count(joined), 1u);
  backends_->MarkUp(backends_->IdOf(0, joined), now_);
  for (int i = 0; i < 110; ++i) second.insert(Pick());
  EXPECT_NEAR(static_cast<double>(second.count(joined)), 10, 2) << "a tenth of its share";
  now_ += std::chrono::seconds(10);
  second.clear();
  for (int i = 0; i < 100; ++i) second.insert(Pick());
  EXPECT_NEAR(static_cast<double>(second.count(joined)), 50, 2);
}

TEST_F(Slots, ThereAreSixtyFour) {
  AddressSlots::Wanted first, second;
  for (int i = 0; i < 64; ++i) first.push_back(At(i));
  for (int i = 100; i < 164; ++i) second.push_back(At(i));
  Apply(first, true);
  const int held = Pick();
  // All at once: those that leave make room for those that come.
  EXPECT_EQ(Apply(second).no_room, 1u);
  EXPECT_EQ(Served().size(), 63u);
  Leave(held);
  slots().Sweep();
  EXPECT_EQ(Apply(second).no_room, 0u);
  EXPECT_EQ(Served().size(), 64u);
}

TEST_F(Slots, WithoutASeriesThereIsNoServer) {
  EXPECT_EQ(slots().Apply({At(1)}, {}, now_, true).no_room, 1u);
  EXPECT_EQ(Pick(), -1);
}

TEST_F(Slots, WhatTheConfigurationSaysMayChange) {
  Apply({At(1), At(2, 5)}, true);
  EXPECT_EQ(ServerAt(Pick()).name, "10.0.0.1:25");
  Apply({At(1, 5), At(2)});
  EXPECT_EQ(ServerAt(Pick()).name, "10.0.0.2:25");
}

TEST_F(Slots, AllConfigurationsShareThem) {
  Apply({At(1)}, true);
  BackendConfig config = backends_->config(0);
  Backends next({config});
  next.Inherit(*backends_);
  EXPECT_EQ(next.slots(0), backends_->slots(0));
  Apply({At(2)});
  EXPECT_EQ(next.Pick(0, {.cursor = &cursor_, .now = now_}).server, 1) << "without a reload";
}

TEST_F(Slots, ABackendThatHadAddressesKeepsThemUntilItsNamesAreKnown) {
  BackendConfig literal = backends_->config(0);
  literal.servers = {ServerConfig(SocketAddress::Parse("10.0.0.7:25").value())};
  const Backends before({literal}, [](const auto&, const auto&) { return 9; });
  backends_->Inherit(before);
  EXPECT_EQ(Served(), (std::set<std::string>{"10.0.0.7:25"}));
  EXPECT_EQ(ServerAt(0).series, 9u);
  EXPECT_EQ(Apply({At(1)}).left, (std::vector<std::string>{"10.0.0.7:25"}));
}

TEST_F(Slots, AChangeOfOneAddressMovesOnlyItsShareOfTheSources) {
  BackendConfig config = backends_->config(0);
  config.balance = Balance::kSourceHash;
  backends_ = std::make_unique<Backends>(std::vector<BackendConfig>{config});
  Apply({At(1), At(2), At(3), At(4)}, true);
  const auto of = [&](uint64_t source) {
    const int index =
        backends_->Pick(0, {.cursor = &cursor_, .source = source, .now = now_}).server;
    Leave(index);
    return ServerAt(index).name;
  };
  std::vector<std::string> before;
  for (uint64_t source = 1; source <= 400; ++source) before.push_back(of(source));
  Apply({At(1), At(3), At(4)});
  int moved = 0;
  for (uint64_t source = 1; source <= 400; ++source) {
    const std::string now = of(source);
    if (now == before[source - 1]) continue;
    EXPECT_EQ(before[source - 1], "10.0.0.2:25");
    ++moved;
  }
  EXPECT_NEAR(moved, 100, 30);
}

// Workers choose while the main thread changes addresses: whoever has a place has a server that
// stays as it is.
TEST_F(Slots, AServerStaysAsItIsWhileItIsHeld) {
  Apply({At(1), At(2)}, true);
  std::atomic<bool> stop{false};
  std::atomic<int> picked{0};
  std::vector<std::thread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&] {
      uint32_t cursor = 0;
      while (!stop.load()) {
        const int index =
            backends_->Pick(0, {.cursor = &cursor, .now = kStart, .all = true}).server;
        if (index < 0) continue;
        const Server& server = ServerAt(index);
        const uint32_t occupant = server.occupant;
        const std::string name = server.name;
        std::this_thread::yield();
        EXPECT_EQ(server.name, name);
        EXPECT_EQ(server.address.ToString(), name);
        EXPECT_EQ(server.occupant, occupant);
        Leave(index);
        ++picked;
      }
    });
  }
  for (int i = 0; i < 2'000 || picked.load() < 1'000; ++i) {
    Apply({At(i % 200 + 1), At((i + 1) % 200 + 1)});
    slots().Sweep();
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  Apply({});
  slots().Sweep();
  EXPECT_FALSE(slots().any_leaving()) << "no place is lost";
}

}  // namespace
}  // namespace starling
