#include "tests/sim/wire.h"

#include <algorithm>
#include <cerrno>

namespace starling::sim {

void Wire::StartTls(TlsContext& context) {
  tls_ = std::make_unique<TestServer>(context);
  tls_->input = std::exchange(in, {});
  Open();
}

void Wire::Seal() {
  if (tls_ == nullptr) return;
  if (tls_->connected() && !plain_.empty()) tls_->Write(std::exchange(plain_, {}));
  if (tls_->connected() && shutdown_wanted_ && !std::exchange(closed_, true)) tls_->CloseNotify();
  out_ += std::exchange(tls_->output, {});
}

void Wire::Open() {
  switch (tls_->Step()) {
    case TlsResult::kClosed:
      ended_ = true;
      break;
    case TlsResult::kFailed:
      failed_ = ended_ = true;
      break;
    default:
      break;
  }
  in += std::exchange(tls_->received, {});
  Flush();
}

void Wire::Flush() {
  Seal();
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
  if (failed_) {
    done = out_.size();
    plain_.clear();
  }
  out_.erase(0, done);
  if (shutdown_wanted_ && flushed() && !shut_ && open()) {
    shut_ = true;
    world_.ShutdownWrite(socket_);
  }
}

void Wire::ShutdownWhenFlushed() {
  shutdown_wanted_ = true;
  Flush();
}

void Wire::TruncateWhenFlushed() {
  closed_ = true;
  ShutdownWhenFlushed();
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
      failed_ = tls_ != nullptr;
      ended_ = true;
      return false;
    }
    std::string& into = tls_ == nullptr ? in : tls_->input;
    into.append(reinterpret_cast<const char*>(memory), static_cast<size_t>(size));
    if (tls_ != nullptr) Open();
    max -= static_cast<size_t>(size);
  }
  return !ended_ && world_.Readable(socket_);
}

}  // namespace starling::sim
