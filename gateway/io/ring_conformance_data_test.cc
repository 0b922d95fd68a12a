// Conformance tests of data channels: their listening sockets, their connections, and how
// these close.
#include <cerrno>
#include <string>
#include <utility>

#include "gateway/io/ring_conformance.h"

namespace starling {
namespace {

constexpr Endpoint kLoopback{.family = Endpoint::Family::kV4, .port = 0, .ip = {127, 0, 0, 1}};

SocketAddress At(uint16_t port) {
  Endpoint endpoint = kLoopback;
  endpoint.port = port;
  return SocketAddress::From(endpoint);
}

class RingDataChannels : public RingConformance {
 protected:
  // The listening socket is the ring's until the end of the test.
  DataListener ListenForData(uint16_t first, uint16_t last) {
    const DataListener listener = ring_->AddDataListener(kLoopback, first, last, &cursor_);
    if (listener.fd != kNoFd) listeners_.push_back(listener.fd);
    return listener;
  }
  Conn OpenedFor(uint32_t slot) {
    SocketAddress address;
    const PeerId backend = harness_->ListenBackend(Transport::kTcp, 8, &address);
    Conn conn = ToOpen(slot);
    ring_->OpenData(conn.fd, address, kLoopback, OpenTag(conn));
    EXPECT_EQ(Wait(OpenTag(conn)).result, 0);
    conn.peer = harness_->AcceptBackend(backend);
    Track(conn);
    return conn;
  }
  // A connection of either kind.
  Conn DataOf(SocketSide side, uint32_t slot) {
    if (side == SocketSide::kOpened) return OpenedFor(slot);
    const DataListener listener = ListenForData(0, 0);
    return AcceptFrom(listener.fd, At(listener.port), slot);
  }

  uint32_t cursor_ = 0;
};

TEST_P(RingDataChannels, ConnectionsCarryOctetsBothWays) {
  StartRing();
  uint32_t slot = 0;
  for (const SocketSide side : {SocketSide::kAccepted, SocketSide::kOpened}) {
    const Conn conn = DataOf(side, slot++);
    EXPECT_EQ(SendAll(conn, "a file"), 6);
    EXPECT_EQ(harness_->Read(conn.peer, 6), "a file");
    EXPECT_EQ(harness_->Write(conn.peer, "back"), 4u);
    EXPECT_EQ(Receive(conn), "back");
  }
}

TEST_P(RingDataChannels, ARefusedConnectLeavesNothingBehind) {
  StartRing();
  const SocketAddress refusing = harness_->RefusingAddress();
  const Conn conn = ToOpen(2);
  ring_->OpenData(conn.fd, refusing, kLoopback, OpenTag(conn));
  EXPECT_EQ(Wait(OpenTag(conn)).result, -ECONNREFUSED);
  EXPECT_EQ(ring_->DescriptorsInUse(), 0u);
}

// The peer must not take a part for the whole.
TEST_P(RingDataChannels, CloseResetsWhatHasNotEndedOnBothSides) {
  StartRing();
  uint32_t slot = 0;
  for (const SocketSide side : {SocketSide::kAccepted, SocketSide::kOpened}) {
    for (const bool peer_ended : {false, true}) {
      const Conn conn = DataOf(side, slot++);
      EXPECT_EQ(SendAll(conn, "part"), 4);
      if (peer_ended) {
        harness_->ShutdownWrite(conn.peer);
        EXPECT_EQ(Receive(conn), "");
      }
      Close(conn);
      EXPECT_EQ(harness_->Read(conn.peer, 4), "part");
      EXPECT_FALSE(harness_->AtEnd(conn.peer));
    }
  }
}

TEST_P(RingDataChannels, CloseIsTheEndOnceBothSidesHaveEnded) {
  StartRing();
  uint32_t slot = 0;
  for (const SocketSide side : {SocketSide::kAccepted, SocketSide::kOpened}) {
    const Conn conn = DataOf(side, slot++);
    EXPECT_EQ(SendAll(conn, "whole"), 5);
    ring_->ShutdownWrite(conn.fd, conn.shutdown());
    EXPECT_EQ(Wait(conn.shutdown()).result, 0);
    EXPECT_EQ(harness_->Read(conn.peer, 5), "whole");
    harness_->ShutdownWrite(conn.peer);
    EXPECT_EQ(Receive(conn), "");
    Close(conn);
    EXPECT_TRUE(harness_->AtEnd(conn.peer));
  }
}

TEST_P(RingDataChannels, ListenersTakeTurnsOfTheirPorts) {
  StartRing();
  const uint16_t any = ListenForData(0, 0).port;
  ASSERT_NE(any, 0);
  // The only port of the range is taken, and free again once its listener is removed.
  EXPECT_EQ(ListenForData(any, any).fd, kNoFd);
  ring_->RemoveListener(std::exchange(listeners_.back(), kNoFd));
  listeners_.pop_back();
  ExpectNothing();
  const DataListener again = ListenForData(any, any);
  EXPECT_EQ(again.port, any);
  EXPECT_NE(again.fd, kNoFd);
}

INSTANTIATE_TEST_SUITE_P(All, RingDataChannels, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace starling
