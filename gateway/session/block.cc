#include "gateway/session/block.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace starling {
namespace {

// Takes a block if the side has none, one for `octets` if the pool has one so large.
// Returns false if the pool has reached its limit.
bool EnsureBlock(SideResources& resources, Block& block, size_t octets) {
  if (block.data != nullptr) return true;
  block = Block();
  if (octets > block.capacity()) {
    block.data = resources.bulk_pool.Take();
    block.bulk = block.data != nullptr;
  }
  if (block.data == nullptr) block.data = resources.pool.Take();
  if (block.data == nullptr) resources.out_of_blocks = true;
  return block.data != nullptr;
}

void MoveToFront(Block& block) {
  if (block.begin == 0) return;
  const uint32_t size = block.size();
  std::memmove(block.data, block.data + block.begin, size);
  block.begin = 0;
  block.end = static_cast<uint16_t>(size);
}

}  // namespace

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

void ReleaseBlock(SideResources& resources, Block& block) {
  if (block.data == nullptr) return;
  assert(block.in_flight == 0);
  (block.bulk ? resources.bulk_pool : resources.pool).Give(block.data);
  block = Block();
}

void ReleaseIfEmpty(SideResources& resources, Block& block) {
  if (block.data != nullptr && block.empty() && block.in_flight == 0) {
    ReleaseBlock(resources, block);
  }
}

}  // namespace starling
