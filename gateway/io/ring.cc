// The common part of all rings: tags, and the size of the table.
#include "gateway/io/ring.h"

namespace starling {
namespace {

constexpr int kOpShift = 57;
constexpr int kSideShift = 56;
constexpr int kSlotShift = 32;
constexpr uint64_t kSlotMask = (uint64_t{1} << 24) - 1;

static_assert(static_cast<unsigned>(Op::kCount) <= 64, "user_data above 127 << 56 is the ring's");

}  // namespace

uint64_t Pack(Tag tag) {
  return static_cast<uint64_t>(tag.op) << kOpShift | static_cast<uint64_t>(tag.side) << kSideShift |
         (tag.slot & kSlotMask) << kSlotShift | tag.generation;
}

Tag Unpack(uint64_t user_data) {
  Tag tag;
  tag.op = static_cast<Op>(user_data >> kOpShift);
  tag.side = static_cast<SocketSide>(user_data >> kSideShift & 1);
  tag.slot = static_cast<uint32_t>(user_data >> kSlotShift & kSlotMask);
  tag.generation = static_cast<uint32_t>(user_data);
  return tag;
}

uint64_t DescriptorTableSize(const RingOptions& options) {
  return 2 * uint64_t{options.sessions} + options.listeners + options.accepts + kSpareDescriptors;
}

}  // namespace starling
