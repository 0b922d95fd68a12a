#include "gateway/io/buffer_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <set>
#include <vector>

namespace starling {
namespace {

TEST(BufferPoolTest, BlocksAreWholeAndApart) {
  BufferPool pool(100);
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 100; ++i) {
    uint8_t* block = pool.Take();
    ASSERT_NE(block, nullptr);
    memset(block, i, BufferPool::kBlockSize);
    blocks.push_back(block);
  }
  EXPECT_EQ(pool.in_use(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(blocks[i][0], i);
    EXPECT_EQ(blocks[i][BufferPool::kBlockSize - 1], i);
    pool.Give(blocks[i]);
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(BufferPoolTest, TheLimitHoldsAndAGivenBlockComesBackFirst) {
  BufferPool pool(33);  // one more than a slab
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 33; ++i) blocks.push_back(pool.Take());
  EXPECT_EQ(std::set<uint8_t*>(blocks.begin(), blocks.end()).size(), 33u);
  EXPECT_EQ(pool.Take(), nullptr);
  EXPECT_EQ(pool.in_use(), 33u);
  pool.Give(blocks[7]);
  pool.Give(blocks[3]);
  EXPECT_EQ(pool.Take(), blocks[3]);
  EXPECT_EQ(pool.Take(), blocks[7]);
  EXPECT_EQ(pool.Take(), nullptr);
}

TEST(BufferPoolTest, NothingAllowedNothingGiven) {
  BufferPool pool(0);
  EXPECT_EQ(pool.Take(), nullptr);
  EXPECT_EQ(pool.limit(), 0u);
}

bool InMemory(uint8_t* block) {
  unsigned char resident = 0;
  EXPECT_EQ(mincore(block, 1, &resident), 0);
  return resident & 1;
}

TEST(BufferPoolTest, TrimGivesColdBlocksBackAndKeepsWarmOnes) {
  BufferPool pool(64);
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 64; ++i) {
    blocks.push_back(pool.Take());
    memset(blocks.back(), 1, BufferPool::kBlockSize);
  }
  EXPECT_EQ(pool.Trim(), 0u) << "blocks in use are left alone";
  for (uint8_t* block : blocks) pool.Give(block);
  EXPECT_EQ(pool.Trim(), 64 - BufferPool::kKept);
  EXPECT_FALSE(InMemory(blocks.front()));
  EXPECT_TRUE(InMemory(blocks.back()));
  EXPECT_EQ(pool.Trim(), 0u) << "what is gone is not given back again";

  // All blocks are usable again; used ones can be trimmed again.
  for (int i = 0; i < 64; ++i) {
    blocks[i] = pool.Take();
    ASSERT_NE(blocks[i], nullptr);
    blocks[i][0] = 2;
  }
  EXPECT_EQ(pool.Take(), nullptr);
  for (uint8_t* block : blocks) pool.Give(block);
  EXPECT_EQ(pool.Trim(), 64 - BufferPool::kKept);
}

}  // namespace
}  // namespace starling
