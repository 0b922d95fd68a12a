#include "gateway/io/ring_conformance.h"

#include <algorithm>

namespace starling {
namespace {

using std::chrono::milliseconds;

// Far more than is ever needed, so that a completion that never comes is a
// failed test and not one that hangs.
constexpr int kTurns = 100;
constexpr milliseconds kLong{100};

}  // namespace

RingOptions RingConformance::SmallOptions() {
  RingOptions options;
  options.sessions = 16;
  options.accepts = 8;
  options.listeners = 4;
  options.small_buffers = 8;
  options.large_buffers = 4;
  return options;
}

void RingConformance::StartRing(const RingOptions& options) {
  auto ring = GetParam().make_ring(options);
  ASSERT_TRUE(ring.ok()) << ring.status();
  ring_ = *std::move(ring);
  const absl::Status status = ring_->Start();
  ASSERT_TRUE(status.ok()) << status;
}

void RingConformance::TearDown() {
  if (ring_ == nullptr) return;
  while (!open_.empty()) Close(Conn(open_.back()));
  for (Fd listener : listeners_) ring_->CancelAccepts(listener);
  TurnOnce(milliseconds(0));
  for (Fd listener : listeners_) ring_->RemoveListener(listener);
  // Whatever ended late: it may hold a buffer, but nothing else.
  for (int i = 0; i < 3; ++i) TurnOnce(milliseconds(1));
  for (const Completion& completion : come_) {
    if (completion.buffer != kNoBuffer) ring_->ReturnBuffer(completion.buffer);
  }
  EXPECT_EQ(ring_->BuffersOut(), 0u);
  EXPECT_EQ(ring_->DescriptorsInUse(), 0u);
  ring_.reset();
}

void RingConformance::TurnOnce(milliseconds wait) {
  std::vector<Completion> out;
  ring_->Turn(MonotonicNow() + wait, out);
  come_.insert(come_.end(), out.begin(), out.end());
}

bool RingConformance::Take(Tag tag, bool any_slot, Completion* completion) {
  auto found = std::find_if(come_.begin(), come_.end(), [&](const Completion& c) {
    return any_slot ? c.tag.op == tag.op : c.tag == tag;
  });
  if (found == come_.end()) return false;
  *completion = *found;
  come_.erase(found);
  return true;
}

Completion RingConformance::WaitMatching(Tag tag, bool any_slot) {
  Completion completion;
  for (int i = 0; i < kTurns; ++i) {
    if (Take(tag, any_slot, &completion)) return completion;
    TurnOnce(kLong);
  }
  ADD_FAILURE() << "operation " << static_cast<int>(tag.op) << " of slot " << tag.slot
                << " never completed";
  return completion;
}

Completion RingConformance::Wait(Tag tag) { return WaitMatching(tag, false); }
Completion RingConformance::WaitFor(Op op) { return WaitMatching({.op = op}, true); }

bool RingConformance::Came(Tag tag) {
  TurnOnce(milliseconds(0));
  return std::any_of(come_.begin(), come_.end(),
                     [tag](const Completion& c) { return c.tag == tag; });
}

void RingConformance::ExpectNothing() {
  for (int i = 0; i < 3; ++i) TurnOnce(milliseconds(3));
  for (const Completion& c : come_) {
    ADD_FAILURE() << "operation " << static_cast<int>(c.tag.op) << " of slot " << c.tag.slot
                  << " completed with " << c.result;
  }
}

Fd RingConformance::Listen(Transport transport, bool want_local, bool wildcard,
                           SocketAddress* address) {
  auto listener = ring_->AddListener(harness_->Listen(transport, wildcard, address), want_local);
  EXPECT_TRUE(listener.ok()) << listener.status();
  if (!listener.ok()) return kNoFd;
  listeners_.push_back(*listener);
  return *listener;
}

RingConformance::Conn RingConformance::AcceptFrom(Fd listener, const SocketAddress& address,
                                                  uint32_t slot) {
  const Tag tag{Op::kAccept, slot, ++generation_};
  ring_->ArmAccept(listener, tag);
  Conn conn{SocketSide::kAccepted, kNoFd, slot, generation_};
  conn.peer = harness_->Connect(address);
  EXPECT_NE(conn.peer, kNoPeer);
  conn.fd = Wait(tag).result;
  EXPECT_GE(conn.fd, 0);
  if (conn.fd >= 0) Track(conn);
  return conn;
}

RingConformance::Conn RingConformance::Accepted(Transport transport, uint32_t slot) {
  SocketAddress address;
  const Fd listener = Listen(transport, false, false, &address);
  return AcceptFrom(listener, address, slot);
}

RingConformance::Conn RingConformance::Opened(Transport transport, uint32_t slot) {
  SocketAddress address;
  const PeerId backend = harness_->ListenBackend(transport, 8, &address);
  Conn conn = ToOpen(slot);
  ring_->OpenUpstream(conn.fd, address, {}, {}, false, OpenTag(conn));
  EXPECT_EQ(Wait(OpenTag(conn)).result, 0);
  conn.peer = harness_->AcceptBackend(backend);
  EXPECT_NE(conn.peer, kNoPeer);
  harness_->Close(backend);
  Track(conn);
  return conn;
}

void RingConformance::Close(const Conn& conn) {
  const Tag tag = conn.close();
  ring_->CancelAndClose(conn.fd, tag);
  EXPECT_EQ(Wait(tag).result, 0);
  std::erase_if(open_, [tag](const Conn& other) { return other.close() == tag; });
}

std::string RingConformance::Text(const Completion& completion) {
  if (completion.result <= 0) return "";
  EXPECT_NE(completion.buffer, kNoBuffer);
  const auto data = ring_->Buffer(completion.buffer).first(completion.result);
  return std::string(data.begin(), data.end());
}

std::string RingConformance::Receive(const Conn& conn, uint32_t max, int32_t* result) {
  ring_->Recv(conn.fd, BufferGroup::kSmall, max, conn.recv());
  const Completion completion = Wait(conn.recv());
  if (result != nullptr) *result = completion.result;
  const std::string text = Text(completion);
  if (completion.result <= 0) {
    EXPECT_EQ(completion.buffer, kNoBuffer);
  } else {
    ring_->ReturnBuffer(completion.buffer);
  }
  return text;
}

std::string RingConformance::ReceiveAll(const Conn& conn, size_t size) {
  std::string all;
  while (all.size() < size) {
    const std::string part = Receive(conn);
    if (part.empty()) break;
    all += part;
  }
  return all;
}

int32_t RingConformance::SendAll(const Conn& conn, std::string_view data) {
  ring_->Send(conn.fd, Octets(data), conn.send());
  return Wait(conn.send()).result;
}

std::string RingConformance::Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

}  // namespace starling
