// Edge-triggered epoll for one thread.
#pragma once

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace starling::bench {

class Poller {
 public:
  Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Poller() { close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Watches both directions until the descriptor is closed.
  void Add(int fd, uint64_t tag) { Control(EPOLL_CTL_ADD, fd, tag, kInput | EPOLLOUT); }
  // Watches input only. On a Unix socket each read by the peer wakes a process that waits
  // for room, and that costs the peer, the server under test, CPU time.
  void AddInput(int fd, uint64_t tag) { Control(EPOLL_CTL_ADD, fd, tag, kInput); }
  // Watches both directions from now on. Call after AddInput().
  void AddOutput(int fd, uint64_t tag) { Control(EPOLL_CTL_MOD, fd, tag, kInput | EPOLLOUT); }

  // Waits for `seconds` (negative: for ever) and calls ready(tag, ended) for each ready
  // descriptor. `ended` means that the end of data or an error follows the octets, so the
  // caller must read until it sees that. A tag may come once more after its descriptor
  // was closed in the same call.
  template <typename Ready>
  void Wait(double seconds, Ready ready) {
    epoll_event events[128];
    timespec time{.tv_sec = static_cast<time_t>(seconds)};
    time.tv_nsec = static_cast<long>((seconds - static_cast<double>(time.tv_sec)) * 1e9);
    const int count = epoll_pwait2(fd_, events, 128, seconds < 0 ? nullptr : &time, nullptr);
    if (count < 0 && errno != EINTR) {
      std::perror("epoll_pwait2");
      std::abort();
    }
    for (int i = 0; i < count; ++i) {
      const bool ended = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      ready(events[i].data.u64, ended);
    }
  }

 private:
  static constexpr uint32_t kInput = EPOLLIN | EPOLLRDHUP | EPOLLET;

  void Control(int operation, int fd, uint64_t tag, uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = tag}};
    if (epoll_ctl(fd_, operation, fd, &event) == 0) return;
    std::perror("epoll_ctl");
    std::abort();
  }

  int fd_;
};

}  // namespace starling::bench
