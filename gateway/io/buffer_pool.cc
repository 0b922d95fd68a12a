#include "gateway/io/buffer_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "gateway/memory/memory_reserve.h"

namespace starling {
namespace {

constexpr size_t kBlocksPerSlab = 32;
constexpr size_t kLeastSlab = 128 * 1024;

// Large blocks begin at page boundaries, so that Trim can return each separately. Several small
// ones share a page; where pages have 64 KiB, as some kernels for arm64 use, all blocks are small.
size_t StrideOf(size_t block_size, size_t page_size) {
  if (block_size < page_size) return std::bit_ceil(block_size);
  return (block_size + page_size - 1) / page_size * page_size;
}

}  // namespace

size_t BufferPool::SystemPageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

BufferPool::BufferPool(size_t max_blocks, size_t block_size, size_t page_size)
    : block_size_(block_size),
      page_size_(page_size),
      stride_(StrideOf(block_size, page_size)),
      max_blocks_(max_blocks) {}

BufferPool::~BufferPool() {
  for (std::span<uint8_t> slab : slabs_) munmap(slab.data(), slab.size());
}

bool BufferPool::Grow() {
  const size_t have = in_use_ + free_.size();
  const size_t count = std::min(std::max(kBlocksPerSlab, kLeastSlab / stride_), max_blocks_ - have);
  if (count == 0) return false;
  void* memory =
      mmap(nullptr, count * stride_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    // Instead of a bulk block a full one does.
    if (block_size_ != kBulkBlockSize) NoteMemoryDenied();
    return false;
  }
  auto* base = static_cast<uint8_t*>(memory);
  slabs_.emplace_back(base, count * stride_);
  free_.reserve(have + count);  // so that Give() never allocates
  for (size_t i = count; i > 0; --i) free_.push_back(base + (i - 1) * stride_);
  trimmed_ = free_.size();  // untouched blocks have no memory yet
  return true;
}

uint8_t* BufferPool::Take() {
  if (free_.empty() && !Grow()) return nullptr;
  uint8_t* block = free_.back();
  free_.pop_back();
  trimmed_ = std::min(trimmed_, free_.size());
  ++in_use_;
  return block;
}

void BufferPool::Give(uint8_t* block) {
  if (in_use_ == 0) {
    fprintf(stderr, "starling: a block was given back twice\n");
    abort();
  }
  free_.push_back(block);
  --in_use_;
}

size_t BufferPool::Trim() {
  if (free_.size() <= trimmed_ + kKept) return 0;
  const size_t end = free_.size() - kKept;
  const size_t count = end - trimmed_;
  if (stride_ <= page_size_) {
    TrimNeighbours(end);
  } else {
    TrimEach(end);
  }
  trimmed_ = end;
  return count;
}

void BufferPool::TrimEach(size_t end) {
  for (size_t i = trimmed_; i < end; ++i) FreePagesWithin(free_[i], free_[i] + stride_);
}

// Of blocks that are no larger than a page: the pages whose blocks are all unused.
void BufferPool::TrimNeighbours(size_t end) {
  std::vector<uint8_t*> blocks(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(end));
  std::ranges::sort(blocks);
  for (size_t first = 0, next = 0; first < blocks.size(); first = next) {
    for (next = first + 1; next < blocks.size(); ++next) {
      if (blocks[next] != blocks[next - 1] + stride_) break;
    }
    FreePagesWithin(blocks[first], blocks[next - 1] + stride_);
  }
}

// The kernel would round a length up to whole pages, and so take octets of blocks that are in use.
void BufferPool::FreePagesWithin(uint8_t* begin, uint8_t* end) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  uint8_t* const first = begin + (page_size_ - address % page_size_) % page_size_;
  uint8_t* const last = end - reinterpret_cast<uintptr_t>(end) % page_size_;
  if (first < last) madvise(first, static_cast<size_t>(last - first), MADV_DONTNEED);
}

}  // namespace starling
