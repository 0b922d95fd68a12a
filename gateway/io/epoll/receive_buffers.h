// A group of receive buffers. The last one that came back is the first to be used again, since
// it is still in the processor's cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "gateway/io/ring.h"

namespace starling::epoll {

class ReceiveBuffers {
 public:
  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // `count` may be 0. The buffers will be called first_id, first_id + 1 ...
  absl::Status Make(BufferId first_id, uint32_t count, uint32_t size);

  uint32_t size() const { return size_; }
  uint32_t out() const { return count_ - static_cast<uint32_t>(free_.size()); }
  bool empty() const { return free_.empty(); }
  // The buffer that the next Take() gives out. Only if there is one.
  std::span<uint8_t> Next() { return Memory(free_.back()); }
  BufferId Take();
  std::span<uint8_t> At(BufferId id);
  void Return(BufferId id);

 private:
  std::span<uint8_t> Memory(uint32_t index) {
    return {memory_ + static_cast<size_t>(index) * size_, size_};
  }
  // Ends the process if the buffer is not out.
  uint32_t IndexOf(BufferId id) const;

  BufferId first_id_ = 0;
  uint32_t count_ = 0;
  uint32_t size_ = 0;
  uint8_t* memory_ = nullptr;
  std::vector<uint32_t> free_;
  std::vector<bool> out_;  // by index
};

}  // namespace starling::epoll
