// Blocks of one size for one worker, last in, first out, so that the same
// few stay in the cache. The pool grows in slabs up to its limit. Trim() returns the
// memory of cold blocks to the kernel. For one thread.
//
// Not for: receive buffers, which belong to the ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace starling {

class BufferPool {
 public:
  // Holds one full TLS record and a handshake message or an alert.
  static constexpr size_t kBlockSize = 16384 + 1536;
  // Holds the output for a full large receive buffer: two full records. Larger blocks
  // made uploads no cheaper and downloads more expensive, because the data no longer
  // stayed in the cache.
  static constexpr size_t kBulkBlockSize = 32768 + 4096;
  // Hold the beginning of a line or a record whose rest has not come: a few octets mostly, and
  // a hello at times.
  static constexpr size_t kTinyBlockSize = 512;
  static constexpr size_t kSmallBlockSize = 2048;

  explicit BufferPool(size_t max_blocks, size_t block_size = kBlockSize,
                      size_t page_size = SystemPageSize());
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Null if the limit is reached or memory ran out. The block's content is undefined. The
  // caller must return it with Give().
  uint8_t* Take();
  void Give(uint8_t* block);

  size_t in_use() const { return in_use_; }
  size_t limit() const { return max_blocks_; }
  size_t block_size() const { return block_size_; }
  // Frees the memory of unused blocks (madvise), except the kKept blocks returned last.
  // Returns how many blocks it freed.
  size_t Trim();

  static constexpr size_t kKept = 16;

 private:
  static size_t SystemPageSize();
  bool Grow();
  void TrimEach(size_t end);
  void TrimNeighbours(size_t end);
  void FreePagesWithin(uint8_t* begin, uint8_t* end);

  size_t block_size_;
  size_t page_size_;
  size_t stride_;  // octets from one block to the next
  size_t max_blocks_;
  size_t in_use_ = 0;
  size_t trimmed_ = 0;  // this many of free_, the oldest, have no memory
  std::vector<uint8_t*> free_;
  std::vector<std::span<uint8_t>> slabs_;
};

}  // namespace starling
