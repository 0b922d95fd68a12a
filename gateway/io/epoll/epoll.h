// The ring on epoll: implements ring.h with readiness and non-blocking calls. epoll.cc makes the
// ring, epoll_ops.cc has the operations on a connection, epoll_open.cc and epoll_accept.cc make
// connections, and epoll_turn.cc waits and runs what can be done.
//
// Each socket is registered once, edge-triggered, and carries two bits that say what the kernel
// may do now. Receives, sends, accepts and opens run in Turn() and Submit(): those that can run are
// on a list, the others wait for an event that sets their bit. Everything else is one call that
// cannot wait, so it runs at once, and Turn() only delivers its completion.
//
// The table has 0..sessions-1 for upstream connections (index = slot), then listeners, then the
// accepted sockets.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/io/epoll/receive_buffers.h"
#include "gateway/io/ring.h"

namespace starling::epoll {

class EpollRing final : public Ring {
 public:
  explicit EpollRing(const RingOptions& options);
  ~EpollRing() override;

  // The part of making a ring that can fail. Without `precise_wait` the ring waits by
  // epoll_wait even where the kernel has epoll_pwait2, which waits less than a millisecond, too.
  absl::Status Init(bool precise_wait = true);
  absl::Status Start() override { return absl::OkStatus(); }

  absl::StatusOr<Fd> AddListener(int os_fd, bool want_local) override;
  DataListener AddDataListener(const Endpoint& address, uint16_t first, uint16_t last,
                               uint32_t* cursor) override;
  void CancelAccepts(Fd listener) override;
  void RemoveListener(Fd listener) override;
  void Discard(Fd accepted) override;
  void ArmAccept(Fd listener, Tag tag) override;
  void OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                    const Endpoint& source, bool want_local, Tag tag) override;
  void OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) override;
  void Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) override;
  void Peek(Fd fd, Tag tag) override;
  void Send(Fd fd, std::span<const uint8_t> data, Tag tag) override;
  void ShutdownWrite(Fd fd, Tag tag) override;
  void Acknowledge(Fd fd) override;
  void Cancel(Fd fd, Tag tag) override;
  void CancelAndClose(Fd fd, Tag tag) override;
  std::span<uint8_t> Buffer(BufferId id) override;
  void ReturnBuffer(BufferId id) override;
  uint32_t BuffersOut() const override { return buffers_[0].out() + buffers_[1].out(); }
  uint32_t DescriptorsInUse() const override { return in_use_; }
  void Submit() override { RunList(at_once_); }
  void Turn(MonoTime deadline, std::vector<Completion>& out) override;
  void Wake() override;
  std::vector<std::pair<std::string, uint64_t>> OperationCounts() const override;

 private:
  enum class State : uint8_t { kFree, kListener, kConnecting, kHeader, kOpen };
  // Operations that may have to wait. A header in transit is a send, too.
  enum Armed : uint8_t { kReceiving = 1, kSending = 2 };

  struct Entry {
    int os_fd = -1;
    uint32_t generation = 0;  // uses of this index; an event carries it, so an old one is known
    State state = State::kFree;
    uint8_t armed = 0;  // Armed
    bool is_unix : 1 = false;
    bool watched : 1 = false;      // registered with epoll
    bool watched_out : 1 = false;  // ... for room to send, too
    bool readable : 1 = false;     // nothing says that a receive or accept would have to wait
    bool writable : 1 = false;     // the same of a send
    // A short receive does not show that nothing waits: the peer has ended, the connection is
    // broken, or an urgent octet stopped the receive.
    bool uneven : 1 = false;
    bool listed : 1 = false;  // in list_
    bool want_local : 1 = false;
    BufferGroup group = BufferGroup::kSmall;  // of the receive
    uint32_t max = 0;                         // of the receive
    uint32_t done = 0;                        // octets of `data` that are sent
    uint32_t size = 0;
    const uint8_t* data = nullptr;
    uint64_t receive_tag = 0;
    uint64_t send_tag = 0;  // of the open, too
  };

  struct Listener {
    bool look_up_local = false;  // bound to a wildcard, and accepts report the local address
    Endpoint local;
    uint32_t first = kNoAccept;  // armed accepts, the oldest first
    uint32_t last = kNoAccept;
  };
  static constexpr uint32_t kNoAccept = UINT32_MAX;
  struct Accept {
    Tag tag;
    uint32_t next = kNoAccept;  // of the same listener, or free
  };

  // System calls, for OperationCounts().
  enum class Call : uint8_t {
    kAccept,
    kSocket,
    kConnect,
    kSend,
    kRecv,
    kOption,
    kShutdown,
    kClose,
    kControl,
    kWait,
    kCount,
  };
  void Count(Call call) { ++counts_[static_cast<size_t>(call)]; }

  // epoll.cc
  Entry& At(Fd fd) { return table_[static_cast<size_t>(fd)]; }
  Listener& ListenerAt(Fd fd) { return listeners_[static_cast<size_t>(fd) - options_.sessions]; }
  void Fill(Fd fd, int os_fd, State state, bool is_unix);
  void Release(Fd fd);  // closes the socket; the index is free
  // Registers the socket, or for one more kind of event. An errno, or 0.
  int Watch(Fd fd, Entry& entry);

  // epoll_ops.cc
  void RunReceive(Fd fd, Entry& entry, std::vector<Completion>& out);
  void RunSend(Fd fd, Entry& entry, std::vector<Completion>& out);
  void RunShortcut(Fd fd, Entry& entry);
  int32_t AskForError(int os_fd);  // 0 while the connection is whole
  // Sends what is left of `data`. -EAGAIN: it has to wait.
  int32_t Push(Entry& entry);
  void EndReceive(Entry& entry, Completion completion, std::vector<Completion>& out);
  void EndSend(Entry& entry, int32_t result, std::vector<Completion>& out);
  void EndAll(Fd fd, Entry& entry);

  // epoll_open.cc
  void Open(Fd fd, const SocketAddress& address, std::span<const uint8_t> header, int os_fd,
            bool want_local, Tag tag);
  // A negative errno, or a socket.
  int MakeSocket(const SocketAddress& address, const Endpoint& source, bool data);
  void SetOption(int os_fd, int level, int name, int value);
  void RunOpen(Fd fd, Entry& entry, std::vector<Completion>& out);
  void EndOpen(Fd fd, Entry& entry, int32_t result, std::vector<Completion>& out);

  // epoll_accept.cc
  void RunAccepts(Fd fd, Entry& entry, std::vector<Completion>& out);
  Completion AcceptOne(const Listener& listener, const Entry& entry);
  Tag TakeArmed(Listener& listener);

  // epoll_turn.cc
  void List(Fd fd, Entry& entry);
  void RunList(std::vector<Completion>& out);
  void Run(Fd fd, std::vector<Completion>& out);
  int WaitForEvents(MonoTime deadline);
  void Poll(MonoTime deadline, std::vector<Completion>& out);
  void Note(const epoll_event& event, std::vector<Completion>& out);

  const RingOptions options_;
  int epoll_fd_ = -1;
  int event_fd_ = -1;
  bool precise_wait_ = false;
  bool unpolled_ = false;  // the previous turn did not ask for events
  std::array<ReceiveBuffers, 2> buffers_;
  std::vector<Entry> table_;
  std::vector<Listener> listeners_;
  std::vector<Fd> free_listeners_;
  std::vector<Fd> free_accepted_;  // indices for accepted sockets
  std::vector<Accept> accepts_;
  uint32_t free_accept_ = kNoAccept;
  std::vector<Fd> list_;     // what has an operation that can run
  std::vector<Fd> running_;  // the list that is being run
  std::vector<Completion> at_once_;
  std::vector<epoll_event> events_;
  uint32_t in_use_ = 0;
  std::array<uint64_t, static_cast<size_t>(Call::kCount)> counts_{};
};

// Ends the process because of a bug in the gateway or the kernel.
[[noreturn]] void Die(const char* what, int error);

}  // namespace starling::epoll
