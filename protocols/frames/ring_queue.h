// A bounded queue in place, for the replies that a dialogue is owed. A caller can look at,
// remove or insert an entry anywhere.
//
// Not for: more than a few dozen entries, since moving one moves all entries before it.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace starling {

template <class T, size_t kCapacity>
class RingQueue {
 public:
  static_assert(kCapacity > 0 && kCapacity <= UINT8_MAX);

  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == kCapacity; }
  size_t size() const { return size_; }

  // 0 is the head.
  T& operator[](size_t i) { return entries_[Index(i)]; }
  const T& operator[](size_t i) const { return entries_[Index(i)]; }
  const T& head() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1u]; }

  void Push(const T& entry) {
    assert(!full());
    ++size_;
    back() = entry;
  }
  void Remove(size_t i) {
    assert(i < size_);
    for (; i > 0; --i) (*this)[i] = (*this)[i - 1];
    head_ = static_cast<uint8_t>((head_ + 1u) % kCapacity);
    --size_;
  }
  // Puts a copy of entry `i` before it.
  void Double(size_t i) {
    assert(i < size_);
    Push(back());
    for (size_t later = size_ - 1u; later > i; --later) (*this)[later] = (*this)[later - 1];
  }
  void Clear() { size_ = 0; }

 private:
  size_t Index(size_t i) const { return (head_ + i) % kCapacity; }

  std::array<T, kCapacity> entries_{};
  uint8_t head_ = 0;
  uint8_t size_ = 0;
};

}  // namespace starling
