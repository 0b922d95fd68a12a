// Executes a ring's requests on the simulated network, as the kernel would.
#include <algorithm>
#include <cerrno>

#include "tests/sim/sim_ring.h"

namespace starling::sim {

MonoTime SimRing::ReadyTime(Entry& entry) {
  MonoTime ready = world_.now();
  if (world_.rng().Chance(world_.faults().delay)) {
    ready += std::chrono::microseconds(world_.rng().Below(world_.faults().max_delay_us + 1));
  }
  entry.last_ready = std::max(entry.last_ready, ready);
  return entry.last_ready;
}

void SimRing::Finish(Request& request, int32_t result, bool frees) {
  Completion completion;
  completion.result = result;
  Finish(request, completion, frees);
}

void SimRing::Finish(Request& request, Completion completion, bool frees) {
  request.finished = true;
  completion.tag = request.tag;
  Done done;
  done.ready = ReadyTime(At(request.fd));
  done.completion = completion;
  done.kind = request.kind;
  done.fd = request.fd;
  done.data = request.data;
  done.data_hash = request.data_hash;
  done.frees = frees;
  // The completion of a close may come before those of the operations that it ended.
  if (request.kind == Kind::kClose && world_.rng().Chance(world_.faults().delay)) {
    done.ready = world_.now();
  }
  const auto after =
      std::upper_bound(done_.begin(), done_.end(), done.ready,
                       [](MonoTime ready, const Done& other) { return ready < other.ready; });
  done_.insert(after, std::move(done));
}

void SimRing::Poll() {
  while (asked_ || seen_changes_ != world_.changes()) {
    asked_ = false;
    seen_changes_ = world_.changes();
    for (Request& request : requests_) {
      if (!request.finished) Try(request);
      request.tried = true;
    }
    std::erase_if(requests_, [](const Request& request) { return request.finished; });
  }
}

void SimRing::Try(Request& request) {
  Entry& entry = At(request.fd);
  switch (request.kind) {
    case Kind::kAccept:
      return TryAccept(request);
    case Kind::kOpen:
      return TryOpen(request);
    case Kind::kRecv:
      return TryRecv(request);
    case Kind::kSend:
      return TrySend(request);
    case Kind::kPeek:
      return Finish(request, world_.Peek(entry.socket));
    case Kind::kShutdown:
      return Finish(request, world_.ShutdownWrite(entry.socket));
    case Kind::kCancel:
      Abort(request.fd);
      return Finish(request, 0);
    case Kind::kClose:
      Abort(request.fd);
      if (entry.socket != kNoSocket) world_.Close(std::exchange(entry.socket, kNoSocket));
      return Finish(request, 0);
    case Kind::kCount:
      return;
  }
}

void SimRing::TryAccept(Request& request) {
  Entry& listener = At(request.fd);
  const SocketId socket = world_.Accept(listener.os_fd);
  if (socket == kNoSocket) return;
  if (world_.rng().Chance(world_.faults().accept_error)) {
    world_.Reset(socket);
    return Finish(request, -ECONNABORTED);
  }
  const Fd fd = FreeAcceptIndex();
  if (fd == kNoFd) {
    // The accept took the client from the backlog, so the client sees the end.
    world_.Close(socket);
    return Finish(request, -ENFILE);
  }
  At(fd).state = Entry::State::kOpen;
  At(fd).socket = socket;
  Completion completion;
  completion.result = fd;
  completion.peer = world_.PeerOf(socket);
  if (listener.want_local) completion.local = world_.LocalOf(socket);
  Finish(request, completion);
}

void SimRing::TryOpen(Request& request) {
  Entry& entry = At(request.fd);
  if (entry.socket == kNoSocket) {
    Endpoint from;
    from.family = Endpoint::Family::kV4;
    from.ip = {127, 0, 0, 1};
    if (request.source.family != Endpoint::Family::kNone) from = request.source;
    from.port = next_port_;
    const int result = world_.Connect(*request.address, from, &entry.socket);
    if (result == -EINPROGRESS) return;
    if (result != 0) return Finish(request, result, true);
    if (request.data_channel) world_.ResetAtClose(entry.socket);
    ++next_port_;
  }
  MaybeBreak(entry.socket);
  while (request.sent < request.data.size()) {
    const int written = world_.Write(entry.socket, request.data.subspan(request.sent));
    if (written == -EAGAIN) return;
    if (written < 0) {
      world_.Close(std::exchange(entry.socket, kNoSocket));
      return Finish(request, written, true);
    }
    request.sent += static_cast<size_t>(written);
  }
  Completion completion;
  if (request.want_local) completion.local = world_.LocalOf(entry.socket);
  Finish(request, completion);
}

void SimRing::TryRecv(Request& request) {
  Entry& entry = At(request.fd);
  std::deque<BufferId>& free = free_buffers_[static_cast<size_t>(request.group)];
  const bool readable = world_.Readable(entry.socket);
  // The kernel chooses a buffer before it looks for octets.
  if (free.empty() && (readable || !request.tried)) return Finish(request, -ENOBUFS);
  if (!readable) return;
  MaybeBreak(entry.socket);
  const BufferId id = free.front();
  std::span<uint8_t> into = Memory(id);
  into = into.first(std::min<size_t>(into.size(), request.max));
  if (into.size() > 1 && world_.rng().Chance(world_.faults().short_receive)) {
    into = into.first(world_.rng().Between(1, into.size()));
  }
  Completion completion;
  completion.result = world_.Read(entry.socket, into);
  if (completion.result == -EAGAIN) return;
  if (completion.result > 0) {
    free.pop_front();
    buffer_out_[static_cast<size_t>(id)] = true;
    ++buffers_out_;
    completion.buffer = id;
    completion.more = world_.Waiting(entry.socket) > 0;
  }
  Finish(request, completion);
}

// As with MSG_WAITALL: sends everything unless an error occurs; the next send then
// reports the error.
void SimRing::TrySend(Request& request) {
  Entry& entry = At(request.fd);
  if (request.data.empty()) return Finish(request, world_.Write(entry.socket, {}));
  if (world_.Writable(entry.socket)) MaybeBreak(entry.socket);
  while (request.sent < request.data.size()) {
    std::span<const uint8_t> rest = request.data.subspan(request.sent);
    if (request.partial) rest = rest.first(world_.rng().Between(1, rest.size()));
    const int written = world_.Write(entry.socket, rest);
    if (written == -EAGAIN) return;
    if (written < 0) {
      const int32_t result = request.sent > 0 ? static_cast<int32_t>(request.sent) : written;
      return Finish(request, result);
    }
    request.sent += static_cast<size_t>(written);
    if (request.partial) break;
  }
  Finish(request, static_cast<int32_t>(request.sent));
}

void SimRing::MaybeBreak(SocketId socket) {
  if (world_.rng().Chance(world_.faults().break_connection)) world_.Break(socket);
}

void SimRing::Abort(Fd fd) {
  for (Request& request : requests_) {
    if (request.fd != fd || request.finished) continue;
    switch (request.kind) {
      case Kind::kCancel:
      case Kind::kClose:
        break;
      case Kind::kSend:
        Finish(request, request.sent > 0 ? static_cast<int32_t>(request.sent) : -ECANCELED);
        break;
      case Kind::kOpen:
        if (At(fd).socket != kNoSocket) world_.Close(std::exchange(At(fd).socket, kNoSocket));
        Finish(request, -ECANCELED, true);
        break;
      default:
        Finish(request, -ECANCELED);
        break;
    }
  }
}

Fd SimRing::FreeAcceptIndex() const {
  for (size_t fd = options_.sessions; fd < table_.size() - kMostListeners; ++fd) {
    if (table_[fd].state == Entry::State::kFree) return static_cast<Fd>(fd);
  }
  return kNoFd;
}

}  // namespace starling::sim
