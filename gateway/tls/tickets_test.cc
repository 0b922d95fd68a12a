#include "gateway/tls/tickets.h"

#include <gtest/gtest.h>
#include <openssl/base64.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace starling {
namespace {

constexpr int64_t kStart = 100;
constexpr int64_t kTicketKeySeconds = 8 * 3'600;  // the default's period

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

  // After one period the key has changed, and the old one still opens.
  const auto second = Seal(here, last + 1, "session");
  EXPECT_FALSE(std::equal(first.begin(), first.begin() + 16, second.begin()));
  EXPECT_TRUE(Opens(there, last + 1, first, "session"));
  EXPECT_TRUE(Opens(there, last + kTicketKeySeconds, first, "session"));
  // After two periods it no longer does.
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
  std::vector<TicketKeys::List> seen(4);
  std::vector<std::thread> threads;
  for (auto& list : seen) {
    threads.emplace_back([&list, &keys] {
      keys->Get(kStart);
      list = keys->Get(kStart + kTicketKeySeconds);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& list : seen) {
    ASSERT_EQ(list.keys.size(), 2u);
    EXPECT_EQ(list.keys[0].name, seen[0].keys[0].name);
    EXPECT_EQ(list.keys[0].secret, seen[0].keys[0].secret);
    EXPECT_EQ(list.keys[1].secret, seen[0].keys[1].secret);
    EXPECT_NE(list.keys[0].secret, list.keys[1].secret);
  }
  EXPECT_EQ(keys->Info().generation, 2u);
}

// --- Files ---

std::string Line(uint8_t first, size_t size = 80) {
  std::vector<uint8_t> octets(size, first);
  std::vector<uint8_t> text(size * 2);
  const size_t length = EVP_EncodeBlock(text.data(), octets.data(), octets.size());
  return std::string(text.begin(), text.begin() + static_cast<long>(length)) + "\n";
}

std::string Written(const std::string& text) {
  const std::string path = testing::TempDir() + "ticket.keys";
  std::ofstream(path, std::ios::trunc) << text;
  return path;
}

std::shared_ptr<TicketKeys> Read(const std::string& text) {
  const auto read = ReadTicketKeys(Written(text));
  EXPECT_TRUE(read.ok()) << read.status();
  return read->keys;
}

TEST(TicketFileTest, TheFirstSealsAndAllOpen) {
  TicketSealer old(Read(Line('a') + Line('b') + Line('c')));
  // Rotation: the first key is gone, and a new one is there.
  TicketSealer next(Read("# keys\n\n" + Line('b') + Line('c') + "  " + Line('d')));
  TicketSealer same(Read(Line('a') + Line('b') + Line('c')));
  const auto by_old = Seal(old, kStart, "x");
  EXPECT_EQ(std::string(by_old.begin(), by_old.begin() + 16), std::string(16, 'a'));
  EXPECT_TRUE(Opens(same, kStart, by_old, "x")) << "another gateway with the same file";
  EXPECT_FALSE(Opens(next, kStart, by_old, "x"));
  const auto by_next = Seal(next, kStart, "y");
  EXPECT_EQ(by_next[0], 'b');
  EXPECT_TRUE(Opens(old, kStart, by_next, "y"));
  // Keys of a file do not rotate by themselves.
  EXPECT_TRUE(Opens(old, kStart + 100 * kTicketKeySeconds, by_next, "y"));
}

TEST(TicketFileTest, BothSizesAreTaken) {
  TicketSealer sealer(Read(Line('a', 48) + Line('b', 48) + Line('c', 48)));
  TicketSealer other(Read(Line('a', 80) + Line('b', 80) + Line('c', 80)));
  // All octets of a line count, not only the key's name.
  EXPECT_FALSE(Opens(other, kStart, Seal(sealer, kStart, "x"), "x"));
}

TEST(TicketFileTest, WhatIsWrongIsSaidWithoutTheContent) {
  const std::string good = Line('a') + Line('b');
  struct {
    std::string text;
    const char* said;
  } const rows[] = {
      {"", "is empty"},
      {good, "2 keys, expected at least 3"},
      {good + "nonsense!\n", "line 3: expected base64"},
      {good + Line('c', 32), "line 3: expected base64"},
      {good + Line('c', 48), "line 3: 48 octets, expected 80 as on the lines before"},
      {good + Line('a'), "line 3: repeats a key"},
      {good + std::string(500, 'A') + "\n", "line 3: expected base64"},
      {good + std::string("\0\n", 2), "line 3: expected base64"},
  };
  for (const auto& row : rows) {
    const std::string path = Written(row.text);
    const auto read = ReadTicketKeys(path);
    ASSERT_FALSE(read.ok()) << row.said;
    const std::string message(read.status().message());
    EXPECT_TRUE(message.starts_with(path)) << message;
    EXPECT_NE(message.find(row.said), std::string::npos) << message;
    EXPECT_EQ(message.find("YWFh"), std::string::npos) << message;
  }
  std::string many;
  for (int i = 0; i < 65; ++i) many += Line(static_cast<uint8_t>(i));
  EXPECT_FALSE(ReadTicketKeys(Written(many)).ok());
  EXPECT_FALSE(ReadTicketKeys("/nowhere/at/all").ok());
}

TEST(TicketFileTest, NotIfEveryUserCanWriteThem) {
  const std::string path = testing::TempDir() + "rights.keys";
  std::ofstream(path) << Line('a') << Line('b') << Line('c');
  ASSERT_EQ(chmod(path.c_str(), 0660), 0);
  EXPECT_TRUE(ReadTicketKeys(path).ok());
  ASSERT_EQ(chmod(path.c_str(), 0602), 0);
  EXPECT_EQ(ReadTicketKeys(path).status().message(),
            path + ": every user can write these ticket keys; take that right away (chmod o-w)");
}

TEST(TicketFileTest, AKeyThatStillSealsKeepsItsAge) {
  const auto first = Read(Line('a') + Line('b') + Line('c'));
  const auto same = Read(Line('a') + Line('c') + Line('d'));
  const auto other = Read(Line('c') + Line('a') + Line('d'));
  const TicketKeysInfo info = InfoOf(*first);
  EXPECT_EQ(info.generation, 1u);
  FollowTicketKeys(*other, *first);
  EXPECT_EQ(InfoOf(*other).generation, 2u);
  const auto again = Read(Line('c') + Line('a') + Line('e'));
  FollowTicketKeys(*again, *other);
  EXPECT_EQ(InfoOf(*again).generation, 2u);
  FollowTicketKeys(*same, *first);
  EXPECT_EQ(InfoOf(*same).generation, 1u);
  EXPECT_EQ(InfoOf(*same).since, info.since);
}

TEST(TicketFileTest, TheDigestTellsWhetherItChanged) {
  const std::string text = Line('a') + Line('b') + Line('c');
  const std::string digest = ReadTicketKeys(Written(text))->digest;
  EXPECT_EQ(ReadTicketKeys(Written(text))->digest, digest);
  EXPECT_NE(ReadTicketKeys(Written(text + Line('d')))->digest, digest);
}

}  // namespace
}  // namespace starling
