#include "gateway/tls/tickets.h"

#include <gtest/gtest.h>

#include <string_view>
#include <thread>
#include <vector>

namespace starling {
namespace {

constexpr int64_t kStart = 100;

std::vector<uint8_t> Seal(TicketSealer& sealer, int64_t now, std::string_view plain) {
  std::vector<uint8_t> out(plain.size() + TicketSealer::kOverhead);
  size_t size = 0;
  EXPECT_TRUE(
      sealer.Seal(now, {reinterpret_cast<const uint8_t*>(plain.data()), plain.size()}, out, size));
  EXPECT_EQ(size, out.size());
  return out;
}

bool Opens(TicketSealer& sealer, int64_t now, const std::vector<uint8_t>& ticket,
           std::string_view plain) {
  std::vector<uint8_t> out(ticket.size());
  size_t size = 0;
  if (!sealer.Open(now, ticket, out, size)) return false;
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(out.data()), size), plain);
  return true;
}

TEST(Tickets, AnyContextOpensUnderCurrentAndPreviousKey) {
  const auto keys = MakeTicketKeys();
  TicketSealer here(keys), there(keys);
  const auto first = Seal(here, kStart, "session");
  EXPECT_TRUE(Opens(here, kStart, first, "session"));
  EXPECT_TRUE(Opens(there, kStart, first, "session"));
  const int64_t last = kStart + kTicketKeySeconds - 1;
  EXPECT_TRUE(Opens(there, last, Seal(here, last, "late"), "late"));

  // One period on: the key has changed, the old one still opens.
  const auto second = Seal(here, last + 1, "session");
  EXPECT_FALSE(std::equal(first.begin(), first.begin() + 16, second.begin()));
  EXPECT_TRUE(Opens(there, last + 1, first, "session"));
  EXPECT_TRUE(Opens(there, last + kTicketKeySeconds, first, "session"));
  // Two periods on it does not.
  EXPECT_FALSE(Opens(there, last + 1 + kTicketKeySeconds, first, "session"));
  EXPECT_TRUE(Opens(there, last + 1 + kTicketKeySeconds, second, "session"));
}

TEST(Tickets, ALongPauseForgetsBothKeys) {
  const auto keys = MakeTicketKeys();
  TicketSealer sealer(keys);
  const auto ticket = Seal(sealer, kStart, "session");
  EXPECT_FALSE(Opens(sealer, kStart + 2 * kTicketKeySeconds, ticket, "session"));
}

TEST(Tickets, DamagedForeignAndShortTicketsAreNotOpened) {
  TicketSealer ours(MakeTicketKeys()), foreign(MakeTicketKeys());
  const auto ticket = Seal(ours, kStart, "session");
  EXPECT_FALSE(Opens(foreign, kStart, ticket, ""));
  for (size_t i = 0; i < ticket.size(); i++) {
    auto damaged = ticket;
    damaged[i] ^= 1;
    EXPECT_FALSE(Opens(ours, kStart, damaged, "")) << i;
    EXPECT_FALSE(Opens(ours, kStart, {ticket.begin(), ticket.begin() + static_cast<long>(i)}, ""));
  }
  std::vector<uint8_t> small(TicketSealer::kOverhead + 6);
  size_t size = 0;
  const uint8_t plain[7] = {};
  EXPECT_FALSE(ours.Seal(kStart, plain, small, size));
}

TEST(Tickets, WorkersThatMeetAtAChangeAgree) {
  const auto keys = MakeTicketKeys();
  std::vector<TicketKeys::Pair> seen(4);
  std::vector<std::thread> threads;
  for (auto& pair : seen) {
    threads.emplace_back([&pair, &keys] {
      keys->Get(kStart);
      pair = keys->Get(kStart + kTicketKeySeconds);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& pair : seen) {
    EXPECT_EQ(pair.current.name, seen[0].current.name);
    EXPECT_EQ(pair.current.secret, seen[0].current.secret);
    EXPECT_EQ(pair.previous.secret, seen[0].previous.secret);
    EXPECT_NE(pair.current.secret, pair.previous.secret);
  }
}

}  // namespace
}  // namespace starling
