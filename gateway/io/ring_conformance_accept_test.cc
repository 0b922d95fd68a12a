// Conformance tests of listening, accepting and connecting.
#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "gateway/io/ring_conformance.h"

namespace starling {
namespace {

class RingConnections : public RingConformance {};

TEST_P(RingConnections, AcceptReportsWhoConnectedAndWhatWasCalled) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, true, false, &address);
  ring_->ArmAccept(listener, {Op::kAccept, 3, 77});
  const PeerId peer = harness_->Connect(address);
  const Completion accept = Wait({Op::kAccept, 3, 77});
  ASSERT_GE(accept.result, 0);
  Track({SocketSide::kAccepted, accept.result, 0, 1, peer});
  EXPECT_EQ(ToString(accept.peer), ToString(harness_->LocalEndpoint(peer)));
  EXPECT_EQ(ToString(accept.local), ToString(address.endpoint()));
}

TEST_P(RingConnections, AcceptOnAWildcardReportsWhatWasCalled) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, true, true, &address);
  Endpoint other = address.endpoint();
  other.ip = {127, 0, 0, 2};
  uint32_t slot = 0;
  for (const SocketAddress& called : {address, SocketAddress::From(other)}) {
    const Tag tag{Op::kAccept, 0, ++generation_};
    ring_->ArmAccept(listener, tag);
    const PeerId peer = harness_->Connect(called);
    ASSERT_NE(peer, kNoPeer);
    const Completion accept = Wait(tag);
    ASSERT_GE(accept.result, 0);
    const Conn conn{SocketSide::kAccepted, accept.result, slot++, generation_, peer};
    Track(conn);
    EXPECT_EQ(ToString(accept.local), called.ToString());
    EXPECT_EQ(ToString(accept.peer), ToString(harness_->LocalEndpoint(peer)));
    // It behaves like any other connection.
    EXPECT_EQ(harness_->Write(peer, "hello"), 5u);
    EXPECT_EQ(Receive(conn), "hello");
  }
}

TEST_P(RingConnections, AUnixClientHasNoAddress) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kUnix, true, false, &address);
  ring_->ArmAccept(listener, {Op::kAccept, 0, 1});
  const PeerId peer = harness_->Connect(address);
  const Completion accept = Wait({Op::kAccept, 0, 1});
  ASSERT_GE(accept.result, 0);
  const Conn conn{SocketSide::kAccepted, accept.result, 0, 1, peer};
  Track(conn);
  EXPECT_EQ(accept.peer.family, Endpoint::Family::kNone);
  EXPECT_EQ(accept.local.family, Endpoint::Family::kNone);
  EXPECT_EQ(SendAll(conn, "hello"), 5);
  EXPECT_EQ(harness_->Read(peer, 5), "hello");
}

TEST_P(RingConnections, SeveralArmedAcceptsTakeSeveralClients) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  for (uint32_t i = 0; i < 3; ++i) ring_->ArmAccept(listener, {Op::kAccept, i, 1});
  std::set<std::string> clients;
  for (int i = 0; i < 3; ++i) {
    clients.insert(ToString(harness_->LocalEndpoint(harness_->Connect(address))));
  }
  std::set<std::string> reported;
  std::set<Fd> indices;
  for (uint32_t i = 0; i < 3; ++i) {
    const Completion accept = Wait({Op::kAccept, i, 1});
    ASSERT_GE(accept.result, static_cast<Fd>(SmallOptions().sessions)) << "upstream's range";
    reported.insert(ToString(accept.peer));
    indices.insert(accept.result);
    Track({SocketSide::kAccepted, accept.result, i, 1});
  }
  EXPECT_EQ(reported, clients);
  EXPECT_EQ(indices.size(), 3u);
  EXPECT_EQ(ring_->DescriptorsInUse(), 4u);
  // A fourth client waits until an accept is armed.
  harness_->Connect(address);
  ExpectNothing();
  ring_->ArmAccept(listener, {Op::kAccept, 3, 1});
  const Completion fourth = Wait({Op::kAccept, 3, 1});
  ASSERT_GE(fourth.result, 0);
  Track({SocketSide::kAccepted, fourth.result, 3, 1});
}

TEST_P(RingConnections, WhoIsDiscardedSeesTheEndAndLeavesNothing) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  // Oftener than the table has entries.
  for (uint32_t round = 1; round < 200; ++round) {
    const Tag tag{Op::kAccept, 0, round};
    ring_->ArmAccept(listener, tag);
    const PeerId peer = harness_->Connect(address);
    ASSERT_NE(peer, kNoPeer);
    const Completion accept = Wait(tag);
    ASSERT_GE(accept.result, 0) << round;
    ring_->Discard(accept.result);
    if (round % 50 == 0) ExpectNothing();
    EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
    if (round % 50 == 0) EXPECT_TRUE(harness_->AtEnd(peer));
  }
}

TEST_P(RingConnections, CancelledAcceptsEndAndTheBacklogIsKept) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  for (uint32_t i = 0; i < 3; ++i) ring_->ArmAccept(listener, {Op::kAccept, i, 1});
  EXPECT_FALSE(Came({Op::kAccept, 0, 1}));
  ring_->CancelAccepts(listener);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(Wait({Op::kAccept, i, 1}).result, -ECANCELED);
  // The socket still listens: a new client is not lost.
  const PeerId peer = harness_->Connect(address);
  ASSERT_NE(peer, kNoPeer);
  ring_->ArmAccept(listener, {Op::kAccept, 0, 2});
  const Completion accept = Wait({Op::kAccept, 0, 2});
  ASSERT_GE(accept.result, 0);
  Track({SocketSide::kAccepted, accept.result, 0, 2, peer});
}

TEST_P(RingConnections, ARemovedListenerRefusesAndItsPlaceIsFree) {
  StartRing();
  const uint32_t limit = SmallOptions().listeners;
  for (uint32_t round = 0; round < limit + 2; ++round) {
    SocketAddress address;
    auto listener = ring_->AddListener(harness_->Listen(Transport::kTcp, false, &address), false);
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
    const Tag tag{Op::kAccept, 0, round};
    ring_->ArmAccept(*listener, tag);
    EXPECT_FALSE(Came(tag));
    ring_->CancelAccepts(*listener);
    EXPECT_EQ(Wait(tag).result, -ECANCELED);
    ring_->RemoveListener(*listener);
    ExpectNothing();
    EXPECT_EQ(harness_->Connect(address), kNoPeer);
    EXPECT_EQ(ring_->DescriptorsInUse(), 0u);
  }
}

TEST_P(RingConnections, AListenerMayComeBeforeTheStart) {
  auto ring = GetParam().make_ring(SmallOptions());
  ASSERT_TRUE(ring.ok()) << ring.status();
  ring_ = *std::move(ring);
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, true, true, &address);
  ASSERT_TRUE(ring_->Start().ok());
  const Conn conn = AcceptFrom(listener, address, 0);
  EXPECT_EQ(harness_->Write(conn.peer, "x"), 1u);
  EXPECT_EQ(Receive(conn), "x");
}

TEST_P(RingConnections, AFullTableSaysSoAndRecovers) {
  StartRing();
  SocketAddress address;
  const Fd listener = Listen(Transport::kTcp, false, false, &address);
  std::vector<Fd> accepted;
  Completion accept;
  PeerId peer = kNoPeer;
  for (uint32_t i = 0; i < 200; ++i) {
    ring_->ArmAccept(listener, {Op::kAccept, 0, i});
    peer = harness_->Connect(address);
    ASSERT_NE(peer, kNoPeer);
    accept = Wait({Op::kAccept, 0, i});
    if (accept.result < 0) break;
    accepted.push_back(accept.result);
  }
  EXPECT_EQ(accept.result, -ENFILE);
  EXPECT_GE(accepted.size(), SmallOptions().sessions + SmallOptions().accepts);
  EXPECT_EQ(ring_->DescriptorsInUse(), accepted.size() + 1);
  EXPECT_TRUE(harness_->AtEnd(peer)) << "the client that did not fit is not left waiting";

  Close({SocketSide::kAccepted, accepted.back(), 0, 1000});
  ring_->ArmAccept(listener, {Op::kAccept, 0, 1001});
  harness_->Connect(address);
  EXPECT_EQ(Wait({Op::kAccept, 0, 1001}).result, accepted.back());
  for (Fd fd : accepted) Close({SocketSide::kAccepted, fd, 0, 2000u + fd});
}

TEST_P(RingConnections, TheHeaderGoesFirstAndWhole) {
  StartRing();
  for (Transport transport : {Transport::kTcp, Transport::kUnix}) {
    SocketAddress address;
    const PeerId backend = harness_->ListenBackend(transport, 8, &address);
    Conn conn = ToOpen(5);
    const std::string header = Pattern(500);
    ring_->OpenUpstream(conn.fd, address, Octets(header), {}, true, OpenTag(conn));
    const Completion open = Wait(OpenTag(conn));
    ASSERT_EQ(open.result, 0);
    if (transport == Transport::kTcp) {
      EXPECT_EQ(IpToString(open.local), "127.0.0.1");
      EXPECT_NE(open.local.port, 0);
    } else {
      EXPECT_EQ(open.local.family, Endpoint::Family::kNone);
    }
    conn.peer = harness_->AcceptBackend(backend);
    Track(conn);
    EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
    EXPECT_EQ(SendAll(conn, "after"), 5);
    EXPECT_EQ(harness_->Read(conn.peer, 505), header + "after");
    EXPECT_EQ(harness_->Write(conn.peer, "back"), 4u);
    EXPECT_EQ(Receive(conn), "back");
    Close(conn);
    EXPECT_TRUE(harness_->AtEnd(conn.peer));
  }
}

TEST_P(RingConnections, ABrokenChainLeavesNothingBehind) {
  StartRing();
  const std::string header = "header";
  const SocketAddress refusing = harness_->RefusingAddress();
  for (int i = 0; i < 3; ++i) {
    const Conn conn = ToOpen(2);
    ring_->OpenUpstream(conn.fd, refusing, Octets(header), {}, true, OpenTag(conn));
    EXPECT_EQ(Wait(OpenTag(conn)).result, -ECONNREFUSED);
    EXPECT_EQ(ring_->DescriptorsInUse(), 0u);
  }
  ExpectNothing();
  // The index is free: the next connect can use it, and the server gets the header once.
  SocketAddress address;
  const PeerId backend = harness_->ListenBackend(Transport::kTcp, 8, &address);
  Conn conn = ToOpen(2);
  ring_->OpenUpstream(conn.fd, address, Octets(header), {}, false, OpenTag(conn));
  ASSERT_EQ(Wait(OpenTag(conn)).result, 0);
  conn.peer = harness_->AcceptBackend(backend);
  Track(conn);
  EXPECT_EQ(SendAll(conn, "."), 1);
  EXPECT_EQ(harness_->Read(conn.peer, 7), "header.");
}

TEST_P(RingConnections, AFullUnixBacklogAnswersAtOnce) {
  StartRing();
  SocketAddress address;
  const PeerId backend = harness_->ListenBackend(Transport::kUnix, 2, &address);
  for (uint32_t slot = 0; slot < 3; ++slot) {
    const Conn conn = ToOpen(slot);
    ring_->OpenUpstream(conn.fd, address, {}, {}, false, OpenTag(conn));
    ASSERT_EQ(Wait(OpenTag(conn)).result, 0);
    Track(conn);
  }
  const std::string header = "header";
  Conn late = ToOpen(3);
  ring_->OpenUpstream(late.fd, address, Octets(header), {}, false, OpenTag(late));
  EXPECT_EQ(Wait(OpenTag(late)).result, -EAGAIN);
  EXPECT_EQ(ring_->DescriptorsInUse(), 3u);
  // Once the backlog has room, the same index connects, and receives on it wait.
  EXPECT_NE(harness_->AcceptBackend(backend), kNoPeer);
  late = ToOpen(3);
  ring_->OpenUpstream(late.fd, address, Octets(header), {}, false, OpenTag(late));
  ASSERT_EQ(Wait(OpenTag(late)).result, 0);
  Track(late);
  harness_->AcceptBackend(backend);
  harness_->AcceptBackend(backend);
  late.peer = harness_->AcceptBackend(backend);
  EXPECT_EQ(harness_->Read(late.peer, 6), "header");
  ring_->Recv(late.fd, BufferGroup::kSmall, 100, late.recv());
  EXPECT_FALSE(Came(late.recv()));
  harness_->Write(late.peer, "now");
  const Completion recv = Wait(late.recv());
  EXPECT_EQ(Text(recv), "now");
  ring_->ReturnBuffer(recv.buffer);
}

TEST_P(RingConnections, ConnectsFromTheAddressThatIsAskedFor) {
  StartRing();
  SocketAddress address;
  harness_->ListenBackend(Transport::kTcp, 8, &address);
  Endpoint source;
  source.family = Endpoint::Family::kV4;
  source.ip = {127, 0, 0, 7};
  const std::string header = "header";
  const Conn conn = ToOpen(0);
  ring_->OpenUpstream(conn.fd, address, Octets(header), source, true, OpenTag(conn));
  const Completion opened = Wait(OpenTag(conn));
  ASSERT_EQ(opened.result, 0);
  Track(conn);
  EXPECT_EQ(IpToString(opened.local), "127.0.0.7");
  EXPECT_NE(opened.local.port, 0);
}

// A backend that neither answers nor refuses; the tests cancel in the same batch and in a
// later one.
class RingStalledConnect : public RingConformance {
 protected:
  void StartStalled() {
    StartRing();
    harness_->ListenBackend(Transport::kTcp, 0, &address_);
    const Conn first = ToOpen(0);
    ring_->OpenUpstream(first.fd, address_, {}, {}, false, OpenTag(first));
    ASSERT_EQ(Wait(OpenTag(first)).result, 0);
    Track(first);
  }
  SocketAddress address_;
};

TEST_P(RingStalledConnect, CancelEndsIt) {
  StartStalled();
  const std::string header = "header";
  for (bool later : {false, true}) {
    const Conn conn = ToOpen(1);
    ring_->OpenUpstream(conn.fd, address_, Octets(header), {}, true, OpenTag(conn));
    if (later) ExpectNothing();
    ring_->Cancel(conn.fd, conn.cancel());
    EXPECT_EQ(Wait(OpenTag(conn)).result, -ECANCELED);
    EXPECT_EQ(Wait(conn.cancel()).result, 0);
    EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
  }
  ExpectNothing();
}

TEST_P(RingStalledConnect, CloseEndsIt) {
  StartStalled();
  const std::string header = "header";
  for (bool later : {false, true}) {
    const Conn conn = ToOpen(1);
    ring_->OpenUpstream(conn.fd, address_, Octets(header), {}, true, OpenTag(conn));
    if (later) ExpectNothing();
    ring_->CancelAndClose(conn.fd, conn.close());
    EXPECT_EQ(Wait(OpenTag(conn)).result, -ECANCELED);
    EXPECT_EQ(Wait(conn.close()).result, 0);
    EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
  }
  ExpectNothing();
}

TEST_P(RingConnections, AHeaderThatDoesNotFitCanBeCancelled) {
  StartRing();
  SocketAddress address;
  harness_->ListenBackend(Transport::kTcp, 8, &address);
  const std::string header = Pattern(16 << 20);
  const Conn conn = ToOpen(0);
  ring_->OpenUpstream(conn.fd, address, Octets(header), {}, false, OpenTag(conn));
  ExpectNothing();
  ring_->Cancel(conn.fd, conn.cancel());
  EXPECT_EQ(Wait(OpenTag(conn)).result, -ECANCELED);
  EXPECT_EQ(Wait(conn.cancel()).result, 0);
  EXPECT_EQ(ring_->DescriptorsInUse(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, RingConnections, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(All, RingStalledConnect, testing::ValuesIn(RingVariants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace starling
