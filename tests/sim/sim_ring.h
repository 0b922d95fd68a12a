// A ring on the simulated world: the same interface, completions and results as the real
// one (gateway/io/ring.h). Where the kernel is free to choose, the simulation draws:
// partial sends, short receives, late completions, and any order between descriptors.
//
// It also checks its caller, and reports errors to World::Fail: two sends in flight on a
// descriptor, use of a free index, memory of a send that changed in flight, a buffer
// returned twice. At the end the driver asks for leaks (BuffersOut, DescriptorsInUse).
//
// Linking //tests/sim:sim_ring provides Ring::Create, Pack and time.
#pragma once

#include <array>
#include <deque>
#include <map>

#include "gateway/io/ring.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

class SimRing final : public Ring {
 public:
  SimRing(const RingOptions& options, World& world);
  ~SimRing() override;

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
  uint32_t BuffersOut() const override { return buffers_out_; }
  uint32_t DescriptorsInUse() const override;
  void Submit() override {}  // requests take effect at once
  void Turn(MonoTime deadline, std::vector<Completion>& out) override;
  void Wake() override { woken_ = true; }
  std::vector<std::pair<std::string, uint64_t>> OperationCounts() const override;
  bool acknowledges() const override { return options_.features != "none"; }

 private:
  enum class Kind : uint8_t {
    kAccept,
    kOpen,
    kRecv,
    kPeek,
    kSend,
    kShutdown,
    kCancel,
    kClose,
    kCount
  };
  static constexpr std::array<const char*, static_cast<size_t>(Kind::kCount)> kKindNames = {
      "ACCEPT", "OPEN", "RECV", "PEEK", "SEND", "SHUTDOWN", "CANCEL", "CLOSE"};

  // The last entries of the table are reserved for listeners.
  static constexpr size_t kMostListeners = 256;

  // A request that is not done yet.
  struct Request {
    Kind kind = Kind::kCount;
    Fd fd = kNoFd;
    Tag tag;
    BufferGroup group = BufferGroup::kSmall;
    uint32_t max = 0;
    std::span<const uint8_t> data;
    const SocketAddress* address = nullptr;
    Endpoint source;  // kNone: any
    bool data_channel = false;
    uint64_t data_hash = 0;
    size_t sent = 0;  // octets of `data` so far
    bool want_local = false;
    bool tried = false;    // the kernel has tried it once
    bool partial = false;  // this send takes less than it could
    bool finished = false;
  };
  // A completion that the caller has not seen yet.
  struct Done {
    MonoTime ready;
    Completion completion;
    Kind kind = Kind::kCount;
    Fd fd = kNoFd;
    std::span<const uint8_t> data;  // of a send: must not change before the completion
    uint64_t data_hash = 0;
    bool frees = false;  // frees the index when the caller sees it
  };
  struct Entry {
    enum class State : uint8_t { kFree, kListener, kOpening, kOpen, kClosing };
    State state = State::kFree;
    SocketId socket = kNoSocket;
    int os_fd = -1;
    bool want_local = false;
    uint32_t unseen = 0;  // requests whose completion the caller has not seen
    bool gone = false;    // free as soon as the caller has seen all
    bool sending = false;
    bool receiving = false;
    MonoTime last_ready{};  // completions of one descriptor stay in order
  };

  Request& Ask(Kind kind, Fd fd, Tag tag);
  bool CheckOpen(Fd fd, const char* what);
  bool IsOpening(Fd fd) {
    return fd >= 0 && fd < static_cast<Fd>(options_.sessions) &&
           At(fd).state == Entry::State::kOpening;
  }
  Entry& At(Fd fd) { return table_[static_cast<size_t>(fd)]; }

  // Does the requests that are possible now, in order.
  void Poll();
  void Try(Request& request);
  void TryAccept(Request& request);
  void TryOpen(Request& request);
  void TryRecv(Request& request);
  void TrySend(Request& request);
  // Ends all other requests on the descriptor.
  void Abort(Fd fd);
  // `frees`: the index is free again once the caller has seen the completion.
  void Finish(Request& request, int32_t result, bool frees = false);
  void Finish(Request& request, Completion completion, bool frees = false);
  void Deliver(std::vector<Completion>& out);
  void See(const Done& done);
  MonoTime NextReady() const;
  MonoTime ReadyTime(Entry& entry);
  void MaybeBreak(SocketId socket);
  Fd FreeAcceptIndex() const;
  std::span<uint8_t> Memory(BufferId id);

  RingOptions options_;
  World& world_;
  bool started_ = false;
  bool woken_ = false;
  std::vector<Entry> table_;
  std::vector<Request> requests_;
  std::vector<Done> done_;
  std::vector<uint8_t> memory_;                       // all receive buffers
  std::vector<bool> buffer_out_;                      // by id
  std::array<std::deque<BufferId>, 2> free_buffers_;  // first in, first out, as the kernel
  uint32_t buffers_out_ = 0;
  uint32_t armed_accepts_ = 0;
  uint16_t next_port_ = 30'000;  // source port towards backends
  uint64_t seen_changes_ = ~uint64_t{0};
  bool asked_ = false;
  std::array<uint64_t, static_cast<size_t>(Kind::kCount)> counts_{};
  uint64_t acknowledged_ = 0;
};

}  // namespace starling::sim
