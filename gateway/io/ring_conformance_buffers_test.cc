// Conformance tests of receive buffers, including too few of them.
#include <cerrno>
#include <string>
#include <vector>

#include "gateway/io/ring_conformance.h"

namespace starling {
namespace {

class RingBuffers : public RingConformance {};

TEST_P(RingBuffers, AnIdleReceiveHoldsNoBuffer) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
  ExpectNothing();
  EXPECT_EQ(ring_->BuffersOut(), 0u);
}

TEST_P(RingBuffers, WithoutBuffersNothingIsLost) {
  RingOptions options = SmallOptions();
  options.small_buffers = 2;
  StartRing(options);
  const Conn conn = Accepted(Transport::kTcp, 1);
  harness_->Write(conn.peer, "aabbcc");
  std::vector<Completion> held;
  for (const char* expected : {"aa", "bb"}) {
    ring_->Recv(conn.fd, BufferGroup::kSmall, 2, conn.recv());
    held.push_back(Wait(conn.recv()));
    EXPECT_EQ(Text(held.back()), expected);
  }
  for (int i = 0; i < 2; ++i) {
    ring_->Recv(conn.fd, BufferGroup::kSmall, 2, conn.recv());
    const Completion none = Wait(conn.recv());
    EXPECT_EQ(none.result, -ENOBUFS);
    EXPECT_EQ(none.buffer, kNoBuffer);
  }
  EXPECT_EQ(ring_->BuffersOut(), 2u);
  ring_->ReturnBuffer(held[0].buffer);
  EXPECT_EQ(Receive(conn, 1), "c");
  // The other group is separate.
  ring_->Recv(conn.fd, BufferGroup::kLarge, 2, conn.recv());
  const Completion large = Wait(conn.recv());
  EXPECT_EQ(Text(large), "c");
  EXPECT_EQ(Text(held[1]), "bb");
  ring_->ReturnBuffer(large.buffer);
  ring_->ReturnBuffer(held[1].buffer);
}

TEST_P(RingBuffers, AGroupOfNoneHasNone) {
  RingOptions options = SmallOptions();
  options.small_buffers = 0;
  StartRing(options);
  const Conn conn = Accepted(Transport::kTcp, 1);
  harness_->Write(conn.peer, "ab");
  ring_->Recv(conn.fd, BufferGroup::kSmall, 10, conn.recv());
  EXPECT_EQ(Wait(conn.recv()).result, -ENOBUFS);
  ring_->Recv(conn.fd, BufferGroup::kLarge, 10, conn.recv());
  const Completion recv = Wait(conn.recv());
  EXPECT_EQ(Text(recv), "ab");
  ring_->ReturnBuffer(recv.buffer);
}

TEST_P(RingBuffers, EveryBufferCanBeUsedAgain) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  for (int i = 0; i < 100; ++i) {
    const std::string text = std::to_string(i);
    harness_->Write(conn.peer, text);
    EXPECT_EQ(ReceiveAll(conn, text.size()), text);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RingBuffers, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace starling
