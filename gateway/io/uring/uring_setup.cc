#include "gateway/io/uring/uring_setup.h"

#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/io/uring/uring_compat.h"

namespace starling::uring {
namespace {

// io_uring_register returns -1 and sets errno in some versions of liburing, and returns a
// negative errno in others.
int Register(io_uring* queue, unsigned operation, const void* argument, unsigned count) {
  const int result = io_uring_register(queue->ring_fd, operation, argument, count);
  return result == -1 ? -errno : result;
}

std::string Limit(int resource) {
  rlimit limit{};
  getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit.rlim_cur);
}

}  // namespace

uint32_t SubmissionEntries(const RingOptions& options) {
  return std::bit_ceil(std::clamp(options.sessions, 64u, 1024u));
}

uint32_t CompletionEntries(const RingOptions& options) {
  const uint32_t wanted = std::bit_ceil(std::clamp(2 * options.sessions, 512u, 16384u));
  return std::max(wanted, 4 * SubmissionEntries(options));
}

int SetUpQueues(uint32_t submissions, uint32_t completions, bool* defer_taskrun, io_uring* queue) {
  constexpr uint32_t kAlways =
      IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
  const uint32_t kSteps[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                             IORING_SETUP_COOP_TASKRUN, 0};
  int result = -EINVAL;
  for (size_t step = *defer_taskrun ? 0 : 1; step < std::size(kSteps); ++step) {
    io_uring_params params{};
    params.flags = kAlways | kSteps[step];
    params.cq_entries = completions;
    result = io_uring_queue_init_params(submissions, queue, &params);
    *defer_taskrun = step == 0 && result == 0;
    if (result != -EINVAL) break;
  }
  if (result != 0) return result;
  // Submits requests in the order in which they are written.
  for (uint32_t i = 0; i < queue->sq.ring_entries; ++i) queue->sq.array[i] = i;
  return 0;
}

int RegisterTable(io_uring* queue, uint32_t size, uint32_t first) {
  const int result = io_uring_register_files_sparse(queue, size);
  if (result != 0) return result;
  return io_uring_register_file_alloc_range(queue, first, size - first);
}

int RegisterRestrictions(io_uring* queue, const RingFeatures& features) {
  std::vector<io_uring_restriction> list;
  auto allow = [&list](uint16_t kind, uint8_t value) {
    io_uring_restriction restriction{};
    restriction.opcode = kind;
    restriction.sqe_op = value;  // a union of three one-octet fields
    list.push_back(restriction);
  };
  for (uint8_t operation : {IORING_OP_ACCEPT, IORING_OP_SOCKET, IORING_OP_CONNECT, IORING_OP_SEND,
                            IORING_OP_RECV, IORING_OP_ASYNC_CANCEL, IORING_OP_SHUTDOWN,
                            IORING_OP_CLOSE, IORING_OP_READ, IORING_OP_FILES_UPDATE}) {
    allow(IORING_RESTRICTION_SQE_OP, operation);
  }
  if (features.socket_options) allow(IORING_RESTRICTION_SQE_OP, IORING_OP_URING_CMD);
  if (features.fixed_fd_install) allow(IORING_RESTRICTION_SQE_OP, kOpFixedFdInstall);
  allow(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT |
                                                  IOSQE_IO_LINK | IOSQE_IO_HARDLINK |
                                                  IOSQE_CQE_SKIP_SUCCESS);
  // The only later registration is to return the ring's own descriptor at the end.
  // FILES_UPDATE puts descriptors into the table.
  allow(IORING_RESTRICTION_REGISTER_OP, IORING_UNREGISTER_RING_FDS);
  return Register(queue, IORING_REGISTER_RESTRICTIONS, list.data(), list.size());
}

int RegisterRingDescriptor(io_uring* queue) {
  io_uring_rsrc_update update{};
  update.offset = ~0u;  // any
  update.data = static_cast<uint64_t>(queue->ring_fd);
  const int result = Register(queue, IORING_REGISTER_RING_FDS, &update, 1);
  return result == 1 ? static_cast<int>(update.offset) : (result < 0 ? result : -EBUSY);
}

void UnregisterRingDescriptor(io_uring* queue, int index) {
  io_uring_rsrc_update update{};
  update.offset = index;
  Register(queue, IORING_UNREGISTER_RING_FDS, &update, 1);
}

int Enable(io_uring* queue) { return Register(queue, IORING_REGISTER_ENABLE_RINGS, nullptr, 0); }

absl::Status LimitError(const std::string& what, int error, uint64_t entries) {
  std::string message =
      absl::StrCat("io_uring: ", what, " (", entries, " entries): ", strerror(error));
  switch (error) {
    case EMFILE:
      // Memory is not short: with epoll, the limit would be in the way as well.
      absl::StrAppend(&message, "; the limit of open files (RLIMIT_NOFILE), ", Limit(RLIMIT_NOFILE),
                      ", also limits the descriptor table of a worker: raise it (ulimit -n, ",
                      "LimitNOFILE=) or lower the limit of sessions");
      break;
    case ENOMEM:
    case EAGAIN:
      absl::StrAppend(&message, "; locked memory is limited to ", Limit(RLIMIT_MEMLOCK),
                      " octets (RLIMIT_MEMLOCK): raise it (ulimit -l, LimitMEMLOCK=), or the ",
                      "memory limit of the container, or lower the limit of sessions");
      break;
    default:
      break;
  }
  return error == EMFILE ? absl::FailedPreconditionError(message)
                         : absl::ResourceExhaustedError(message);
}

}  // namespace starling::uring
