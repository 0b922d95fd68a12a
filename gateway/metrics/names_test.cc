#include "gateway/metrics/names.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

TEST(NameTable, ANameKeepsItsId) {
  NameTable names;
  EXPECT_EQ(names.IdOfListener("a", "smtp"), 0u);
  EXPECT_EQ(names.IdOfListener("b", "imap"), 1u);
  EXPECT_EQ(names.IdOfListener("a", "lmtp"), 0u);
  ASSERT_EQ(names.listeners().size(), 2u);
  EXPECT_EQ(names.listeners()[0].protocol, "lmtp");

  EXPECT_EQ(names.IdOfServer("b", "127.0.0.1:1"), 0u);
  EXPECT_EQ(names.IdOfServer("c", "127.0.0.1:1"), 1u);
  EXPECT_EQ(names.IdOfServer("b", "127.0.0.1:2"), 2u);
  EXPECT_EQ(names.IdOfServer("c", "127.0.0.1:1"), 1u);
}

TEST(NameTable, IsBounded) {
  NameTable names;
  for (size_t i = 0; i < kMaxListenerNames; ++i) {
    EXPECT_EQ(names.IdOfListener(std::to_string(i), "imap"), i);
  }
  EXPECT_EQ(names.IdOfListener("one more", "imap"), std::nullopt);
  EXPECT_EQ(names.IdOfListener("7", "imap"), 7u);
  for (size_t i = 0; i < kMaxServerNames; ++i) {
    EXPECT_EQ(names.IdOfServer("b", std::to_string(i)), i);
  }
  EXPECT_EQ(names.IdOfServer("b", "one more"), std::nullopt);
}

constexpr MonoTime kStart{std::chrono::hours(5)};

TEST(NameTable, LendsIdsAgainAfterAnHour) {
  NameTable table;
  EXPECT_EQ(table.Lend("b", "10.0.0.1:25"), 0u);
  EXPECT_EQ(table.Lend("b", "10.0.0.2:25"), 1u);
  table.GiveBack(0, kStart);
  EXPECT_FALSE(table.FreeRested(kStart + std::chrono::minutes(59)));
  EXPECT_EQ(table.Lend("b", "10.0.0.3:25"), 2u);
  EXPECT_EQ(table.servers()[0].server, "10.0.0.1:25") << "its counters are still to be seen";
  EXPECT_TRUE(table.FreeRested(kStart + std::chrono::hours(1)));
  EXPECT_EQ(table.servers()[0].server, "");
  EXPECT_EQ(table.Lend("b", "10.0.0.4:25"), 0u);
  EXPECT_EQ(table.servers()[1].server, "10.0.0.2:25");
}

TEST(NameTable, OneThatComesBackGoesOnWithItsId) {
  NameTable table;
  EXPECT_EQ(table.Lend("b", "10.0.0.1:25"), 0u);
  table.GiveBack(0, kStart);
  EXPECT_EQ(table.Lend("b", "10.0.0.1:25"), 0u);
  EXPECT_FALSE(table.FreeRested(kStart + std::chrono::hours(2)));
}

TEST(NameTable, WhatTheFileNamesIsNeverLent) {
  NameTable table;
  EXPECT_EQ(table.IdOfServer("b", "10.0.0.1:25"), 0u);
  EXPECT_EQ(table.Lend("b", "10.0.0.1:25"), 0u);
  table.GiveBack(0, kStart);
  EXPECT_FALSE(table.FreeRested(kStart + std::chrono::hours(2)));
}

TEST(NameTable, AFullTableLendsWhatHasRestedLongest) {
  NameTable table;
  for (size_t i = 0; i < kMaxServerNames; ++i) {
    ASSERT_EQ(table.Lend("b", std::to_string(i)), i);
  }
  EXPECT_EQ(table.Lend("b", "more"), std::nullopt);
  table.GiveBack(9, kStart + std::chrono::seconds(1));
  table.GiveBack(5, kStart);
  EXPECT_EQ(table.Lend("b", "more"), 5u);
  EXPECT_EQ(table.IdOfServer("b", "another"), 9u);
}

}  // namespace
}  // namespace starling
