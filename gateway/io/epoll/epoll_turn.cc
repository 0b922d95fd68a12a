// Waits for events, and runs the operations that can run.
#include <algorithm>
#include <cerrno>

#include "gateway/io/epoll/epoll.h"

namespace starling::epoll {
namespace {

// After so many rounds without a completion Turn() returns, so that its caller can look at the
// clock.
constexpr int kMaxRounds = 64;
constexpr uint64_t kWakeData = UINT32_MAX;

}  // namespace

void EpollRing::List(Fd fd, Entry& entry) {
  if (entry.listed) return;
  entry.listed = true;
  list_.push_back(fd);
}

void EpollRing::RunList(std::vector<Completion>& out) {
  running_.swap(list_);
  for (const Fd fd : running_) Run(fd, out);
  running_.clear();
}

// Each operation ends at most once in a turn, however ready its socket is. So busy connections
// cannot hold up listening sockets.
void EpollRing::Run(Fd fd, std::vector<Completion>& out) {
  Entry& entry = At(fd);
  entry.listed = false;
  switch (entry.state) {
    case State::kFree:
      return;
    case State::kListener:
      if (entry.readable) RunAccepts(fd, entry, out);
      return;
    case State::kConnecting:
    case State::kHeader:
      if (entry.writable) RunOpen(fd, entry, out);
      return;
    case State::kOpen:
      if ((entry.armed & kSending) != 0 && entry.writable) RunSend(fd, entry, out);
      if ((entry.armed & kReceiving) != 0 && entry.readable) RunReceive(fd, entry, out);
  }
}

int EpollRing::WaitForEvents(MonoTime deadline) {
  Count(Call::kWait);
  const bool forever = deadline == kNever;
  std::chrono::nanoseconds left{0};
  if (!forever && deadline != MonoTime::min()) {
    const MonoTime now = MonotonicNow();
    if (deadline > now) left = deadline - now;
  }
  const auto size = static_cast<int>(events_.size());
  if (precise_wait_) {
    const timespec timeout{.tv_sec = left.count() / 1'000'000'000,
                           .tv_nsec = left.count() % 1'000'000'000};
    return epoll_pwait2(epoll_fd_, events_.data(), size, forever ? nullptr : &timeout, nullptr);
  }
  // Rounds up: the time must have come when the wait ends.
  constexpr std::chrono::milliseconds kAtMost{3'600'000};
  const auto millis = std::min(std::chrono::ceil<std::chrono::milliseconds>(left), kAtMost);
  return epoll_wait(epoll_fd_, events_.data(), size,
                    forever ? -1 : static_cast<int>(millis.count()));
}

void EpollRing::Poll(MonoTime deadline, std::vector<Completion>& out) {
  const int count = WaitForEvents(deadline);
  if (count < 0 && errno != EINTR) Die("waiting", errno);
  for (int i = 0; i < count; ++i) Note(events_[static_cast<size_t>(i)], out);
}

void EpollRing::Note(const epoll_event& event, std::vector<Completion>& out) {
  if (event.data.u64 == kWakeData) {
    out.push_back({.tag = {.op = Op::kWake}});
    return;
  }
  const auto fd = static_cast<Fd>(event.data.u64);
  Entry& entry = At(fd);
  if (entry.generation != event.data.u64 >> 32) return;
  constexpr uint32_t kBroken = EPOLLHUP | EPOLLERR;
  constexpr uint32_t kUneven = kBroken | EPOLLRDHUP | EPOLLPRI;
  if (event.events & (EPOLLIN | kUneven)) entry.readable = true;
  if (event.events & (EPOLLOUT | kBroken)) entry.writable = true;
  if (event.events & kUneven) entry.uneven = true;
  if (entry.armed != 0 || entry.state == State::kListener) List(fd, entry);
}

// What was asked for comes first. If that gave completions, the turn asks for no events: the next
// one will, and the caller has something to do until then. So a message in and a message out take
// one wait, not two.
void EpollRing::Turn(MonoTime deadline, std::vector<Completion>& out) {
  const size_t before = out.size();
  out.insert(out.end(), at_once_.begin(), at_once_.end());
  at_once_.clear();
  RunList(out);
  const bool any = out.size() > before;
  if (any && !unpolled_) {
    unpolled_ = true;
    return;
  }
  unpolled_ = false;
  if (any) deadline = MonoTime::min();
  for (int round = 0; round < kMaxRounds; ++round) {
    Poll(deadline, out);
    RunList(out);
    if (out.size() > before || deadline == MonoTime::min() || MonotonicNow() >= deadline) return;
  }
}

}  // namespace starling::epoll
