#include "gateway/io/epoll/receive_buffers.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace starling::epoll {

ReceiveBuffers::~ReceiveBuffers() {
  if (memory_ != nullptr) munmap(memory_, static_cast<size_t>(count_) * size_);
}

absl::Status ReceiveBuffers::Make(BufferId first_id, uint32_t count, uint32_t size) {
  if (count == 0) return absl::OkStatus();
  // The pages are there from the start: what is denied later would end the process.
  void* memory = mmap(nullptr, static_cast<size_t>(count) * size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("epoll: cannot allocate ", count, " receive buffers of ", size, " octets"));
  }
  first_id_ = first_id;
  count_ = count;
  size_ = size;
  memory_ = static_cast<uint8_t*>(memory);
  out_.resize(count);
  free_.reserve(count);
  for (uint32_t i = count; i > 0; --i) free_.push_back(i - 1);
  return absl::OkStatus();
}

BufferId ReceiveBuffers::Take() {
  const uint32_t index = free_.back();
  free_.pop_back();
  out_[index] = true;
  return first_id_ + static_cast<BufferId>(index);
}

uint32_t ReceiveBuffers::IndexOf(BufferId id) const {
  const auto index = static_cast<uint32_t>(id - first_id_);
  if (index >= count_ || !out_[index]) {
    fprintf(stderr, "starling: a receive buffer was used that was not out\n");
    abort();
  }
  return index;
}

std::span<uint8_t> ReceiveBuffers::At(BufferId id) { return Memory(IndexOf(id)); }

void ReceiveBuffers::Return(BufferId id) {
  const uint32_t index = IndexOf(id);
  out_[index] = false;
  free_.push_back(index);
}

}  // namespace starling::epoll
