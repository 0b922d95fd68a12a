#include "gateway/io/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "gateway/memory/memory_reserve.h"

namespace starling {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBlocksPerSlab = 32;
constexpr size_t kLeastSlab = 128 * 1024;

// Large blocks begin at page boundaries, so that Trim can return each separately. Several small
// ones share a page.
size_t StrideOf(size_t block_size) {
  if (block_size < kPage) return std::bit_ceil(block_size);
  return (block_size + kPage - 1) / kPage * kPage;
}

}  // namespace

BufferPool::BufferPool(size_t max_blocks, size_t block_size)
    : block_size_(block_size), stride_(StrideOf(block_size)), max_blocks_(max_blocks) {}

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
  if (stride_ < kPage) FreePages();
  for (; trimmed_ < end; ++trimmed_) {
    if (stride_ >= kPage) madvise(free_[trimmed_], stride_, MADV_DONTNEED);
  }
  return count;
}

// Of small blocks: the pages whose blocks are all unused.
void BufferPool::FreePages() {
  const auto page_of = [](const uint8_t* block) {
    return reinterpret_cast<uintptr_t>(block) / kPage;
  };
  std::vector<uint8_t*> blocks(free_.begin(), free_.end() - kKept);
  std::ranges::sort(blocks);
  const size_t in_page = kPage / stride_;
  for (size_t i = 0; i + in_page <= blocks.size();) {
    if (page_of(blocks[i]) == page_of(blocks[i + in_page - 1])) {
      madvise(blocks[i], kPage, MADV_DONTNEED);
      i += in_page;
    } else {
      ++i;
    }
  }
}

}  // namespace starling
