#include "gateway/io/buffer_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace {

// How many octets a page has for the madvise below; 0: as many as the kernel says.
size_t large_page = 0;
size_t octets_given_back = 0;

}  // namespace

// Stands in for the C library's, as a kernel with larger pages would do it: that one refuses an
// address within a page, and rounds the length up.
extern "C" int madvise(void* address, size_t size, int advice) noexcept {
  if (large_page != 0) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(address) % large_page, 0u) << "the kernel does nothing";
    EXPECT_EQ(size % large_page, 0u) << "the kernel takes octets of the blocks behind as well";
    octets_given_back += size;
  }
  return static_cast<int>(syscall(SYS_madvise, address, size, advice));
}

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

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

bool InMemory(uint8_t* block) {
  unsigned char resident = 0;
  uint8_t* const page = block - reinterpret_cast<uintptr_t>(block) % PageSize();
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
  const size_t in_page = PageSize() / BufferPool::kTinyBlockSize;
  const size_t count = 32 * in_page;
  BufferPool pool(count, BufferPool::kTinyBlockSize);
  std::vector<uint8_t*> blocks;
  for (size_t i = 0; i < count; ++i) {
    blocks.push_back(pool.Take());
    ASSERT_NE(blocks.back(), nullptr);
    memset(blocks.back(), static_cast<uint8_t>(i), BufferPool::kTinyBlockSize);
  }
  EXPECT_EQ(std::set<uint8_t*>(blocks.begin(), blocks.end()).size(), count);
  uint8_t* const kept = blocks[in_page + 3];
  for (uint8_t* block : blocks) {
    if (block != kept) pool.Give(block);
  }
  EXPECT_GT(pool.Trim(), 0u);
  EXPECT_FALSE(InMemory(blocks[0])) << "a page without a block in use";
  EXPECT_TRUE(InMemory(kept)) << "its neighbours are unused, but it is not";
  for (size_t i = 0; i < BufferPool::kTinyBlockSize; ++i) ASSERT_EQ(kept[i], in_page + 3);
  EXPECT_TRUE(InMemory(blocks.back())) << "one of those returned last";
  pool.Give(kept);
}

// Kernels for arm64 have pages of 4, 16 or 64 KiB. Whatever they are, Trim leaves the blocks alone
// that are in use, and gives memory back where no block is.
TEST(BufferPoolTest, TrimRespectsLargePages) {
  for (const size_t page : {size_t{4096}, size_t{16384}, size_t{65536}}) {
    for (const size_t size : {BufferPool::kTinyBlockSize, BufferPool::kSmallBlockSize,
                              BufferPool::kBlockSize, BufferPool::kBulkBlockSize}) {
      SCOPED_TRACE(testing::Message() << "pages of " << page << ", blocks of " << size);
      constexpr size_t kCount = 1024;
      BufferPool pool(kCount, size, page);
      std::vector<uint8_t*> blocks;
      for (size_t i = 0; i < kCount; ++i) {
        blocks.push_back(pool.Take());
        ASSERT_NE(blocks.back(), nullptr);
        memset(blocks.back(), static_cast<int>(i % 251 + 1), size);
      }
      // The first half is unused, and of the second half every other block.
      const auto is_used = [](size_t i) { return i >= kCount / 2 && i % 2 == 1; };
      for (size_t i = 0; i < kCount; ++i) {
        if (!is_used(i)) pool.Give(blocks[i]);
      }
      large_page = page;
      octets_given_back = 0;
      EXPECT_GT(pool.Trim(), 0u);
      large_page = 0;
      EXPECT_GE(octets_given_back, kCount / 4 * size) << "most of the first half";
      for (size_t i = 0; i < kCount; ++i) {
        if (!is_used(i)) continue;
        for (size_t at = 0; at < size; ++at) ASSERT_EQ(blocks[i][at], i % 251 + 1) << i;
        pool.Give(blocks[i]);
      }
    }
  }
}

}  // namespace
}  // namespace starling
