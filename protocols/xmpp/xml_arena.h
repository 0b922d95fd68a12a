// Memory for expat inside a session's own storage: first fit in one fixed array. Free
// neighbours become one block. A full arena returns null, which expat reports as
// XML_ERROR_NO_MEMORY.
//
// Not for: anything but expat, which uses a few dozen blocks at a time.
#pragma once

#include <expat.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocols/xmpp/limits.h"

namespace starling {

class XmlArena {
 public:
  // Expat's memory functions get no context. As long as an object of this class lives, the
  // thread's calls go to its arena.
  class Use {
   public:
    explicit Use(XmlArena& arena);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };
  static const XML_Memory_Handling_Suite kSuite;

  void* Allocate(size_t size);
  void* Resize(void* block, size_t size);
  void Release(void* block);

  // Octets up to the end of the last block, including free ones in between.
  size_t used() const { return used_; }
  // Frees all blocks and overwrites their contents.
  void Wipe();

 private:
  struct Head {
    uint32_t size;  // of the block after it; a multiple of its alignment
    bool is_free;
  };
  static constexpr size_t kAlign = alignof(std::max_align_t);
  static constexpr size_t kHeadSize = kAlign;
  static_assert(sizeof(Head) <= kHeadSize);

  Head* At(size_t offset);
  Head* HeadOf(void* block);
  size_t Begin(const Head* head) const;
  size_t End(const Head* head) const;
  // Joins the free blocks after `head` to it.
  void Join(Head* head);
  void Split(Head* head, size_t size);

  size_t used_ = 0;
  size_t first_free_ = 0;  // the beginning of a block, or the end; no block before it is free
  // Not initialized, so that a session touches only the memory that its parser uses.
  alignas(kAlign) std::array<uint8_t, kXmlMemory> memory_;
};

}  // namespace starling
