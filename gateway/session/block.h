// Octets in a block of one of the worker's pools, or no octets and no block: what waits to
// be consumed, or to be sent. And the resources of the worker that blocks and sides use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gateway/io/buffer_pool.h"
#include "gateway/io/ring.h"
#include "protocols/contract/negotiator.h"

namespace starling {

// The part of a worker that its sides need. One object a worker, one thread.
struct SideResources {
  // `stashes`: how many of the two small sizes each.
  SideResources(size_t blocks, size_t bulk_blocks, size_t stashes)
      : pool(blocks),
        bulk_pool(bulk_blocks, BufferPool::kBulkBlockSize),
        tiny_pool(stashes, BufferPool::kTinyBlockSize),
        small_pool(stashes, BufferPool::kSmallBlockSize) {}

  Ring* ring = nullptr;
  BufferPool pool;
  BufferPool bulk_pool;        // where many octets move at once; a small block will do
  BufferPool tiny_pool;        // for what was received and is too little to do anything with
  BufferPool small_pool;       //
  bool out_of_blocks = false;  // the session that runs now met the pool's limit

  // What sessions can run out of. A worker has a small block for every stash that its sessions
  // can have, so they do not count.
  size_t BlocksOut() const { return pool.in_use() + bulk_pool.in_use(); }
  size_t StashesOut() const { return tiny_pool.in_use() + small_pool.in_use(); }
  uint64_t OctetsOut() const;
};

enum class BlockSize : uint8_t { kTiny, kSmall, kFull, kBulk };
inline constexpr size_t kBlockSizes[] = {BufferPool::kTinyBlockSize, BufferPool::kSmallBlockSize,
                                         BufferPool::kBlockSize, BufferPool::kBulkBlockSize};

// Small: a session has four of them all its life (kBlocksPerSession).
struct Block {
  uint8_t* data = nullptr;
  uint16_t begin = 0;      // `begin` to `end` is what waits
  uint16_t end = 0;        //
  uint16_t in_flight = 0;  // the first of it that the kernel is sending
  BlockSize kind = BlockSize::kFull;

  bool empty() const { return begin == end; }
  uint32_t size() const { return static_cast<uint32_t>(end - begin); }
  uint32_t capacity() const {
    return static_cast<uint32_t>(kBlockSizes[static_cast<size_t>(kind)]);
  }
  ByteView view() const { return {data + begin, size()}; }

  void Append(size_t octets);     // that were written into its room
  void TakeFront(size_t octets);  // that were consumed
};
static_assert(BufferPool::kBulkBlockSize <= UINT16_MAX && BufferPool::kBlockSize <= UINT16_MAX);
static_assert(sizeof(Block) == 16);

// For what is to be sent: room behind what waits, at least `wanted` octets, and `best` if a block
// has to be taken and one so large can be had. Empty where there is no room now: the kernel must
// send first, or a block come back.
std::span<uint8_t> RoomIn(SideResources& resources, Block& block, size_t wanted, size_t best = 0);
// For what was received: the same, in the smallest block that has room. What waits moves to a
// larger one as it grows.
std::span<uint8_t> StashRoom(SideResources& resources, Block& block, size_t wanted,
                             size_t best = 0);
// A stash of this block may grow to so many octets without a large block.
uint32_t MostStashed(const Block& block);
void ReleaseBlock(SideResources& resources, Block& block);
// An idle session holds no block.
void ReleaseIfEmpty(SideResources& resources, Block& block);

}  // namespace starling
