#include "gateway/session/block.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace starling {
namespace {

BufferPool& PoolOf(SideResources& resources, BlockSize kind) {
  switch (kind) {
    case BlockSize::kTiny:
      return resources.tiny_pool;
    case BlockSize::kSmall:
      return resources.small_pool;
    case BlockSize::kFull:
      return resources.pool;
    case BlockSize::kBulk:
      break;
  }
  return resources.bulk_pool;
}

bool TakeBlock(SideResources& resources, BlockSize kind, Block& block) {
  block.data = PoolOf(resources, kind).Take();
  block.kind = kind;
  return block.data != nullptr;
}

// Takes a block if the side has none, one for `octets` if the pool has one so large.
// Returns false if the pool has reached its limit.
bool EnsureBlock(SideResources& resources, Block& block, size_t octets) {
  if (block.data != nullptr) return true;
  block = Block();
  if (octets > BufferPool::kBlockSize && TakeBlock(resources, BlockSize::kBulk, block)) return true;
  if (TakeBlock(resources, BlockSize::kFull, block)) return true;
  resources.out_of_blocks = true;
  return false;
}

// A block for `octets`, or at least for `needed`.
bool TakeStash(SideResources& resources, size_t needed, size_t octets, Block& block) {
  for (const BlockSize kind :
       {BlockSize::kTiny, BlockSize::kSmall, BlockSize::kFull, BlockSize::kBulk}) {
    const size_t size = kBlockSizes[static_cast<size_t>(kind)];
    if (size >= octets && TakeBlock(resources, kind, block)) return true;
  }
  // No large one could be had.
  return needed <= BufferPool::kBlockSize && octets > BufferPool::kBlockSize &&
         TakeBlock(resources, BlockSize::kFull, block);
}

// Moves what waits to a block that is large enough. Where none can be had it stays.
bool GrowStash(SideResources& resources, Block& block, size_t needed, size_t octets) {
  Block larger;
  if (!TakeStash(resources, needed, octets, larger)) {
    resources.out_of_blocks = true;
    return false;
  }
  if (block.data != nullptr) {
    std::memcpy(larger.data, block.data + block.begin, block.size());
    larger.Append(block.size());
    ReleaseBlock(resources, block);
  }
  block = larger;
  return true;
}

void MoveToFront(Block& block) {
  if (block.begin == 0) return;
  const uint32_t size = block.size();
  std::memmove(block.data, block.data + block.begin, size);
  block.begin = 0;
  block.end = static_cast<uint16_t>(size);
}

}  // namespace

uint64_t SideResources::OctetsOut() const {
  uint64_t octets = 0;
  for (const BufferPool* one : {&tiny_pool, &small_pool, &pool, &bulk_pool}) {
    octets += uint64_t{one->in_use()} * one->block_size();
  }
  return octets;
}

void Block::Append(size_t octets) {
  assert(end + octets <= capacity());
  end = static_cast<uint16_t>(end + octets);
}

void Block::TakeFront(size_t octets) {
  assert(octets <= size());
  begin = static_cast<uint16_t>(begin + octets);
}

std::span<uint8_t> RoomIn(SideResources& resources, Block& block, size_t wanted, size_t best) {
  if (!EnsureBlock(resources, block, std::max(wanted, best))) return {};
  if (block.capacity() - block.end < wanted && block.in_flight == 0) MoveToFront(block);
  if (block.capacity() - block.end < wanted) return {};
  return {block.data + block.end, block.capacity() - block.end};
}

std::span<uint8_t> StashRoom(SideResources& resources, Block& block, size_t wanted, size_t best) {
  const size_t needed = block.size() + wanted;
  if (block.data == nullptr || block.capacity() < needed) {
    const size_t octets = block.size() + std::max(wanted, best);
    if (!GrowStash(resources, block, needed, octets)) return {};
  } else if (block.capacity() - block.end < wanted) {
    MoveToFront(block);
  }
  return {block.data + block.end, block.capacity() - block.end};
}

uint32_t MostStashed(const Block& block) {
  return std::max(block.capacity(), static_cast<uint32_t>(BufferPool::kBlockSize));
}

void ReleaseBlock(SideResources& resources, Block& block) {
  if (block.data == nullptr) return;
  assert(block.in_flight == 0);
  PoolOf(resources, block.kind).Give(block.data);
  block = Block();
}

void ReleaseIfEmpty(SideResources& resources, Block& block) {
  if (block.data != nullptr && block.empty() && block.in_flight == 0) {
    ReleaseBlock(resources, block);
  }
}

}  // namespace starling
