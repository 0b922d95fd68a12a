#include "gateway/io/ring.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

TEST(TagTest, ComesBackAsItWas) {
  for (const Tag& tag :
       {Tag{}, Tag{Op::kRecv, 1, 2}, Tag{Op::kClose, 0xffffff, 0xffffffff, SocketSide::kOpened},
        Tag{Op::kWake, 0, 0}, Tag{Op::kAccept, 0x123456, 0x789abcde}}) {
    EXPECT_EQ(Unpack(Pack(tag)), tag);
    EXPECT_EQ(Pack(tag) >> 63, 0u) << "the highest bit is the ring's own";
  }
}

TEST(TagTest, EachFieldCounts) {
  const Tag tag{Op::kSend, 7, 9};
  EXPECT_NE(Pack(tag), Pack({Op::kRecv, 7, 9}));
  EXPECT_NE(Pack(tag), Pack({Op::kSend, 8, 9}));
  EXPECT_NE(Pack(tag), Pack({Op::kSend, 7, 10}));
  EXPECT_NE(Pack(tag), Pack({Op::kSend, 7, 9, SocketSide::kOpened}));
}

}  // namespace
}  // namespace starling
