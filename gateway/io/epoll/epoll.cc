#include "gateway/io/epoll/epoll.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace starling::epoll {
namespace {

// A BufferId's group is its highest bit, as in io_uring, which has 16 bits for both.
constexpr BufferId kIdsPerGroup = 32768;
// About as many as there are small receive buffers.
constexpr size_t kEvents = 128;
constexpr size_t kFewCompletions = 64;

constexpr const char* kCallNames[] = {"ACCEPT",  "SOCKET",   "CONNECT", "SEND",      "RECV",
                                      "SOCKOPT", "SHUTDOWN", "CLOSE",   "EPOLL_CTL", "EPOLL_WAIT"};

absl::Status Failed(const char* what) {
  const int error = errno;
  std::string message = absl::StrCat("epoll: ", what, ": ", strerror(error));
  if (error == EMFILE) {
    absl::StrAppend(&message,
                    "; raise the limit of open files (ulimit -n, LimitNOFILE=) or lower the limit "
                    "of sessions");
  }
  return absl::ResourceExhaustedError(message);
}

}  // namespace

void Die(const char* what, int error) {
  fprintf(stderr, "starling: epoll: %s: %s\n", what, strerror(error));
  abort();
}

EpollRing::EpollRing(const RingOptions& options) : options_(options) {
  static_assert(std::size(kCallNames) == static_cast<size_t>(Call::kCount));
}

EpollRing::~EpollRing() {
  for (const Entry& entry : table_) {
    if (entry.os_fd >= 0) close(entry.os_fd);
  }
  if (event_fd_ >= 0) close(event_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

absl::Status EpollRing::Init(bool precise_wait) {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return Failed("cannot make an epoll instance");
  event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd_ < 0) return Failed("cannot make the wake event");
  // Each write is an event of its own, so nobody needs to read the count.
  epoll_event wake{.events = EPOLLIN | EPOLLET, .data = {.u64 = UINT32_MAX}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_fd_, &wake) != 0) {
    return Failed("cannot register the wake event");
  }
  for (const BufferGroup group : {BufferGroup::kSmall, BufferGroup::kLarge}) {
    const bool small = group == BufferGroup::kSmall;
    const absl::Status made = buffers_[static_cast<size_t>(group)].Make(
        static_cast<BufferId>(group) * kIdsPerGroup,
        small ? options_.small_buffers : options_.large_buffers,
        small ? options_.small_buffer_size : options_.large_buffer_size);
    if (!made.ok()) return made;
  }
  events_.resize(kEvents);
  // Linux 5.11 has it, but some sandboxes do not, whatever the kernel.
  const timespec none{};
  precise_wait_ = precise_wait && epoll_pwait2(epoll_fd_, events_.data(), 1, &none, nullptr) >= 0;

  const auto size = static_cast<Fd>(DescriptorTableSize(options_));
  const auto first_listener = static_cast<Fd>(options_.sessions);
  const Fd first_accepted = first_listener + static_cast<Fd>(options_.listeners);
  table_.resize(static_cast<size_t>(size));
  listeners_.resize(options_.listeners);
  for (Fd fd = first_accepted; fd > first_listener; --fd) free_listeners_.push_back(fd - 1);
  free_accepted_.reserve(static_cast<size_t>(size - first_accepted));
  for (Fd fd = size; fd > first_accepted; --fd) free_accepted_.push_back(fd - 1);
  accepts_.resize(options_.accepts);
  for (uint32_t i = options_.accepts; i > 0; --i) {
    accepts_[i - 1].next = std::exchange(free_accept_, i - 1);
  }
  list_.reserve(static_cast<size_t>(size));
  running_.reserve(static_cast<size_t>(size));
  at_once_.reserve(kFewCompletions);
  return absl::OkStatus();
}

void EpollRing::Fill(Fd fd, int os_fd, State state, bool is_unix) {
  Entry& entry = At(fd);
  const Entry before = entry;
  entry = Entry{.os_fd = os_fd,
                .generation = before.generation + 1,
                .state = state,
                .is_unix = is_unix,
                .listed = before.listed};
  ++in_use_;
}

void EpollRing::Release(Fd fd) {
  Entry& entry = At(fd);
  // Closing ends the registration, unless another descriptor stands for the same socket, as with
  // listening sockets.
  if (entry.state == State::kListener) {
    Count(Call::kControl);
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, entry.os_fd, nullptr);
    free_listeners_.push_back(fd);
  } else if (fd >= static_cast<Fd>(options_.sessions)) {
    free_accepted_.push_back(fd);
  }
  Count(Call::kClose);
  close(entry.os_fd);
  entry.os_fd = -1;
  entry.state = State::kFree;
  entry.armed = 0;
  --in_use_;
}

// A Unix socket tells of room to send each time when its peer has read something, whether anybody
// waits for it or not. So it is asked for that only when a send has had to wait.
int EpollRing::Watch(Fd fd, Entry& entry) {
  const bool out = !entry.is_unix || ((entry.armed & kSending) != 0 && !entry.writable);
  if (entry.watched && (entry.watched_out || !out)) return 0;
  epoll_event event{.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET,
                    .data = {.u64 = uint64_t{entry.generation} << 32 | static_cast<uint32_t>(fd)}};
  if (entry.state == State::kListener) {
    event.events = EPOLLIN | EPOLLET;
  } else if (out) {
    event.events |= EPOLLOUT;
  }
  Count(Call::kControl);
  const int operation = entry.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll_fd_, operation, entry.os_fd, &event) != 0) return errno;
  entry.watched = true;
  entry.watched_out = out;
  return 0;
}

std::span<uint8_t> EpollRing::Buffer(BufferId id) {
  return buffers_[static_cast<size_t>(id / kIdsPerGroup)].At(id);
}

void EpollRing::ReturnBuffer(BufferId id) {
  buffers_[static_cast<size_t>(id / kIdsPerGroup)].Return(id);
}

void EpollRing::Wake() {
  const uint64_t one = 1;
  // Cannot fail: a write blocks only above a count of 2^64 - 2.
  [[maybe_unused]] const ssize_t written = write(event_fd_, &one, sizeof(one));
}

std::vector<std::pair<std::string, uint64_t>> EpollRing::OperationCounts() const {
  std::vector<std::pair<std::string, uint64_t>> counts;
  counts.reserve(counts_.size());
  for (size_t i = 0; i < counts_.size(); ++i) counts.emplace_back(kCallNames[i], counts_[i]);
  return counts;
}

}  // namespace starling::epoll
