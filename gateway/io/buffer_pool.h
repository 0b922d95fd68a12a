// Output buffers of one worker: blocks of one size, handed out last in first
// out so that the same few stay in the cache. Grows in slabs up to its limit;
// Trim() gives the memory of cold blocks back to the kernel.
//
// Not for: receive buffers, which belong to the ring. One thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace starling {

class BufferPool {
 public:
  // Takes one full TLS record, with room for a handshake message or an alert beside it.
  static constexpr size_t kBlockSize = 16384 + 1536;
  // Takes what is made of a full large receive buffer: two full records. Larger ones made
  // uploads no cheaper and downloads dearer: what moves should stay in the cache.
  static constexpr size_t kBulkBlockSize = 32768 + 4096;

  explicit BufferPool(size_t max_blocks, size_t block_size = kBlockSize);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Null when the limit is reached or the machine has no memory. What the block
  // holds is undefined.
  uint8_t* Take();
  void Give(uint8_t* block);

  size_t in_use() const { return in_use_; }
  size_t limit() const { return max_blocks_; }
  // Frees the memory of blocks not in use (madvise), when there are many: the
  // last kKept given back stay warm. Returns how many blocks it freed.
  size_t Trim();

  static constexpr size_t kKept = 16;

 private:
  bool Grow();

  size_t stride_;  // from one block to the next
  size_t max_blocks_;
  size_t in_use_ = 0;
  size_t trimmed_ = 0;  // the oldest this many of free_ have no memory behind them
  std::vector<uint8_t*> free_;
  std::vector<std::span<uint8_t>> slabs_;
};

}  // namespace starling
