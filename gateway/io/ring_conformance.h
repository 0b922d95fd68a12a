// The fixture of the ring's conformance suite: it turns a ring until an expected
// operation has completed, and makes connections in one line. At the end of each test it
// closes everything and checks that the ring holds nothing.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/io/ring_harness.h"

namespace starling {

class RingConformance : public testing::TestWithParam<RingVariant> {
 protected:
  static constexpr SocketSide kSides[] = {SocketSide::kAccepted, SocketSide::kOpened};
  // More octets than the two ends of a connection hold between them.
  static constexpr size_t kTooMuch = 16 << 20;

  // A connection of the ring; the peer is the harness's end.
  struct Conn {
    SocketSide side = SocketSide::kAccepted;
    Fd fd = kNoFd;
    uint32_t slot = 0;
    uint32_t generation = 0;
    PeerId peer = kNoPeer;

    Tag Make(Op op) const { return {op, slot, generation, side}; }
    Tag recv() const { return Make(Op::kRecv); }
    Tag send() const { return Make(Op::kSend); }
    Tag shutdown() const { return Make(Op::kShutdown); }
    Tag cancel() const { return Make(Op::kCancel); }
    Tag close() const { return Make(Op::kClose); }
    Tag peek() const { return Make(Op::kPeek); }
  };

  void SetUp() override { harness_ = GetParam().make_harness(); }
  void TearDown() override;

  // Starts a ring, a small one unless the test gives options.
  void StartRing(const RingOptions& options = SmallOptions());
  static RingOptions SmallOptions();

  Fd Listen(Transport transport, bool want_local, bool wildcard, SocketAddress* address);
  // A client that the ring has accepted, in `slot`.
  Conn Accepted(Transport transport, uint32_t slot);
  Conn AcceptFrom(Fd listener, const SocketAddress& address, uint32_t slot);
  // A backend that the ring is connected to, at index `slot`.
  Conn Opened(Transport transport, uint32_t slot);
  // Either of the two, over TCP.
  Conn Connected(SocketSide side, uint32_t slot) {
    return side == SocketSide::kAccepted ? Accepted(Transport::kTcp, slot)
                                         : Opened(Transport::kTcp, slot);
  }
  // What Open() opens is closed at the end, too.
  Conn ToOpen(uint32_t slot) {
    return {SocketSide::kOpened, static_cast<Fd>(slot), slot, ++generation_};
  }
  Tag OpenTag(const Conn& conn) { return conn.Make(Op::kOpen); }
  void Track(const Conn& conn) { open_.push_back(conn); }
  // Calls CancelAndClose and waits for its completion. Keeps other completions for later
  // waits.
  void Close(const Conn& conn);

  // Turns until the completion of `tag` comes, and returns it. If it does not come, fails
  // the test and returns an empty one. Keeps other completions in order.
  Completion Wait(Tag tag);
  // The same for any completion with this operation.
  Completion WaitFor(Op op);
  // Whether the completion has come already; does not wait.
  bool Came(Tag tag);
  // Runs a few turns in which no completion may come.
  void ExpectNothing();
  // Receives at most `max` octets and returns the buffer at once. "" at the end of data
  // or on an error; `result` tells which.
  std::string Receive(const Conn& conn, uint32_t max = 2048, int32_t* result = nullptr);
  std::string ReceiveAll(const Conn& conn, size_t size);
  int32_t SendAll(const Conn& conn, std::string_view data);

  static std::span<const uint8_t> Octets(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  std::string Text(const Completion& completion);
  // `size` octets with a long period.
  static std::string Pattern(size_t size);

  std::unique_ptr<RingHarness> harness_;
  std::unique_ptr<Ring> ring_;
  std::deque<Completion> come_;  // completions that no test has waited for yet
  std::vector<Conn> open_;
  std::vector<Fd> listeners_;
  uint32_t generation_ = 0;

 private:
  void TurnOnce(std::chrono::milliseconds wait);
  bool Take(Tag tag, bool any_slot, Completion* completion);
  Completion WaitMatching(Tag tag, bool any_slot);
};

}  // namespace starling
