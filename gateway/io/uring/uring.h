// The real ring: implements ring.h with io_uring. uring.cc makes the ring and manages
// listeners, uring_ops.cc writes requests, uring_turn.cc waits for and reads completions,
// and uring_steps.cc continues operations that have several steps.
//
// The descriptor table has 0..sessions-1 for upstream connections (index = slot), then
// listeners, then the wake event, then the descriptors of accepts.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/io/ring.h"
#include "gateway/io/uring/uring_buffers.h"
#include "gateway/io/uring/uring_features.h"
#include "gateway/memory/zeroed_array.h"

namespace starling::uring {

class UringRing final : public Ring {
 public:
  UringRing(const RingOptions& options, const RingFeatures& features);
  // Destroy it in the thread that called Start().
  ~UringRing() override;

  absl::Status Init();  // the part of Create() that can fail
  absl::Status Start() override;

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
  uint32_t BuffersOut() const override;
  uint32_t DescriptorsInUse() const override { return in_use_; }
  void Submit() override { Flush(); }
  void Turn(MonoTime deadline, std::vector<Completion>& out) override;
  void Wake() override;
  std::vector<std::pair<std::string, uint64_t>> OperationCounts() const override;
  bool acknowledges() const override { return features_.socket_options; }
  const RingFeatures& features() const { return features_; }

 private:
  // Steps inside an operation. Their user_data has the highest bit set, the step in the
  // highest octet, and the index of a descriptor, an accept or a listener below.
  enum class Step : uint8_t {
    kOpenSocket = 128,  // puts a socket into the table, by SOCKET or FILES_UPDATE
    kOpenOption,
    kOpenConnect,
    kOpenHeader,
    kOpenLocal,  // installs an OS descriptor to query the local address
    kOpenClose,  // closes the socket that a failed attempt left in the table
    kAccept,
    kAcceptLocal,
    kAcceptTable,  // puts an ordinarily accepted socket into the table
    kShutdown,     // installs an OS descriptor to shut down
    kUnseen,       // a member of a chain whose last member reports the result
    kListenerTable,
    kListenerClose,
    kWake,
  };
  static uint64_t StepData(Step step, uint32_t index) {
    return static_cast<uint64_t>(step) << 56 | index;
  }

  // The operations in flight on one side of a session, at most one of each kind.
  enum Armed : uint8_t { kRecv = 1, kSend = 2, kPeek = 4, kShutdown = 8, kOpen = 16 };

  // One side of a session, by slot rather than by descriptor: the kernel may reuse the
  // index of an accepted descriptor for the next client as soon as it is closed, but the
  // slot is free only when all its operations have completed.
  struct SideState {
    uint8_t armed = 0;             // Armed
    bool in_table : 1 = false;     // upstream: the slot's index has a socket
    bool connecting : 1 = false;   // the open chain is in the kernel: a cancel may come too early
    bool cancelled : 1 = false;    // Cancel() was called while connecting
    bool closing : 1 = false;      // CancelAndClose() is in flight
    bool cancel_held : 1 = false;  // a Cancel() in held_ waits until `armed` is 0
    OrNothing<Fd> shutting;        // kShutdown: the descriptor to shut down
    uint32_t shutdown_of = 0;      // kShutdown: the generation of its tag
  };

  struct Opening {
    bool begun = false;  // else nothing else of it was ever set
    Tag tag;
    bool want_local = false;
    int os_fd = -1;  // set if the socket was made as an ordinary one
    int32_t header = 0;
    int32_t result = 0;
    Endpoint local;
  };

  struct Accept {
    sockaddr_storage peer;
    socklen_t length = 0;
    int os_fd = -1;            // an ordinarily accepted socket on its way into the table
    int32_t table_index = -1;  // kAcceptTable: the kernel replaces the OS descriptor by an index
    Fd accepted = kNoFd;
    bool look_up_local = false;
    Tag tag;
    Endpoint local;
  };

  struct Listener {
    bool used = false;
    bool look_up_local = false;  // bound to a wildcard, and accepts report the local address
    int os_fd = -1;              // until the socket is in the table
    Endpoint local;
  };

  // uring_ops.cc
  void Reserve(uint32_t requests);
  io_uring_sqe* Request(uint8_t operation, Fd fd, uint8_t flags, uint64_t user_data);
  void Arm(Armed kind, Tag tag);
  bool WantsOrdinarySocket(const SocketAddress& address, const Endpoint& source,
                           bool want_local) const;
  bool MakeOrdinarySocket(const SocketAddress& address, Opening* opening);
  bool MakeDataSocket(const SocketAddress& address, const Endpoint& source, Opening* opening);
  // An error is in errno, and the socket closed.
  bool BindTo(const Endpoint& source, Opening* opening);
  Opening& BeginOpening(Fd fd, Tag tag);
  void RequestOption(Fd fd, int level, int name, const int* value);
  void RequestTcpOptions(Fd fd);
  void RequestOpening(Fd fd, const SocketAddress& address, std::span<const uint8_t> header);
  void RequestCancel(uint64_t target, uint8_t flags, uint64_t user_data);
  uint32_t CancelTargets(Tag tag, std::array<uint64_t, 4>* targets);
  void RequestCancels(std::span<const uint64_t> targets, Tag tag);
  void RequestTableEntry(int32_t* descriptor, uint32_t accept);
  void RequestInstall(Fd fd, Step step, uint32_t index);
  void RequestShutdown(Fd fd, Tag tag);
  void RequestClose(Fd fd, uint64_t user_data);
  void RequestWake();

  // uring_turn.cc
  SideState& StateOf(Tag tag);
  void Flush();
  int Enter(uint32_t wait_for, uint32_t flags, const void* argument, size_t size);
  void SubmitAndWait(bool wait, MonoTime deadline);
  void Drain(std::vector<Completion>& out);
  void Handle(const io_uring_cqe& cqe, std::vector<Completion>& out);
  void HandleStep(Step step, uint32_t index, int32_t result, std::vector<Completion>& out);
  void Ended(Armed kind, const Completion& completion, std::vector<Completion>& out);
  void Received(Tag tag, const io_uring_cqe& cqe, std::vector<Completion>& out);
  void CancelSent(Tag tag, std::vector<Completion>& out);
  void Closed(Tag tag, int32_t result, std::vector<Completion>& out);

  // uring_steps.cc
  void OpenStep(Step step, Fd fd, int32_t result, std::vector<Completion>& out);
  void OpenFailed(Fd fd, int32_t error, std::vector<Completion>& out);
  void OpenEnded(Fd fd, int32_t result, std::vector<Completion>& out);
  void AcceptStep(Step step, uint32_t index, int32_t result, std::vector<Completion>& out);
  void AcceptEnded(uint32_t index, int32_t result, std::vector<Completion>& out);
  void ShutdownStep(uint32_t index, int32_t result, std::vector<Completion>& out);
  void LeaveTable(SideState& state);

  const RingOptions options_;
  RingFeatures features_;
  io_uring queue_{};
  bool queue_made_ = false;
  int ring_index_ = -1;  // the registered ring descriptor
  std::thread::id owner_;
  int event_fd_ = -1;
  uint64_t event_value_ = 0;  // the READ of the wake event writes here
  uint8_t peeked_ = 0;        // all peeks write here

  std::array<BufferRing, 2> buffers_;
  ZeroedArray<SideState> states_;  // two a slot: the client's, the backend's
  ZeroedArray<Opening> openings_;  // by upstream Fd
  std::vector<Accept> accepts_;
  std::vector<uint32_t> free_accepts_;
  std::vector<Listener> listeners_;
  std::vector<Tag> held_;            // Cancel()s whose operations have not ended
  std::vector<Completion> at_once_;  // completions that did not need the kernel
  uint32_t in_use_ = 0;
  uint32_t last_batch_ = 0;  // completions of the previous turn

  std::array<uint64_t, 64> counts_{};  // by operation
  uint64_t enters_ = 0;
  uint64_t min_waits_ = 0;
  uint64_t overflows_ = 0;
};

// A BufferId is the kernel's 16-bit buffer id: the group is its highest bit.
inline constexpr uint32_t kIdsPerGroup = 32768;

// Ends the process because of a bug in the gateway or the kernel.
[[noreturn]] void Die(const char* what, int error);

}  // namespace starling::uring
