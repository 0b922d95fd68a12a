#include "tests/sim/wire.h"

#include <algorithm>
#include <cerrno>

namespace starling::sim {

void Wire::Flush() {
  size_t done = 0;
  while (open() && !failed_ && done < out_.size()) {
    const std::span<const uint8_t> rest(reinterpret_cast<const uint8_t*>(out_.data()) + done,
                                        out_.size() - done);
    const int written = world_.Write(socket_, rest);
    if (written == -EAGAIN) break;
    if (written < 0) {
      failed_ = true;
      break;
    }
    done += static_cast<size_t>(written);
  }
  if (failed_) done = out_.size();
  out_.erase(0, done);
  if (shutdown_wanted_ && out_.empty() && !shut_ && open()) {
    shut_ = true;
    world_.ShutdownWrite(socket_);
  }
}

void Wire::ShutdownWhenFlushed() {
  shutdown_wanted_ = true;
  Flush();
}

bool Wire::Receive(size_t max) {
  if (!open()) return false;
  uint8_t memory[4096];
  while (max > 0 && !ended_) {
    const int size = world_.Read(socket_, std::span(memory).first(std::min(sizeof memory, max)));
    if (size == -EAGAIN) return false;
    if (size < 0) {
      failed_ = ended_ = true;
      return false;
    }
    if (size == 0) {
      ended_ = true;
      return false;
    }
    in.append(reinterpret_cast<const char*>(memory), static_cast<size_t>(size));
    max -= static_cast<size_t>(size);
  }
  return !ended_ && world_.Readable(socket_);
}

}  // namespace starling::sim
