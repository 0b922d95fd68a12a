// Writes lines to a descriptor without ever waiting for its reader. Lines that the
// descriptor does not take stay in a bounded buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/limits.h"

namespace starling {

// One thread. That thread blocks SIGPIPE.
class FdWriter {
 public:
  // `fd` stays the caller's and outlives the writer. A pipe or terminal is
  // opened anew, so that O_NONBLOCK does not reach the other users of the same
  // open file; where that is not allowed, it is asked by poll before each write
  // of at most PIPE_BUF octets, which then does not wait either, unless another
  // process fills the same pipe at the same time. `may_reopen` false is for tests
  // of that case.
  explicit FdWriter(int fd, bool may_reopen = true);
  ~FdWriter();
  FdWriter(const FdWriter&) = delete;
  FdWriter& operator=(const FdWriter&) = delete;

  // Appends to what is to be written: whole lines with their ends, before the next Write().
  // Write until !full() before more.
  void Append(std::string_view lines) {
    if (torn_) buffer_ += '\n';
    torn_ = false;
    buffer_ += lines;
  }
  bool full() const { return buffer_.size() - sent_ >= kMaxLogBuffer; }
  bool empty() const { return sent_ == buffer_.size(); }

  // Writes as much as is taken at once. False: not all; wait for fd() to be
  // writable. What an error refuses (EPIPE, ENOSPC, EFBIG) is dropped.
  bool Write();
  int fd() const { return fd_; }

  // Lines dropped so far.
  uint64_t lost() const { return lost_; }
  // Drops what is left.
  void Drop();

 private:
  enum class Kind : uint8_t { kFile, kNonBlocking, kAsk, kSocket };

  long WriteOnce(std::string_view octets) const;  // as write(2)

  int fd_;
  Kind kind_ = Kind::kFile;
  bool owned_ = false;
  std::string buffer_;
  size_t sent_ = 0;
  char last_ = '\n';   // of the octets written
  bool torn_ = false;  // an error cut a line off: the next one begins a line of its own
  uint64_t lost_ = 0;
};

}  // namespace starling
