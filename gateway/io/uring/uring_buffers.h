// A group of receive buffers from which the kernel takes (a provided buffer ring), first
// in, first out.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace starling::uring {

class BufferRing {
 public:
  BufferRing() = default;
  // Destroy it only after the ring that it is registered with.
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  // `count` is a power of two up to 32768, or 0 for no group. The kernel will call the
  // buffers first_id, first_id + 1 ...
  absl::Status Register(io_uring* queue, uint16_t group, uint32_t first_id, uint32_t count,
                        uint32_t size);

  uint32_t size() const { return size_; }
  uint32_t out() const { return out_; }
  std::span<uint8_t> At(uint32_t id) {
    return {memory_ + static_cast<size_t>(id - first_id_) * size_, size_};
  }
  // Call when the kernel has filled a buffer.
  void Taken() { ++out_; }
  void Return(uint32_t id);

 private:
  void Post(uint32_t id);

  uint32_t first_id_ = 0;
  uint32_t count_ = 0;
  uint32_t size_ = 0;
  uint32_t out_ = 0;
  uint16_t tail_ = 0;
  io_uring_buf_ring* ring_ = nullptr;
  uint8_t* memory_ = nullptr;
};

}  // namespace starling::uring
