#include "gateway/io/uring/uring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gateway/io/listen_socket.h"
#include "gateway/io/socket_buffers.h"
#include "gateway/io/uring/make_uring.h"
#include "gateway/io/uring/uring_compat.h"
#include "gateway/io/uring/uring_probe.h"
#include "gateway/io/uring/uring_setup.h"

namespace starling::uring {
namespace {

constexpr uint32_t kMaxSlots = 1u << 24;

const char* NameOf(uint8_t operation) {
  switch (operation) {
    case IORING_OP_ACCEPT:
      return "ACCEPT";
    case IORING_OP_SOCKET:
      return "SOCKET";
    case IORING_OP_CONNECT:
      return "CONNECT";
    case IORING_OP_SEND:
      return "SEND";
    case IORING_OP_RECV:
      return "RECV";
    case IORING_OP_ASYNC_CANCEL:
      return "ASYNC_CANCEL";
    case IORING_OP_SHUTDOWN:
      return "SHUTDOWN";
    case IORING_OP_CLOSE:
      return "CLOSE";
    case IORING_OP_READ:
      return "READ";
    case IORING_OP_FILES_UPDATE:
      return "FILES_UPDATE";
    case IORING_OP_URING_CMD:
      return "URING_CMD";
    case kOpFixedFdInstall:
      return "FIXED_FD_INSTALL";
    default:
      return nullptr;
  }
}

}  // namespace

void Die(const char* what, int error) {
  fprintf(stderr, "starling: io_uring: %s: %s\n", what, strerror(error));
  abort();
}

UringRing::UringRing(const RingOptions& options, const RingFeatures& features)
    : options_(options),
      features_(features),
      states_(2 * size_t{options.sessions}),
      openings_(options.sessions) {
  accepts_.resize(options.accepts);
  for (uint32_t i = options.accepts; i > 0; --i) free_accepts_.push_back(i - 1);
  listeners_.resize(options.listeners);
  held_.reserve(16);
  at_once_.reserve(16);
}

UringRing::~UringRing() {
  if (queue_made_) {
    // The index belongs to the thread, and ends with it.
    if (ring_index_ >= 0 && owner_ == std::this_thread::get_id()) {
      UnregisterRingDescriptor(&queue_, ring_index_);
    }
    io_uring_queue_exit(&queue_);
  }
  auto close_if_open = [](int fd) {
    if (fd >= 0) close(fd);
  };
  close_if_open(event_fd_);
  for (uint32_t i = 0; i < options_.sessions; ++i) {
    if (openings_[i].begun) close_if_open(openings_[i].os_fd);
  }
  for (const Accept& accept : accepts_) close_if_open(accept.os_fd);
  for (const Listener& listener : listeners_) close_if_open(listener.os_fd);
}

absl::Status UringRing::Init() {
  const uint32_t wanted = CompletionEntries(options_);
  int error = SetUpQueues(SubmissionEntries(options_), wanted, &features_.defer_taskrun, &queue_);
  if (error != 0) return LimitError("cannot make the queues", -error, wanted);
  queue_made_ = true;

  const uint32_t wake = options_.sessions + options_.listeners;
  const auto table = static_cast<uint32_t>(DescriptorTableSize(options_));
  error = RegisterTable(&queue_, table, wake + 1);
  if (error != 0) return LimitError("cannot make the descriptor table", -error, table);
  // Blocking, so that a read waits in the ring until somebody writes.
  event_fd_ = eventfd(0, EFD_CLOEXEC);
  if (event_fd_ < 0) return LimitError("cannot make the wake event", errno, 1);
  error = io_uring_register_files_update(&queue_, wake, &event_fd_, 1);
  if (error != 1) return LimitError("cannot put the wake event into the table", -error, 1);
  error = RegisterRestrictions(&queue_, features_);
  if (error != 0) {
    return absl::InternalError(
        absl::StrCat("io_uring: cannot register restrictions: ", strerror(-error)));
  }
  return absl::OkStatus();
}

absl::Status UringRing::Start() {
  owner_ = std::this_thread::get_id();
  // A thread has 16 of these. Without one, calls are only slower.
  ring_index_ = RegisterRingDescriptor(&queue_);
  for (BufferGroup group : {BufferGroup::kSmall, BufferGroup::kLarge}) {
    const bool small = group == BufferGroup::kSmall;
    const auto index = static_cast<uint16_t>(group);
    absl::Status status =
        buffers_[index].Register(&queue_, index, index * kIdsPerGroup,
                                 small ? options_.small_buffers : options_.large_buffers,
                                 small ? options_.small_buffer_size : options_.large_buffer_size);
    if (!status.ok()) return status;
  }
  if (int error = Enable(&queue_); error != 0) {
    return absl::InternalError(
        absl::StrCat("io_uring: cannot enable the ring: ", strerror(-error)));
  }
  RequestWake();
  return absl::OkStatus();
}

absl::StatusOr<Fd> UringRing::AddListener(int os_fd, bool want_local) {
  auto free = std::find_if(listeners_.begin(), listeners_.end(),
                           [](const Listener& listener) { return !listener.used; });
  if (free == listeners_.end()) {
    close(os_fd);
    return absl::ResourceExhaustedError(
        absl::StrCat("a worker can have at most ", options_.listeners, " listening sockets"));
  }
  *free = Listener();
  const SocketAddress bound = LocalAddress(os_fd);
  free->look_up_local = want_local && bound.is_wildcard();
  if (!bound.is_wildcard()) free->local = bound.endpoint();
  const uint32_t index = free - listeners_.begin();
  const Fd fd = static_cast<Fd>(options_.sessions + index);
  if (owner_ == std::thread::id()) {
    const int result = io_uring_register_files_update(&queue_, fd, &os_fd, 1);
    close(os_fd);
    if (result != 1) return LimitError("cannot put a listening socket into the table", -result, 1);
  } else {
    // The kernel reads the descriptor when the request is submitted; its completion
    // closes the OS descriptor.
    free->os_fd = os_fd;
    io_uring_sqe* sqe =
        Request(IORING_OP_FILES_UPDATE, -1, 0, StepData(Step::kListenerTable, index));
    sqe->addr = reinterpret_cast<uint64_t>(&free->os_fd);
    sqe->len = 1;
    sqe->off = fd;
  }
  free->used = true;
  ++in_use_;
  return fd;
}

DataListener UringRing::AddDataListener(const Endpoint& address, uint16_t first, uint16_t last,
                                        uint32_t* cursor) {
  const DataSocket socket = ListenForData(address, first, last, cursor);
  if (socket.error != 0) return {};
  SetBuffers(socket.os_fd, options_.buffers);
  const absl::StatusOr<Fd> fd = AddListener(socket.os_fd, /*want_local=*/false);
  if (!fd.ok()) return {};
  return {.fd = *fd, .port = socket.port};
}

void UringRing::Wake() {
  const uint64_t one = 1;
  // Cannot fail: a write blocks only above a count of 2^64 - 2.
  [[maybe_unused]] ssize_t written = write(event_fd_, &one, sizeof(one));
}

uint32_t UringRing::BuffersOut() const { return buffers_[0].out() + buffers_[1].out(); }

std::vector<std::pair<std::string, uint64_t>> UringRing::OperationCounts() const {
  std::vector<std::pair<std::string, uint64_t>> counts;
  for (size_t i = 0; i < counts_.size(); ++i) {
    const char* name = NameOf(static_cast<uint8_t>(i));
    if (name != nullptr) counts.emplace_back(name, counts_[i]);
  }
  counts.emplace_back("enter", enters_);
  counts.emplace_back("enter_min_wait", min_waits_);
  counts.emplace_back("setup_defer_taskrun", (queue_.flags & IORING_SETUP_DEFER_TASKRUN) != 0);
  counts.emplace_back("completion_overflow", overflows_);
  return counts;
}

uint64_t RingMemory(const RingOptions& options) {
  const uint64_t submissions = SubmissionEntries(options);
  const uint64_t completions = CompletionEntries(options);
  constexpr uint64_t kSubmission = 64 + 4;  // octets of an entry and of its index
  constexpr uint64_t kCompletion = 16;
  constexpr uint64_t kBuffer = 16;
  return submissions * kSubmission + completions * kCompletion +
         (uint64_t{options.small_buffers} + options.large_buffers) * kBuffer;
}

std::string LibraryVersion() {
#ifdef IO_URING_VERSION_MAJOR
  return absl::StrCat("liburing ", IO_URING_VERSION_MAJOR, ".", IO_URING_VERSION_MINOR);
#else
  return "liburing 2.3";  // the last version without these macros
#endif
}

absl::StatusOr<std::unique_ptr<Ring>> MakeUring(const RingOptions& options) {
  if (options.sessions == 0 || options.sessions >= kMaxSlots || options.accepts == 0) {
    return absl::InvalidArgumentError("io_uring: a ring needs sessions (below 2^24) and accepts");
  }
  const RingProbe probe = ProbeRing();
  if (probe.unavailable != RingUnavailable::kNo) return absl::UnavailableError(probe.message);
  const absl::StatusOr<RingFeatures> features = probe.features.Only(options.features);
  if (!features.ok()) return features.status();
  auto ring = std::make_unique<UringRing>(options, *features);
  absl::Status status = ring->Init();
  if (!status.ok()) return status;
  return ring;
}

}  // namespace starling::uring
