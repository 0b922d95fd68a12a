#include "gateway/io/buffer_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
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
  uint8_t* const page = block - reinterpret_cast<uintptr_t>(block) % 4096;
  EXPECT_EQ(mincore(page, 1, &resident), 0);
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

// Small blocks share pages: those go back whose blocks are all unused.
TEST(BufferPoolTest, TrimGivesPagesOfSmallBlocksBack) {
  constexpr size_t kInPage = 4096 / BufferPool::kTinyBlockSize;
  BufferPool pool(256, BufferPool::kTinyBlockSize);
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 256; ++i) {
    blocks.push_back(pool.Take());
    ASSERT_NE(blocks.back(), nullptr);
    memset(blocks.back(), i, BufferPool::kTinyBlockSize);
  }
  EXPECT_EQ(std::set<uint8_t*>(blocks.begin(), blocks.end()).size(), 256u);
  uint8_t* const kept = blocks[kInPage + 3];
  for (uint8_t* block : blocks) {
    if (block != kept) pool.Give(block);
  }
  EXPECT_GT(pool.Trim(), 0u);
  EXPECT_FALSE(InMemory(blocks[0])) << "a page without a block in use";
  EXPECT_TRUE(InMemory(kept)) << "its neighbours are unused, but it is not";
  for (size_t i = 0; i < BufferPool::kTinyBlockSize; ++i) ASSERT_EQ(kept[i], kInPage + 3);
  EXPECT_TRUE(InMemory(blocks.back())) << "one of those returned last";
  pool.Give(kept);
}

}  // namespace
}  // namespace starling
