#include "gateway/worker/listening_sockets.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

namespace starling {
namespace {

// The pause after an accept that failed because descriptors or memory were short.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

void ListeningSockets::Serve(Socket& socket, WorkerListener* listener) {
  if (listener != nullptr) listener->owner->Ref();
  if (socket.listener != nullptr) socket.listener->owner->Unref();
  socket.listener = listener;
}

void ListeningSockets::Open(const Held& held, WorkerConfig& config) {
  auto place = std::ranges::find_if(
      sockets_, [](const Socket& socket) { return socket.fd == kNoFd && socket.armed == 0; });
  if (place == sockets_.end()) place = sockets_.emplace(sockets_.end());
  *place = Socket();
  place->fd = held.fd;
  place->address = held.address;
  Serve(*place, &config.listener(held.listener));
}

absl::Status ListeningSockets::Hold(const std::vector<NewSocket>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    const absl::StatusOr<Fd> fd =
        ctx_.ring->AddListener(wanted[i].os_fd, wanted[i].address.is_wildcard());
    if (!fd.ok()) {
      // The ring has closed the one that it has no place for.
      for (const NewSocket& rest : std::span(wanted).subspan(i + 1)) close(rest.os_fd);
      GiveUpHeld();
      return fd.status();
    }
    held_.push_back({*fd, wanted[i].listener, wanted[i].address});
  }
  return absl::OkStatus();
}

void ListeningSockets::GiveUpHeld() {
  for (const Held& socket : held_) ctx_.ring->RemoveListener(socket.fd);
  held_.clear();
}

void ListeningSockets::ServeHeld(WorkerConfig& config) {
  for (const Held& socket : held_) Open(socket, config);
  held_.clear();
}

void ListeningSockets::Switch(WorkerConfig& next) {
  const std::vector<ListenerConfig>& listeners = next.config().listeners;
  for (Socket& socket : sockets_) {
    if (socket.fd == kNoFd) continue;
    const auto bound = std::ranges::find_if(listeners, [&](const ListenerConfig& listener) {
      return std::ranges::find(listener.bind, socket.address) != listener.bind.end();
    });
    socket.removed = bound == listeners.end();
    if (!socket.removed) {
      Serve(socket, &next.listener(static_cast<uint32_t>(bound - listeners.begin())));
    }
  }
}

std::optional<Newcomer> ListeningSockets::Accepted(const Completion& completion) {
  Socket& socket = sockets_[completion.tag.slot];
  --socket.armed;
  --ctx_.armed_accepts;
  const int32_t fd = completion.result;
  if (fd >= 0) {
    return Newcomer{
        .listener = socket.listener,
        .fd = fd,
        .peer = completion.peer,
        .local = socket.address.is_wildcard() ? completion.local : socket.address.endpoint()};
  }
  if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
    accept_at_ = ctx_.now + kAcceptPause;
    ctx_.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kDescriptors));
  }
  return std::nullopt;
}

void ListeningSockets::Arm(size_t waiting) {
  if (stopping_ || ctx_.now < accept_at_) return;
  // A full table is no reason to let clients wait in a backlog, where a quiet one stands behind
  // those of a flood. One a socket in each round, so that none goes without.
  for (uint32_t round = 0; round < ctx_.limits.armed_accepts; ++round) {
    for (uint32_t i = 0; i < sockets_.size(); ++i) {
      Socket& socket = sockets_[i];
      if (socket.fd == kNoFd || socket.stopped || socket.armed > round) continue;
      // Those that were accepted hold descriptors of the same number.
      if (ctx_.armed_accepts + waiting >= most_armed_) return;
      ++socket.armed;
      ++ctx_.armed_accepts;
      ctx_.ring->ArmAccept(socket.fd, Tag{Op::kAccept, i, 0});
    }
  }
}

void ListeningSockets::Stop(Socket& socket) {
  if (socket.fd == kNoFd || socket.stopped) return;
  socket.stopped = true;
  ++closing_;
  ctx_.ring->CancelAccepts(socket.fd);
}

void ListeningSockets::StopAll() {
  if (stopping_) return;
  stopping_ = true;
  accept_at_ = {};
  for (Socket& socket : sockets_) Stop(socket);
}

void ListeningSockets::StopRemoved() {
  for (Socket& socket : sockets_) {
    if (socket.removed) Stop(socket);
  }
}

void ListeningSockets::CloseStopped() {
  close_pending_ = false;
  if (closing_ == 0) return;
  for (Socket& socket : sockets_) {
    if (socket.close_asked) {
      Serve(socket, nullptr);
      socket = Socket();
      --closing_;
    } else if (socket.stopped && socket.armed == 0) {
      ctx_.ring->RemoveListener(socket.fd);
      socket.close_asked = close_pending_ = true;
    }
  }
}

bool ListeningSockets::none() const {
  return std::ranges::all_of(sockets_, [](const Socket& socket) { return socket.fd == kNoFd; });
}

uint32_t ListeningSockets::removed() const {
  const auto removed =
      std::ranges::count_if(sockets_, [](const Socket& socket) { return socket.removed; });
  return static_cast<uint32_t>(removed);
}

}  // namespace starling
