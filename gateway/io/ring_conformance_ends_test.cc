// Conformance tests of how connections end: resets, cancelled operations, and closing.
#include <cerrno>
#include <string>
#include <vector>

#include "gateway/io/ring_conformance.h"

namespace starling {
namespace {

class RingEnds : public RingConformance {};

TEST_P(RingEnds, APeekFindsAReset) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    harness_->Reset(conn.peer);
    ring_->Peek(conn.fd, conn.peek());
    EXPECT_EQ(Wait(conn.peek()).result, -ECONNRESET);
    EXPECT_EQ(SendAll(conn, "x"), -EPIPE);
    Close(conn);
  }
}

// Neither end takes anything: the reset is all that happens.
TEST_P(RingEnds, AResetEndsASendThatWaits) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  const std::string data = Pattern(kTooMuch);
  ring_->Send(conn.fd, Octets(data), conn.send());
  EXPECT_FALSE(Came(conn.send()));
  harness_->Write(conn.peer, "nobody receives this");
  ExpectNothing();
  harness_->Reset(conn.peer);
  EXPECT_LT(Wait(conn.send()).result, static_cast<int32_t>(data.size()));
}

TEST_P(RingEnds, ACancelledReceiveLosesNothing) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    // Without data, with data before the receive, with data after it.
    for (const std::string& waiting : {std::string(), std::string("abc")}) {
      ring_->Recv(conn.fd, BufferGroup::kSmall, 2, conn.recv());
      const bool came = Came(conn.recv());
      EXPECT_FALSE(came);
      if (!waiting.empty()) harness_->Write(conn.peer, waiting);
      ring_->Cancel(conn.fd, conn.cancel());
      EXPECT_EQ(Wait(conn.cancel()).result, 0);
      ASSERT_TRUE(Came(conn.recv())) << "a cancel completes after what it ended";
      const Completion recv = Wait(conn.recv());
      std::string got = Text(recv);
      if (recv.result > 0) {
        ring_->ReturnBuffer(recv.buffer);
      } else {
        EXPECT_EQ(recv.result, -ECANCELED);
      }
      harness_->Write(conn.peer, "def");
      got += ReceiveAll(conn, waiting.size() + 3 - got.size());
      EXPECT_EQ(got, waiting + "def");
    }
    Close(conn);
  }
}

TEST_P(RingEnds, CancelWithNothingArmedCompletes) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  for (int i = 0; i < 2; ++i) {
    ring_->Cancel(conn.fd, conn.cancel());
    EXPECT_EQ(Wait(conn.cancel()).result, 0);
  }
  harness_->Write(conn.peer, "x");
  EXPECT_EQ(Receive(conn), "x");
}

TEST_P(RingEnds, ACancelledSendTellsHowMuchWent) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  const std::string data = Pattern(kTooMuch);
  ring_->Send(conn.fd, Octets(data), conn.send());
  ExpectNothing();
  ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
  EXPECT_FALSE(Came(conn.send()));
  ring_->Cancel(conn.fd, conn.cancel());
  const int32_t sent = Wait(conn.send()).result;
  EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
  EXPECT_EQ(Wait(conn.cancel()).result, 0);
  ASSERT_GT(sent, 0);
  ASSERT_LT(sent, static_cast<int32_t>(data.size()));
  EXPECT_EQ(harness_->Read(conn.peer, sent), data.substr(0, sent));
  EXPECT_EQ(SendAll(conn, "on"), 2);
  EXPECT_EQ(harness_->Read(conn.peer, 2), "on");
}

TEST_P(RingEnds, AResetIsSeenByTheReceive) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
    EXPECT_FALSE(Came(conn.recv()));
    harness_->Reset(conn.peer);
    const Completion recv = Wait(conn.recv());
    EXPECT_EQ(recv.result, -ECONNRESET);
    EXPECT_EQ(recv.buffer, kNoBuffer);
    EXPECT_LT(SendAll(conn, "x"), 0);
    Close(conn);
  }
}

TEST_P(RingEnds, AResetCutsASendShort) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  const std::string data = Pattern(kTooMuch);
  ring_->Send(conn.fd, Octets(data), conn.send());
  EXPECT_FALSE(Came(conn.send()));
  EXPECT_EQ(harness_->Read(conn.peer, 1000), data.substr(0, 1000));
  harness_->Reset(conn.peer);
  const int32_t sent = Wait(conn.send()).result;
  EXPECT_TRUE(sent >= 1000 || sent == -ECONNRESET || sent == -EPIPE) << sent;
  EXPECT_LT(sent, static_cast<int32_t>(data.size()));
  EXPECT_LT(SendAll(conn, "x"), 0) << "the error is the next send's";
}

// Behind octets that nobody receives, where a receive and a peek see the octets first.
TEST_P(RingEnds, ASendOfNothingTellsWhetherTheConnectionIsWhole) {
  StartRing();
  uint32_t slot = 0;
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, slot++);
    const Conn ended = Connected(side, slot++);
    EXPECT_EQ(harness_->Write(conn.peer, "unread"), 6u);
    EXPECT_EQ(SendAll(conn, ""), 0);
    harness_->ShutdownWrite(ended.peer);
    EXPECT_EQ(SendAll(ended, ""), 0);
    harness_->Reset(conn.peer);
    EXPECT_EQ(SendAll(conn, ""), -ECONNRESET);
    EXPECT_EQ(Receive(conn), "unread");
    Close(conn);
  }
}

TEST_P(RingEnds, ASendOfNothingDoesNotWaitForRoom) {
  StartRing();
  for (const Transport transport : {Transport::kTcp, Transport::kUnix}) {
    const Conn conn = Opened(transport, 1);
    const std::string data = Pattern(kTooMuch);
    ring_->Send(conn.fd, Octets(data), conn.send());
    EXPECT_FALSE(Came(conn.send()));
    ring_->Cancel(conn.fd, conn.cancel());
    Wait(conn.send());
    EXPECT_EQ(Wait(conn.cancel()).result, 0);
    EXPECT_EQ(SendAll(conn, ""), 0);
    Close(conn);
  }
}

TEST_P(RingEnds, ASendOfNothingSeesThatAUnixPeerIsGone) {
  StartRing();
  const Conn conn = Opened(Transport::kUnix, 1);
  EXPECT_EQ(SendAll(conn, ""), 0);
  harness_->Close(conn.peer);
  EXPECT_EQ(SendAll(conn, ""), -EPIPE);
}

TEST_P(RingEnds, ClosingEndsWhatIsArmedAndThePeerSeesIt) {
  StartRing();
  for (SocketSide side : kSides) {
    for (bool in_one_batch : {false, true}) {
      const Conn conn = Connected(side, 1);
      const uint32_t before = ring_->DescriptorsInUse();
      ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
      if (!in_one_batch) EXPECT_FALSE(Came(conn.recv()));
      Close(conn);
      EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
      EXPECT_TRUE(harness_->AtEnd(conn.peer));
      EXPECT_EQ(ring_->DescriptorsInUse(), before - 1);
    }
  }
}

TEST_P(RingEnds, WhatWasSentBeforeACloseArrives) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    ring_->Send(conn.fd, Octets("goodbye"), conn.send());
    Close(conn);
    EXPECT_EQ(Wait(conn.send()).result, 7);
    EXPECT_EQ(harness_->Read(conn.peer, 7), "goodbye");
    EXPECT_TRUE(harness_->AtEnd(conn.peer));
  }
}

TEST_P(RingEnds, ClosingEndsAReceiveAndASend) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  const std::string data = Pattern(kTooMuch);
  ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
  ring_->Send(conn.fd, Octets(data), conn.send());
  EXPECT_FALSE(Came(conn.send()));
  Close(conn);
  EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
  const int32_t sent = Wait(conn.send()).result;
  EXPECT_TRUE(sent > 0 || sent == -ECANCELED) << sent;
  EXPECT_LT(sent, static_cast<int32_t>(data.size()));
}

TEST_P(RingEnds, ACloseMayFollowACancel) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
  ring_->Cancel(conn.fd, conn.cancel());
  Close(conn);
  EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
  EXPECT_EQ(Wait(conn.cancel()).result, 0);
  EXPECT_TRUE(harness_->AtEnd(conn.peer));
}

TEST_P(RingEnds, AClosedIndexServesAgain) {
  StartRing();
  for (int i = 0; i < 5; ++i) {
    const Conn conn = Opened(i % 2 ? Transport::kUnix : Transport::kTcp, 3);
    ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
    Close(conn);
    EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
    EXPECT_TRUE(harness_->AtEnd(conn.peer));
  }
}

INSTANTIATE_TEST_SUITE_P(All, RingEnds, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace starling
