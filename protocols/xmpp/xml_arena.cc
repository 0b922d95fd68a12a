#include "protocols/xmpp/xml_arena.h"

#include <algorithm>
#include <cstring>

namespace starling {

namespace {

thread_local constinit XmlArena* current = nullptr;

void* AllocateInCurrent(size_t size) { return current->Allocate(size); }
void* ResizeInCurrent(void* block, size_t size) { return current->Resize(block, size); }
void ReleaseInCurrent(void* block) { current->Release(block); }

}  // namespace

XmlArena::Use::Use(XmlArena& arena) { current = &arena; }
XmlArena::Use::~Use() { current = nullptr; }

const XML_Memory_Handling_Suite XmlArena::kSuite = {AllocateInCurrent, ResizeInCurrent,
                                                    ReleaseInCurrent};

XmlArena::Head* XmlArena::At(size_t offset) {
  return reinterpret_cast<Head*>(memory_.data() + offset);
}

XmlArena::Head* XmlArena::HeadOf(void* block) {
  return reinterpret_cast<Head*>(static_cast<uint8_t*>(block) - kHeadSize);
}

size_t XmlArena::Begin(const Head* head) const {
  return static_cast<size_t>(reinterpret_cast<const uint8_t*>(head) - memory_.data());
}

size_t XmlArena::End(const Head* head) const { return Begin(head) + kHeadSize + head->size; }

void XmlArena::Join(Head* head) {
  while (End(head) < used_ && At(End(head))->is_free) {
    head->size += static_cast<uint32_t>(kHeadSize) + At(End(head))->size;
  }
}

void XmlArena::Split(Head* head, size_t size) {
  if (head->size < size + kHeadSize + kAlign) return;
  const size_t end = End(head);
  head->size = static_cast<uint32_t>(size);
  Head* rest = At(End(head));
  rest->is_free = true;
  rest->size = static_cast<uint32_t>(end - End(head) - kHeadSize);
}

void* XmlArena::Allocate(size_t size) {
  if (size > memory_.size()) return nullptr;
  size = (std::max<size_t>(size, 1) + kAlign - 1) / kAlign * kAlign;
  bool is_first = true;
  for (size_t offset = first_free_; offset < used_; offset = End(At(offset))) {
    Head* head = At(offset);
    if (!head->is_free) continue;
    Join(head);
    if (is_first) first_free_ = offset;
    is_first = false;
    if (End(head) == used_) {  // the last block joins the unused room after it
      used_ = offset;
      break;
    }
    if (head->size < size) continue;
    Split(head, size);
    head->is_free = false;
    return memory_.data() + offset + kHeadSize;
  }
  if (is_first) first_free_ = used_;
  if (memory_.size() - used_ < kHeadSize + size) return nullptr;
  Head* head = At(used_);
  head->size = static_cast<uint32_t>(size);
  head->is_free = false;
  void* block = memory_.data() + used_ + kHeadSize;
  used_ = End(head);
  return block;
}

void* XmlArena::Resize(void* block, size_t size) {
  if (block == nullptr) return Allocate(size);
  Head* head = HeadOf(block);
  const size_t had = head->size;
  if (size <= had) return block;
  // Grows in place if the next block is free.
  Join(head);
  first_free_ = std::min(first_free_, Begin(head));
  if (size <= head->size) {
    Split(head, (size + kAlign - 1) / kAlign * kAlign);
    return block;
  }
  if (End(head) == used_ && size <= memory_.size() - (used_ - head->size)) {
    head->size = static_cast<uint32_t>((size + kAlign - 1) / kAlign * kAlign);
    used_ = End(head);
    return block;
  }
  void* larger = Allocate(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, had);
  Release(block);
  return larger;
}

void XmlArena::Release(void* block) {
  if (block == nullptr) return;
  Head* head = HeadOf(block);
  head->is_free = true;
  Join(head);
  if (End(head) == used_) used_ = Begin(head);
  first_free_ = std::min(first_free_, Begin(head));
}

void XmlArena::Wipe() {
  std::fill_n(memory_.begin(), used_, uint8_t{0});
  used_ = first_free_ = 0;
}

}  // namespace starling
