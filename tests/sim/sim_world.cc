#include "tests/sim/sim_world.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace starling::sim {
namespace {

World* current = nullptr;

}  // namespace

World::World(uint64_t seed) : rng_(seed), now_(MonoTime(std::chrono::hours(1))) {
  if (current != nullptr) std::abort();
  current = this;
}

World::~World() { current = nullptr; }

World& World::Current() {
  if (current == nullptr) std::abort();
  return *current;
}

void World::At(MonoTime when, std::function<void()> action) {
  events_.push({std::max(when, now_), sequence_++, std::move(action)});
}

void World::After(Duration delay, std::function<void()> action) {
  At(now_ + delay, std::move(action));
}

bool World::RunNext(MonoTime until) {
  if (events_.empty() || events_.top().when > until) {
    if (until != kNever) now_ = std::max(now_, until);
    return false;
  }
  now_ = std::max(now_, events_.top().when);
  const std::function<void()> action = std::move(const_cast<Event&>(events_.top()).action);
  events_.pop();
  action();
  return true;
}

void World::Trace(std::string_view what, int64_t a, int64_t b, int64_t c) {
  const auto mix = [this](uint64_t value) {
    trace_hash_ = (trace_hash_ ^ value) * 0x100000001b3;
    trace_hash_ ^= trace_hash_ >> 29;
  };
  for (const char ch : what) mix(static_cast<uint8_t>(ch));
  mix(static_cast<uint64_t>(a));
  mix(static_cast<uint64_t>(b));
  mix(static_cast<uint64_t>(c));
  mix(static_cast<uint64_t>(now_.time_since_epoch().count()));
  if (print_) {
    std::printf("%14.6f %.*s %lld %lld %lld\n",
                static_cast<double>(now_.time_since_epoch().count()) / 1e9 - 3600,
                static_cast<int>(what.size()), what.data(), static_cast<long long>(a),
                static_cast<long long>(b), static_cast<long long>(c));
  }
}

void World::Fail(std::string message) {
  if (print_) std::printf("FAILURE: %s\n", message.c_str());
  // One cause can have many effects; the first reports suffice.
  if (failures_.size() < 20) failures_.push_back(std::move(message));
}

// --- Listening ---

int World::Listen(const SocketAddress& address, int backlog, bool reset_at_close) {
  const int os_fd = next_os_fd_++;
  listeners_[os_fd] = Listener{address, backlog, reset_at_close, false, {}, {}};
  by_address_[address.ToString()] = os_fd;
  return os_fd;
}

void World::CloseListener(int os_fd) {
  const auto found = listeners_.find(os_fd);
  if (found == listeners_.end()) return;
  // Nobody accepted the waiting connections: resets their clients.
  for (const SocketId id : found->second.waiting) Reset(id);
  by_address_.erase(found->second.address.ToString());
  listeners_.erase(found);
  ++changes_;
}

SocketId World::Accept(int os_fd) {
  Listener& listener = listeners_.at(os_fd);
  if (listener.waiting.empty()) return kNoSocket;
  const SocketId id = listener.waiting.front();
  listener.waiting.pop_front();
  ++changes_;
  return id;
}

SocketAddress World::FreshAddress(bool is_unix) {
  const uint16_t number = next_port_++;
  const std::string text =
      is_unix ? "unix:@sim-" + std::to_string(number) : "127.0.0.1:" + std::to_string(number);
  return *SocketAddress::Parse(text);
}

World::Listener* World::FindListener(const SocketAddress& address) {
  auto found = by_address_.find(address.ToString());
  if (found == by_address_.end() && address.family() == AF_INET) {
    found = by_address_.find("0.0.0.0:" + std::to_string(address.endpoint().port));
  }
  return found == by_address_.end() ? nullptr : &listeners_.at(found->second);
}

void World::WatchListener(int os_fd, std::function<void()> call) {
  listeners_.at(os_fd).watch = std::move(call);
}

void World::WakeListener(int os_fd) {
  ++changes_;
  Listener& listener = listeners_.at(os_fd);
  if (!listener.watch || listener.wake_queued) return;
  listener.wake_queued = true;
  After(WakeDelay(), [this, os_fd] {
    const auto found = listeners_.find(os_fd);
    if (found == listeners_.end()) return;
    found->second.wake_queued = false;
    const std::function<void()> call = found->second.watch;
    call();
  });
}

// --- Connections ---

Endpoint World::FreshEndpoint() {
  Endpoint endpoint;
  endpoint.family = Endpoint::Family::kV4;
  const uint32_t n = ++next_client_;
  endpoint.port = static_cast<uint16_t>(20'000 + n % 40'000);
  endpoint.ip = {198, 51, 100, static_cast<uint8_t>(1 + n / 40'000)};
  return endpoint;
}

SocketId World::NewSocket(bool is_unix) {
  Socket socket;
  socket.open = true;
  socket.is_unix = is_unix;
  socket.capacity = rng_.Between(faults_.min_capacity, faults_.max_capacity);
  sockets_.push_back(std::move(socket));
  return static_cast<SocketId>(sockets_.size() - 1);
}

int World::Connect(const SocketAddress& address, const Endpoint& from, SocketId* socket) {
  for (const std::string& hole : black_holes_) {
    if (hole == address.ToString()) return -EINPROGRESS;
  }
  Listener* listener = FindListener(address);
  if (listener == nullptr) return -ECONNREFUSED;
  if (listener->waiting.size() > static_cast<size_t>(listener->backlog)) {
    return address.is_unix() ? -EAGAIN : -EINPROGRESS;
  }
  const SocketId ours = NewSocket(address.is_unix());
  const SocketId theirs = NewSocket(address.is_unix());
  sockets_[ours].peer = theirs;
  sockets_[theirs].peer = ours;
  sockets_[theirs].reset_at_close = listener->reset_at_close;
  if (!address.is_unix()) {
    sockets_[ours].local = sockets_[theirs].remote = from;
    sockets_[ours].remote = sockets_[theirs].local = address.endpoint();
  }
  listener->waiting.push_back(theirs);
  WakeListener(by_address_.contains(address.ToString())
                   ? by_address_[address.ToString()]
                   : by_address_["0.0.0.0:" + std::to_string(address.endpoint().port)]);
  *socket = ours;
  return 0;
}

Duration World::WakeDelay() { return std::chrono::microseconds(rng_.Between(10, 300)); }

void World::Changed(SocketId id) {
  ++changes_;
  Socket& socket = sockets_[id];
  if (!socket.open || !socket.watch || socket.wake_queued) return;
  socket.wake_queued = true;
  After(WakeDelay(), [this, id] {
    Socket& woken = sockets_[id];
    woken.wake_queued = false;
    if (!woken.open || !woken.watch) return;
    const std::function<void()> call = woken.watch;  // the call may make sockets_ grow
    call();
  });
}

int World::SendError(Socket& socket) {
  if (socket.error != 0) return -std::exchange(socket.error, 0);
  return -EPIPE;
}

int World::Write(SocketId id, std::span<const uint8_t> data) {
  Socket& socket = sockets_[id];
  if (socket.shut || socket.dead || socket.error != 0) return SendError(socket);
  Socket& peer = sockets_[socket.peer];
  if (!peer.open && socket.is_unix) return -EPIPE;
  if (data.empty()) return 0;  // and nothing goes to the peer
  if (!peer.open) {
    // TCP takes the octets, and the other machine answers with a reset.
    const size_t size = data.size();
    socket.dead = true;
    socket.error = socket.ended ? EPIPE : ECONNRESET;
    Changed(id);
    return static_cast<int>(size);
  }
  const size_t size = std::min(data.size(), peer.Room());
  if (size == 0) return -EAGAIN;
  if (peer.head > 0 && peer.head == peer.rx.size()) {
    peer.rx.clear();
    peer.head = 0;
  }
  peer.rx.append(reinterpret_cast<const char*>(data.data()), size);
  socket.unacknowledged = true;
  peer.unacknowledged = false;
  Changed(socket.peer);
  return static_cast<int>(size);
}

int World::Read(SocketId id, std::span<uint8_t> into) {
  Socket& socket = sockets_[id];
  if (socket.Size() > 0) {
    const size_t size = std::min(into.size(), socket.Size());
    std::memcpy(into.data(), socket.rx.data() + socket.head, size);
    socket.head += size;
    if (socket.head == socket.rx.size()) {
      socket.rx.clear();
      socket.head = 0;
    } else if (socket.head > socket.capacity) {
      socket.rx.erase(0, socket.head);
      socket.head = 0;
    }
    if (socket.peer != kNoSocket) Changed(socket.peer);
    return static_cast<int>(size);
  }
  if (socket.ended) return 0;
  if (socket.error != 0) return -std::exchange(socket.error, 0);
  return socket.dead ? 0 : -EAGAIN;
}

int World::Peek(SocketId id) {
  if (sockets_[id].Size() > 0) return 1;
  return Read(id, {});
}

bool World::Readable(SocketId id) const {
  const Socket& socket = sockets_[id];
  return socket.Size() > 0 || socket.ended || socket.error != 0 || socket.dead;
}

bool World::Writable(SocketId id) const {
  const Socket& socket = sockets_[id];
  if (socket.shut || socket.dead || socket.error != 0) return true;
  const Socket& peer = sockets_[socket.peer];
  return !peer.open || peer.Room() > 0;
}

bool World::AtEnd(SocketId id) const { return sockets_[id].ended && sockets_[id].Size() == 0; }

int World::ShutdownWrite(SocketId id) {
  Socket& socket = sockets_[id];
  if (socket.dead) return -ENOTCONN;
  if (socket.shut) return 0;
  socket.shut = true;
  Socket& peer = sockets_[socket.peer];
  if (peer.open) {
    peer.ended = true;
    peer.unacknowledged = false;
    Changed(socket.peer);
  }
  return 0;
}

void World::ReceiveReset(SocketId id) {
  Socket& socket = sockets_[id];
  if (!socket.open || socket.dead) return;
  socket.dead = true;
  socket.error = socket.ended ? EPIPE : ECONNRESET;
  Changed(id);
}

void World::Close(SocketId id) {
  Socket& socket = sockets_[id];
  if (!socket.open) return;
  const bool both_ended = socket.shut && socket.ended;
  const bool resets = socket.Size() > 0 || (socket.reset_at_close && !both_ended);
  if (!resets && !socket.dead) ShutdownWrite(id);
  socket.open = false;
  socket.watch = nullptr;
  if (resets) {
    ReceiveReset(socket.peer);
  } else if (socket.is_unix && sockets_[socket.peer].open) {
    Changed(socket.peer);  // its next send fails with EPIPE
  }
  socket.rx.clear();
  socket.head = 0;
  ++changes_;
}

void World::Reset(SocketId id) {
  Socket& socket = sockets_[id];
  if (!socket.open) return;
  socket.open = false;
  socket.watch = nullptr;
  socket.rx.clear();
  socket.head = 0;
  ReceiveReset(socket.peer);
  ++changes_;
}

void World::Break(SocketId id) {
  const SocketId peer = sockets_[id].peer;
  sockets_[id].broken = sockets_[peer].broken = true;
  ReceiveReset(id);
  ReceiveReset(peer);
}

}  // namespace starling::sim
