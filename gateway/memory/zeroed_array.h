// A fixed array of plain numbers or structs, all of them 0 at first. What nobody has touched takes
// no memory.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace starling {

// A whole number that is -1, or the largest one, where its memory is zero: an index of nothing.
template <class Number>
class OrNothing {
 public:
  constexpr OrNothing(Number number = static_cast<Number>(-1))  // NOLINT: stands for the number
      : inverted_(static_cast<Number>(~number)) {}
  constexpr operator Number() const { return static_cast<Number>(~inverted_); }  // NOLINT: as above

 private:
  Number inverted_;
};

template <class T>
class ZeroedArray {
 public:
  static_assert(std::is_trivially_destructible_v<T>);

  // Throws std::bad_alloc. Nothing is written: the kernel gives zeros.
  explicit ZeroedArray(size_t count) : octets_(std::max<size_t>(count, 1) * sizeof(T)) {
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    void* const made =
        mmap(nullptr, octets_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) throw std::bad_alloc();
    items_ = static_cast<T*>(made);
  }
  ~ZeroedArray() { munmap(items_, octets_); }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;

  T& operator[](size_t index) { return items_[index]; }
  const T& operator[](size_t index) const { return items_[index]; }

 private:
  const size_t octets_;
  T* items_;
};

}  // namespace starling
