#include "gateway/io/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "gateway/memory/memory_reserve.h"

namespace starling {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBlocksPerSlab = 32;

}  // namespace

// Blocks begin at page boundaries, so that Trim can return each separately.
BufferPool::BufferPool(size_t max_blocks, size_t block_size)
    : stride_((block_size + kPage - 1) / kPage * kPage), max_blocks_(max_blocks) {}

BufferPool::~BufferPool() {
  for (std::span<uint8_t> slab : slabs_) munmap(slab.data(), slab.size());
}

bool BufferPool::Grow() {
  const size_t have = in_use_ + free_.size();
  const size_t count = std::min(kBlocksPerSlab, max_blocks_ - have);
  if (count == 0) return false;
  void* memory =
      mmap(nullptr, count * stride_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    NoteMemoryDenied();
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
  for (; trimmed_ < end; ++trimmed_) madvise(free_[trimmed_], stride_, MADV_DONTNEED);
  return count;
}

}  // namespace starling
