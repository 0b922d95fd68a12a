// Writes requests. Each public function is an operation of ring.h and leads to one
// completion; uring_steps.cc does the steps in between.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "gateway/io/socket_buffers.h"
#include "gateway/io/uring/uring.h"
#include "gateway/io/uring/uring_compat.h"

namespace starling::uring {
namespace {

constexpr int kOn = 1;  // the value of socket options

template <typename T>
uint64_t Address(T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

}  // namespace

// Makes room for a whole chain first, because its requests must be submitted together.
void UringRing::Reserve(uint32_t requests) {
  while (queue_.sq.sqe_tail - io_uring_smp_load_acquire(queue_.sq.khead) + requests >
         queue_.sq.ring_entries) {
    Flush();
  }
}

io_uring_sqe* UringRing::Request(uint8_t operation, Fd fd, uint8_t flags, uint64_t user_data) {
  Reserve(1);
  io_uring_sqe* sqe = &queue_.sq.sqes[queue_.sq.sqe_tail++ & queue_.sq.ring_mask];
  memset(sqe, 0, sizeof(*sqe));
  sqe->opcode = operation;
  sqe->flags = flags;
  sqe->fd = fd;
  sqe->user_data = user_data;
  ++counts_[operation];
  return sqe;
}

UringRing::SideState& UringRing::StateOf(Tag tag) {
  if (tag.slot >= options_.sessions) Die("a slot beyond the number of sessions", EINVAL);
  return states_[2 * tag.slot + (tag.side == SocketSide::kOpened)];
}

void UringRing::Arm(Armed kind, Tag tag) {
  SideState& state = StateOf(tag);
  if (state.armed & kind) Die("an operation twice on a descriptor", EBUSY);
  state.armed |= kind;
}

void UringRing::RequestWake() {
  io_uring_sqe* sqe =
      Request(IORING_OP_READ, static_cast<Fd>(options_.sessions + options_.listeners),
              IOSQE_FIXED_FILE, StepData(Step::kWake, 0));
  sqe->addr = Address(&event_value_);
  sqe->len = sizeof(event_value_);
}

void UringRing::CancelAccepts(Fd listener) {
  io_uring_sqe* sqe =
      Request(IORING_OP_ASYNC_CANCEL, listener, IOSQE_CQE_SKIP_SUCCESS, StepData(Step::kUnseen, 0));
  sqe->cancel_flags =
      IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED;
}

void UringRing::RemoveListener(Fd listener) {
  --in_use_;
  RequestClose(listener, StepData(Step::kListenerClose, listener - options_.sessions));
}

void UringRing::Discard(Fd accepted) {
  --in_use_;
  Request(IORING_OP_CLOSE, 0, IOSQE_CQE_SKIP_SUCCESS, StepData(Step::kUnseen, 0))->file_index =
      accepted + 1;
}

void UringRing::ArmAccept(Fd listener, Tag tag) {
  if (free_accepts_.empty()) {
    at_once_.push_back({.tag = tag, .result = -EBUSY});
    return;
  }
  const uint32_t index = free_accepts_.back();
  free_accepts_.pop_back();
  Accept& accept = accepts_[index];
  const Listener& from = listeners_[listener - options_.sessions];
  accept.look_up_local = from.look_up_local;
  accept.tag = tag;
  accept.local = from.local;
  accept.peer = {};
  accept.length = sizeof(accept.peer);
  io_uring_sqe* sqe =
      Request(IORING_OP_ACCEPT, listener, IOSQE_FIXED_FILE, StepData(Step::kAccept, index));
  sqe->addr = Address(&accept.peer);
  sqe->addr2 = Address(&accept.length);
  if (from.look_up_local && !features_.fixed_fd_install) {
    sqe->accept_flags = SOCK_CLOEXEC;  // an ordinary socket, to query its local address
  } else {
    // Set directly: the helper in liburing 2.3 adds 1 to this value, which then means no
    // table entry.
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
  }
}

// Sockets in the table cannot be bound. Older kernels cannot set TCP_NODELAY on them or report
// their local address either.
bool UringRing::WantsOrdinarySocket(const SocketAddress& address, const Endpoint& source,
                                    bool want_local) const {
  return !address.is_unix() &&
         (source.family != Endpoint::Family::kNone || !features_.socket_options ||
          (want_local && !features_.fixed_fd_install));
}

bool UringRing::MakeOrdinarySocket(const SocketAddress& address, Opening* opening) {
  opening->os_fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (opening->os_fd < 0) return false;
  setsockopt(opening->os_fd, IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
  SetBuffers(opening->os_fd, options_.buffers);
  return true;
}

// Sets one option of a socket that a chain opens.
void UringRing::RequestOption(Fd fd, int level, int name, const int* value) {
  io_uring_sqe* sqe = Request(IORING_OP_URING_CMD, fd,
                              IOSQE_FIXED_FILE | IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS,
                              StepData(Step::kOpenOption, fd));
  SetSocketOption(sqe, level, name, value);
}

// The kernel reads the values when it runs the requests.
void UringRing::RequestTcpOptions(Fd fd) {
  RequestOption(fd, IPPROTO_TCP, TCP_NODELAY, &kOn);
  const SocketBuffers& buffers = options_.buffers;
  if (buffers.unsent != 0) RequestOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &buffers.unsent);
  if (buffers.send != 0) RequestOption(fd, SOL_SOCKET, SO_SNDBUF, &buffers.send);
  if (buffers.receive != 0) RequestOption(fd, SOL_SOCKET, SO_RCVBUF, &buffers.receive);
}

bool UringRing::MakeDataSocket(const SocketAddress& address, const Endpoint& source,
                               Opening* opening) {
  if (!MakeOrdinarySocket(address, opening)) return false;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(opening->os_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  return BindTo(source, opening);
}

bool UringRing::BindTo(const Endpoint& source, Opening* opening) {
  // Without this option, the bind would reserve a port for this connection alone.
  setsockopt(opening->os_fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &kOn, sizeof(kOn));
  Endpoint from = source;
  from.port = 0;
  const SocketAddress local = SocketAddress::From(from);
  if (bind(opening->os_fd, local.get(), local.length()) == 0) return true;
  const int error = errno;
  close(std::exchange(opening->os_fd, -1));
  errno = error;
  return false;
}

UringRing::Opening& UringRing::BeginOpening(Fd fd, Tag tag) {
  if (fd != static_cast<Fd>(tag.slot) || StateOf(tag).in_table) {
    Die("an upstream descriptor is not free", EEXIST);
  }
  Opening& opening = openings_[fd];
  opening = Opening{.begun = true, .tag = tag};
  return opening;
}

void UringRing::OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                             const Endpoint& source, bool want_local, Tag tag) {
  Opening& opening = BeginOpening(fd, tag);
  opening.want_local = want_local && !address.is_unix();
  if (WantsOrdinarySocket(address, source, opening.want_local)) {
    const bool bound = source.family != Endpoint::Family::kNone;
    if (!MakeOrdinarySocket(address, &opening) || (bound && !BindTo(source, &opening))) {
      at_once_.push_back({.tag = tag, .result = -errno});
      return;
    }
  }
  RequestOpening(fd, address, header);
}

// Makes an ordinary socket, because sockets in the table cannot get these options.
void UringRing::OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) {
  Opening& opening = BeginOpening(fd, tag);
  if (!MakeDataSocket(address, source, &opening)) {
    at_once_.push_back({.tag = tag, .result = -errno});
    return;
  }
  RequestOpening(fd, address, {});
}

void UringRing::RequestOpening(Fd fd, const SocketAddress& address,
                               std::span<const uint8_t> header) {
  Opening& opening = openings_[fd];
  opening.header = static_cast<int32_t>(header.size());
  Arm(kOpen, opening.tag);
  SideState& state = StateOf(opening.tag);
  state.in_table = true;
  state.connecting = true;
  state.cancelled = false;
  ++in_use_;

  // A failing member completes for the whole chain, and the kernel skips the rest. A hard
  // link lets the chain continue if the option cannot be set.
  constexpr uint8_t kNext = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  Reserve(7);
  if (opening.os_fd >= 0) {
    io_uring_sqe* sqe = Request(IORING_OP_FILES_UPDATE, -1, kNext, StepData(Step::kOpenSocket, fd));
    sqe->addr = Address(&opening.os_fd);
    sqe->len = 1;
    sqe->off = fd;
  } else {
    io_uring_sqe* sqe =
        Request(IORING_OP_SOCKET, address.family(), kNext, StepData(Step::kOpenSocket, fd));
    // Without SOCK_NONBLOCK a full Unix backlog would block a kernel thread.
    sqe->off = SOCK_STREAM | SOCK_NONBLOCK;
    sqe->file_index = fd + 1;
    if (!address.is_unix()) RequestTcpOptions(fd);
  }
  io_uring_sqe* sqe =
      Request(IORING_OP_CONNECT, fd, header.empty() ? IOSQE_FIXED_FILE : IOSQE_FIXED_FILE | kNext,
              StepData(Step::kOpenConnect, fd));
  sqe->addr = Address(address.get());
  sqe->off = address.length();
  if (header.empty()) return;
  sqe = Request(IORING_OP_SEND, fd, IOSQE_FIXED_FILE, StepData(Step::kOpenHeader, fd));
  sqe->addr = Address(header.data());
  sqe->len = header.size();
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
}

void UringRing::Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) {
  Arm(kRecv, tag);
  const uint32_t size = buffers_[static_cast<size_t>(group)].size();
  io_uring_sqe* sqe =
      Request(IORING_OP_RECV, fd, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT, Pack(tag));
  sqe->len = max < size ? max : size;
  sqe->buf_group = static_cast<uint16_t>(group);
}

void UringRing::Peek(Fd fd, Tag tag) {
  Arm(kPeek, tag);
  io_uring_sqe* sqe = Request(IORING_OP_RECV, fd, IOSQE_FIXED_FILE, Pack(tag));
  sqe->addr = Address(&peeked_);
  sqe->len = 1;
  sqe->msg_flags = MSG_PEEK | MSG_DONTWAIT;  // without MSG_DONTWAIT it would wait
}

void UringRing::Send(Fd fd, std::span<const uint8_t> data, Tag tag) {
  Arm(kSend, tag);
  io_uring_sqe* sqe = Request(IORING_OP_SEND, fd, IOSQE_FIXED_FILE, Pack(tag));
  sqe->addr = Address(data.data());
  sqe->len = data.size();
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
}

// The kernel runs SHUTDOWN in a thread of its own, which costs a worker more than
// everything else at a session's end. Installing an OS descriptor and calling shutdown(2)
// avoids that.
void UringRing::ShutdownWrite(Fd fd, Tag tag) {
  Arm(kShutdown, tag);
  if (!features_.fixed_fd_install) return RequestShutdown(fd, tag);
  SideState& state = StateOf(tag);
  state.shutting = fd;
  state.shutdown_of = tag.generation;
  RequestInstall(fd, Step::kShutdown, 2 * tag.slot + (tag.side == SocketSide::kOpened));
}

void UringRing::RequestShutdown(Fd fd, Tag tag) {
  Request(IORING_OP_SHUTDOWN, fd, IOSQE_FIXED_FILE, Pack(tag))->len = SHUT_WR;
}

// The kernel executes the request while it takes it, so no later close can overtake it.
// Installing an OS descriptor for setsockopt(2) would help no kernel, because that needs
// 6.8, and this 6.7.
void UringRing::Acknowledge(Fd fd) {
  if (!features_.socket_options) return;
  io_uring_sqe* sqe = Request(IORING_OP_URING_CMD, fd, IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS,
                              StepData(Step::kUnseen, 0));
  SetSocketOption(sqe, IPPROTO_TCP, TCP_QUICKACK, &kOn);
}

void UringRing::RequestCancel(uint64_t target, uint8_t flags, uint64_t user_data) {
  Request(IORING_OP_ASYNC_CANCEL, -1, flags, user_data)->addr = target;
}

// Cancels by user_data, which the kernel finds by hashing. To cancel by descriptor, it
// would walk over all armed operations (with 5000 armed receives, a cancel and close was
// 13 times as expensive). The list has only operations that can wait.
uint32_t UringRing::CancelTargets(Tag tag, std::array<uint64_t, 4>* targets) {
  const SideState& state = StateOf(tag);
  uint32_t count = 0;
  if (state.connecting) {
    (*targets)[count++] = StepData(Step::kOpenConnect, tag.slot);
    (*targets)[count++] = StepData(Step::kOpenHeader, tag.slot);
  }
  tag.op = Op::kRecv;
  if (state.armed & kRecv) (*targets)[count++] = Pack(tag);
  tag.op = Op::kSend;
  if (state.armed & kSend) (*targets)[count++] = Pack(tag);
  return count;
}

void UringRing::RequestCancels(std::span<const uint64_t> targets, Tag tag) {
  Reserve(targets.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    const bool last = i + 1 == targets.size();
    RequestCancel(targets[i], last ? 0 : IOSQE_CQE_SKIP_SUCCESS,
                  last ? Pack(tag) : StepData(Step::kUnseen, 0));
  }
}

void UringRing::Cancel(Fd, Tag tag) {
  SideState& state = StateOf(tag);
  state.cancelled = state.connecting;
  std::array<uint64_t, 4> targets;
  const uint32_t count = CancelTargets(tag, &targets);
  if (count > 0) {
    RequestCancels({targets.data(), count}, tag);
  } else if (state.armed != 0) {
    state.cancel_held = true;
    held_.push_back(tag);
  } else {
    at_once_.push_back({.tag = tag});
  }
}

void UringRing::CancelAndClose(Fd fd, Tag tag) {
  SideState& state = StateOf(tag);
  state.closing = true;
  std::array<uint64_t, 4> targets;
  const uint32_t count = CancelTargets(tag, &targets);
  constexpr uint8_t kThen = IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
  Reserve(count + 2);
  for (uint32_t i = 0; i < count; ++i) {
    RequestCancel(targets[i], kThen, StepData(Step::kUnseen, 0));
  }
  if (state.connecting) {
    // This ends a connect for which the cancel came too early. It runs in a kernel thread
    // and doubles the cost, so the ring uses it only where it is needed.
    Request(IORING_OP_SHUTDOWN, fd, IOSQE_FIXED_FILE | kThen, StepData(Step::kUnseen, 0))->len =
        SHUT_RDWR;
  }
  RequestClose(fd, Pack(tag));
}

void UringRing::RequestClose(Fd fd, uint64_t user_data) {
  Request(IORING_OP_CLOSE, 0, 0, user_data)->file_index = fd + 1;
}

// The kernel reads the OS descriptor from `descriptor` and writes the chosen index there.
void UringRing::RequestTableEntry(int32_t* descriptor, uint32_t accept) {
  io_uring_sqe* sqe = Request(IORING_OP_FILES_UPDATE, -1, 0, StepData(Step::kAcceptTable, accept));
  sqe->addr = Address(descriptor);
  sqe->len = 1;
  sqe->off = IORING_FILE_INDEX_ALLOC;
}

void UringRing::RequestInstall(Fd fd, Step step, uint32_t index) {
  Request(kOpFixedFdInstall, fd, IOSQE_FIXED_FILE, StepData(step, index));
}

std::span<uint8_t> UringRing::Buffer(BufferId id) { return buffers_[id / kIdsPerGroup].At(id); }

void UringRing::ReturnBuffer(BufferId id) { buffers_[id / kIdsPerGroup].Return(id); }

}  // namespace starling::uring
