// Conformance tests of data transfer and waking. Not here: how connections end
// (ring_conformance_ends_test.cc).
#include "gateway/io/ring_conformance.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

namespace starling {
namespace {

class RingStreams : public RingConformance {};

TEST_P(RingStreams, TagsComeBackAsTheyWere) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 15);
  const Tag tag{Op::kRecv, 15, 0xfedcba98};
  ring_->Recv(conn.fd, BufferGroup::kSmall, 10, tag);
  harness_->Write(conn.peer, "x");
  const Completion recv = Wait(tag);
  EXPECT_EQ(recv.result, 1);
  ring_->ReturnBuffer(recv.buffer);
}

TEST_P(RingStreams, AReceiveTakesNoMoreThanItsCapAndTellsOfTheRest) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    harness_->Write(conn.peer, "0123456789");
    ring_->Recv(conn.fd, BufferGroup::kSmall, 4, conn.recv());
    const Completion first = Wait(conn.recv());
    EXPECT_EQ(Text(first), "0123");
    EXPECT_TRUE(first.more);
    EXPECT_EQ(ring_->BuffersOut(), 1u);
    ring_->Recv(conn.fd, BufferGroup::kLarge, 1 << 20, conn.recv());
    const Completion rest = Wait(conn.recv());
    EXPECT_EQ(Text(rest), "456789");
    EXPECT_FALSE(rest.more);
    EXPECT_EQ(Text(first), "0123") << "a buffer is its holder's until it is returned";
    EXPECT_EQ(ring_->BuffersOut(), 2u);
    ring_->ReturnBuffer(first.buffer);
    ring_->ReturnBuffer(rest.buffer);
    EXPECT_EQ(ring_->BuffersOut(), 0u);
    Close(conn);
  }
}

TEST_P(RingStreams, MuchDataArrivesOnceAndInOrder) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    const std::string data = Pattern(300'000);
    // There and back, with more data than the socket buffers of both sides hold.
    ring_->Send(conn.fd, Octets(data), conn.send());
    std::string there;
    size_t sent = 0;
    while (there.size() < data.size()) {
      there += harness_->Read(conn.peer, data.size() - there.size());
      if (!Came(conn.send())) continue;
      const int32_t result = Wait(conn.send()).result;
      ASSERT_GT(result, 0);
      sent += result;
      if (sent < data.size()) ring_->Send(conn.fd, Octets(data).subspan(sent), conn.send());
    }
    if (sent < data.size()) sent += Wait(conn.send()).result;
    EXPECT_EQ(sent, data.size());
    EXPECT_EQ(there, data);

    std::string back;
    size_t written = 0;
    while (back.size() < data.size()) {
      if (written < data.size()) {
        written += harness_->Write(conn.peer, std::string_view(data).substr(written));
      }
      const std::string part = Receive(conn);
      ASSERT_FALSE(part.empty());
      back += part;
    }
    EXPECT_EQ(back, data);
    Close(conn);
  }
}

TEST_P(RingStreams, TheEndOfDataLeavesTheOtherDirectionOpen) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    harness_->Write(conn.peer, "last");
    harness_->ShutdownWrite(conn.peer);
    EXPECT_EQ(Receive(conn), "last");
    for (int i = 0; i < 2; ++i) {
      int32_t result = -1;
      EXPECT_EQ(Receive(conn, 100, &result), "");
      EXPECT_EQ(result, 0);
    }
    EXPECT_EQ(SendAll(conn, "answer"), 6);
    EXPECT_EQ(harness_->Read(conn.peer, 6), "answer");
    Close(conn);
  }
}

// Octets and the end of data may come at once, so that one notice tells of both.
TEST_P(RingStreams, TheEndOfDataMayComeWithTheLastOctets) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
    EXPECT_FALSE(Came(conn.recv()));
    harness_->Write(conn.peer, "last");
    harness_->ShutdownWrite(conn.peer);
    const Completion last = Wait(conn.recv());
    EXPECT_EQ(Text(last), "last");
    ring_->ReturnBuffer(last.buffer);
    int32_t result = -1;
    EXPECT_EQ(Receive(conn, 100, &result), "");
    EXPECT_EQ(result, 0);
    Close(conn);
  }
}

TEST_P(RingStreams, ShutdownEndsOurDirectionOnly) {
  StartRing();
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    EXPECT_EQ(SendAll(conn, "last"), 4);
    ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
    ring_->ShutdownWrite(conn.fd, conn.shutdown());
    EXPECT_EQ(Wait(conn.shutdown()).result, 0);
    EXPECT_EQ(harness_->Read(conn.peer, 4), "last");
    EXPECT_TRUE(harness_->AtEnd(conn.peer));
    EXPECT_FALSE(Came(conn.recv()));
    harness_->Write(conn.peer, "answer");
    const Completion recv = Wait(conn.recv());
    EXPECT_EQ(Text(recv), "answer");
    ring_->ReturnBuffer(recv.buffer);
    EXPECT_EQ(SendAll(conn, "x"), -EPIPE);
    Close(conn);
  }
}

TEST_P(RingStreams, PeekTakesNothing) {
  StartRing();
  const Conn conn = Accepted(Transport::kTcp, 1);
  auto peek = [&] {
    ring_->Peek(conn.fd, conn.peek());
    return Wait(conn.peek()).result;
  };
  EXPECT_EQ(peek(), -EAGAIN);
  // The same after arming and cancelling a receive, as before an upgrade.
  ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
  ring_->Cancel(conn.fd, conn.cancel());
  EXPECT_EQ(Wait(conn.recv()).result, -ECANCELED);
  EXPECT_EQ(Wait(conn.cancel()).result, 0);
  EXPECT_EQ(peek(), -EAGAIN);
  harness_->Write(conn.peer, "ab");
  EXPECT_EQ(peek(), 1);
  EXPECT_EQ(peek(), 1);
  EXPECT_EQ(Receive(conn), "ab");
  EXPECT_EQ(peek(), -EAGAIN);
  harness_->ShutdownWrite(conn.peer);
  EXPECT_EQ(peek(), 0);
}

TEST_P(RingStreams, ManyConnectionsAtOnceKeepTheirOctetsApart) {
  RingOptions options = SmallOptions();
  options.sessions = 64;
  options.small_buffers = 128;
  StartRing(options);
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  std::vector<Conn> conns;
  for (uint32_t slot = 0; slot < 64; ++slot) conns.push_back(AcceptFrom(listener, address, slot));
  for (int round = 0; round < 5; ++round) {
    auto text = [round](const Conn& conn) {
      return "octets " + std::to_string(conn.slot) + " of round " + std::to_string(round);
    };
    for (const Conn& conn : conns) ring_->Recv(conn.fd, BufferGroup::kSmall, 100, conn.recv());
    EXPECT_FALSE(Came(conns[0].recv()));
    for (const Conn& conn : conns) harness_->Write(conn.peer, text(conn));
    std::vector<std::string> sent;
    sent.reserve(conns.size());
    for (const Conn& conn : conns) {
      const Completion recv = Wait(conn.recv());
      sent.push_back(Text(recv));
      EXPECT_EQ(sent.back(), text(conn));
      ring_->ReturnBuffer(recv.buffer);
      ring_->Send(conn.fd, Octets(sent.back()), conn.send());
    }
    for (const Conn& conn : conns) {
      EXPECT_EQ(Wait(conn.send()).result, static_cast<int32_t>(text(conn).size()));
      EXPECT_EQ(harness_->Read(conn.peer, text(conn).size()), text(conn));
    }
  }
}

// A connection that never runs dry, and clients that keep coming.
TEST_P(RingStreams, BusyConnectionsAndListenersDoNotStarveEachOther) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  const Conn busy = AcceptFrom(listener, address, 0);
  const std::string data = Pattern(4'000);
  uint32_t accepted = 0;
  uint32_t received = 0;
  auto arm = [&] {
    ring_->ArmAccept(listener, {Op::kAccept, 1, accepted});
    harness_->Connect(address);
  };
  auto receive = [&] {
    harness_->Write(busy.peer, data);
    ring_->Recv(busy.fd, BufferGroup::kSmall, 100, busy.recv());
  };
  arm();
  receive();
  constexpr uint32_t kTurns = 200;
  std::vector<Completion> out;
  for (uint32_t turn = 0; turn < kTurns; ++turn) {
    out.clear();
    ring_->Turn(MonotonicNow() + std::chrono::milliseconds(100), out);
    for (const Completion& completion : out) {
      if (completion.tag.op == Op::kAccept) {
        ASSERT_GE(completion.result, 0);
        ring_->Discard(completion.result);
        ++accepted;
        arm();
      } else {
        ASSERT_GT(completion.result, 0);
        ring_->ReturnBuffer(completion.buffer);
        ++received;
        receive();
      }
    }
  }
  ring_->Discard(Wait({Op::kAccept, 1, accepted}).result);
  EXPECT_GT(accepted, kTurns / 8);
  EXPECT_GT(received, kTurns / 8);
}

// After an answer, the kernel delays the next acknowledgement, to send it with another
// answer. It gives up after a while, so a single round may not detect a ring that does
// nothing; all rounds together do.
TEST_P(RingStreams, AcknowledgesWithoutAnAnswer) {
  StartRing();
  constexpr int kRounds = 10;
  for (SocketSide side : kSides) {
    const Conn conn = Connected(side, 1);
    int acknowledged = 0;
    for (int round = 0; round < kRounds; ++round) {
      harness_->Write(conn.peer, "question");
      EXPECT_EQ(Receive(conn), "question");
      EXPECT_EQ(SendAll(conn, "answer"), 6);
      EXPECT_EQ(harness_->Read(conn.peer, 6), "answer");
      harness_->Write(conn.peer, "statement");
      EXPECT_EQ(Receive(conn), "statement");
      ring_->Acknowledge(conn.fd);
      ring_->Submit();
      acknowledged += harness_->Acknowledged(conn.peer);
    }
    if (ring_->acknowledges()) EXPECT_EQ(acknowledged, kRounds);
    EXPECT_FALSE(Came({})) << "it completes with nothing";
    EXPECT_TRUE(come_.empty());
    Close(conn);
  }
}

TEST_P(RingStreams, ATurnWithAPastDeadlineReturns) {
  StartRing();
  std::vector<Completion> out;
  ring_->Turn(MonotonicNow(), out);
  ring_->Turn(MonoTime::min(), out);
  EXPECT_TRUE(out.empty());
}

TEST_P(RingStreams, WakesFromAnotherThread) {
  StartRing();
  for (int i = 0; i < 3; ++i) {
    std::thread other([this] {
      ring_->Wake();
      ring_->Wake();
    });
    other.join();
    WaitFor(Op::kWake);
    // Two calls may give one completion or two.
    EXPECT_LE(std::ssize(come_), 1);
    Came({});
    come_.clear();
  }
  ExpectNothing();
}

INSTANTIATE_TEST_SUITE_P(All, RingStreams, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace starling
