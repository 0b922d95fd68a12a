// A fixed array of atomic numbers, all of them 0 at first. What nobody has touched takes no memory.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <new>

namespace starling {

template <class Number, size_t kCount>
class ZeroedArray {
 public:
  using Cell = std::atomic<Number>;
  static_assert(Cell::is_always_lock_free);

  // Not touched: the kernel gives zeros.
  ZeroedArray() {
    void* const made =
        mmap(nullptr, kOctets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) throw std::bad_alloc();
    cells_ = static_cast<Cell*>(made);
  }
  ~ZeroedArray() { munmap(cells_, kOctets); }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;

  Cell& At(size_t index) { return cells_[index]; }
  const Cell& At(size_t index) const { return cells_[index]; }

 private:
  static constexpr size_t kOctets = kCount * sizeof(Cell);
  Cell* cells_;
};

}  // namespace starling
