#include "gateway/io/uring/uring_buffers.h"

#include <sys/mman.h>

#include <bit>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "gateway/io/uring/uring_setup.h"

namespace starling::uring {
namespace {

void* Map(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

BufferRing::~BufferRing() {
  if (ring_ != nullptr) munmap(ring_, count_ * sizeof(io_uring_buf));
  if (memory_ != nullptr) munmap(memory_, static_cast<size_t>(count_) * size_);
}

absl::Status BufferRing::Register(io_uring* queue, uint16_t group, uint32_t first_id,
                                  uint32_t count, uint32_t size) {
  if (count == 0) return absl::OkStatus();
  if (!std::has_single_bit(count) || count > 32768 || size == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("io_uring: ", count, " receive buffers of ", size,
                     " octets; their number must be a power of two up to 32768"));
  }
  first_id_ = first_id;
  count_ = count;
  size_ = size;
  ring_ = static_cast<io_uring_buf_ring*>(Map(count * sizeof(io_uring_buf)));
  memory_ = static_cast<uint8_t*>(Map(static_cast<size_t>(count) * size));
  if (ring_ == nullptr || memory_ == nullptr) {
    return LimitError("cannot allocate the receive buffers", ENOMEM, count);
  }
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(ring_);
  registration.ring_entries = count;
  registration.bgid = group;
  const int result = io_uring_register_buf_ring(queue, &registration, 0);
  if (result != 0) return LimitError("cannot register the receive buffers", -result, count);
  for (uint32_t i = 0; i < count; ++i) Post(first_id + i);
  return absl::OkStatus();
}

void BufferRing::Post(uint32_t id) {
  io_uring_buf* entry = &ring_->bufs[tail_ & (count_ - 1)];
  // Sets the fields one by one, because the last field of entry 0 is the ring's tail.
  entry->addr = reinterpret_cast<uint64_t>(At(id).data());
  entry->len = size_;
  entry->bid = static_cast<uint16_t>(id);
  io_uring_smp_store_release(&ring_->tail, ++tail_);
}

void BufferRing::Return(uint32_t id) {
  if (id - first_id_ >= count_ || out_ == 0) {
    fprintf(stderr, "starling: a receive buffer was returned that was not out\n");
    abort();
  }
  --out_;
  Post(id);
}

}  // namespace starling::uring
