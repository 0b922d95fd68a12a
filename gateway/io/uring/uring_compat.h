// Parts of the kernel's io_uring interface that Debian's liburing 2.3 lacks. The names
// are the kernel's in this project's style, so that they do not clash with a newer
// liburing.h. The layout is ABI and never changes.
#pragma once

#include <liburing.h>

#include <cstdint>

namespace starling::uring {

// Operations (enum io_uring_op).
inline constexpr uint8_t kOpFixedFdInstall = 54;  // IORING_OP_FIXED_FD_INSTALL, 6.8

// URING_CMD on a socket (enum io_uring_socket_op), 6.7.
inline constexpr uint32_t kSocketSetsockopt = 3;  // SOCKET_URING_OP_SETSOCKOPT

// Feature bits (struct io_uring_params).
inline constexpr uint32_t kFeatMinTimeout = 1u << 15;  // IORING_FEAT_MIN_TIMEOUT, 6.12

// struct io_uring_getevents_arg with the field that Linux 6.12 added in place of padding.
struct GeteventsArg {
  uint64_t sigmask;
  uint32_t sigmask_size;
  uint32_t min_wait_usec;
  uint64_t timeout;
};
static_assert(sizeof(GeteventsArg) == sizeof(io_uring_getevents_arg));

// Sets the fields for setsockopt by URING_CMD, which are in unions of the request: level
// and optname in `addr`, optlen in `file_index`, optval in `addr3`.
inline void SetSocketOption(io_uring_sqe* sqe, uint32_t level, uint32_t name, const int* value) {
  sqe->cmd_op = kSocketSetsockopt;
  sqe->addr = static_cast<uint64_t>(name) << 32 | level;
  sqe->file_index = sizeof(*value);
  sqe->addr3 = reinterpret_cast<uint64_t>(value);
}

}  // namespace starling::uring
