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

}  // namespace
}  // namespace starling
