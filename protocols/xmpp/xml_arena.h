// Memory for expat inside a session's own storage: first fit in one fixed array,
// neighbours joined when they are free. A full arena says no, which expat reports
// as XML_ERROR_NO_MEMORY.
//
// Not for: anything but expat; a few dozen blocks at a time are expected.
#pragma once

#include <expat.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocols/xmpp/limits.h"

namespace starling {

class XmlArena {
 public:
  // Expat's functions for memory get no context, so the arena that they mean is
  // named by thread for as long as one of these lives.
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

  // Octets up to the end of the last block, with what is free between.
  size_t used() const { return used_; }
  // Forgets all blocks and what was in them.
  void Wipe();

 private:
  struct Head {
    uint32_t size;  // of the block behind it; a multiple of its alignment
    bool is_free;
  };
  static constexpr size_t kAlign = alignof(std::max_align_t);
  static constexpr size_t kHeadSize = kAlign;
  static_assert(sizeof(Head) <= kHeadSize);

  Head* At(size_t offset);
  Head* HeadOf(void* block);
  size_t Begin(const Head* head) const;
  size_t End(const Head* head) const;
  // Joins the free blocks behind `head` to it.
  void Join(Head* head);
  void Split(Head* head, size_t size);

  size_t used_ = 0;
  size_t first_free_ = 0;  // a block's begin or the end; no block before it is free
  // Not set to anything: a session pays for what its parser touches.
  alignas(kAlign) std::array<uint8_t, kXmlMemory> memory_;
};

}  // namespace starling
