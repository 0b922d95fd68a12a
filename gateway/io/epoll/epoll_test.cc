// What only a ring on readiness can get wrong: what a short receive means, how often it asks the
// kernel, and what happens when the process runs out of descriptors.
#include "gateway/io/epoll/epoll.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include "gateway/io/socket_harness.h"

namespace starling::epoll {
namespace {

constexpr Endpoint kAnywhere{};

class EpollTest : public testing::Test {
 protected:
  void SetUp() override {
    RingOptions options;
    options.sessions = 8;
    ring_ = std::make_unique<EpollRing>(options);
    ASSERT_TRUE(ring_->Init().ok() && ring_->Start().ok());
  }

  Completion WaitFor(Op op) {
    for (int i = 0; i < 100; ++i) {
      const auto found = std::ranges::find_if(
          come_, [op](const Completion& completion) { return completion.tag.op == op; });
      if (found != come_.end()) {
        const Completion completion = *found;
        come_.erase(found);
        return completion;
      }
      ring_->Turn(MonotonicNow() + std::chrono::milliseconds(100), come_);
    }
    ADD_FAILURE() << "no completion of operation " << static_cast<int>(op);
    return {};
  }

  // A client that the ring has accepted.
  Fd Accepted(Transport transport, PeerId* peer) {
    SocketAddress address;
    const Fd listener = *ring_->AddListener(harness_.Listen(transport, false, &address), false);
    ring_->ArmAccept(listener, {Op::kAccept, 0, 1});
    *peer = harness_.Connect(address);
    return WaitFor(Op::kAccept).result;
  }

  std::string Receive(Fd fd, uint32_t max = 100) {
    ring_->Recv(fd, BufferGroup::kSmall, max, {Op::kRecv, 0, 1});
    const Completion recv = WaitFor(Op::kRecv);
    if (recv.result <= 0) return "";
    const auto data = ring_->Buffer(recv.buffer).first(static_cast<size_t>(recv.result));
    const std::string text(data.begin(), data.end());
    ring_->ReturnBuffer(recv.buffer);
    return text;
  }

  std::map<std::string, uint64_t> Counts() {
    const auto counts = ring_->OperationCounts();
    return {counts.begin(), counts.end()};
  }

  SocketHarness harness_;
  std::unique_ptr<EpollRing> ring_;
  std::vector<Completion> come_;
};

// The kernel ends a receive before an urgent octet, though more octets wait behind it. No other
// event would tell of those.
TEST_F(EpollTest, AnUrgentOctetHidesNothing) {
  for (const bool armed : {false, true}) {
    PeerId peer = kNoPeer;
    const Fd fd = Accepted(Transport::kTcp, &peer);
    if (armed) EXPECT_EQ(harness_.Write(peer, "-"), 1u);
    if (armed) EXPECT_EQ(Receive(fd), "-");
    if (armed) ring_->Recv(fd, BufferGroup::kSmall, 100, {Op::kRecv, 0, 1});
    if (armed) ring_->Turn(MonotonicNow(), come_);
    EXPECT_EQ(send(peer, "abc!", 4, MSG_OOB), 4);
    EXPECT_EQ(harness_.Write(peer, "def"), 3u);
    std::string all;
    if (armed) {
      const Completion recv = WaitFor(Op::kRecv);
      const auto data = ring_->Buffer(recv.buffer).first(static_cast<size_t>(recv.result));
      all.assign(data.begin(), data.end());
      ring_->ReturnBuffer(recv.buffer);
    }
    while (all.size() < 6) {
      const std::string part = Receive(fd);
      ASSERT_FALSE(part.empty()) << all;
      all += part;
    }
    EXPECT_EQ(all, "abcdef");
  }
}

// The same on a Unix socket, where a descriptor that is sent along ends a receive.
TEST_F(EpollTest, ADescriptorThatIsSentAlongHidesNothing) {
  PeerId peer = kNoPeer;
  const Fd fd = Accepted(Transport::kUnix, &peer);
  EXPECT_EQ(harness_.Write(peer, "-"), 1u);
  EXPECT_EQ(Receive(fd), "-");
  char octets[] = "abc";
  iovec part{.iov_base = octets, .iov_len = 3};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = STDERR_FILENO;
  ASSERT_EQ(sendmsg(peer, &message, 0), 3);
  EXPECT_EQ(harness_.Write(peer, "def"), 3u);
  std::string all;
  while (all.size() < 6) all += Receive(fd);
  EXPECT_EQ(all, "abcdef");
}

// In a steady exchange a message in and a message out cost one wait, one receive and one send.
TEST_F(EpollTest, AnExchangeTakesThreeCalls) {
  for (const Transport transport : {Transport::kTcp, Transport::kUnix}) {
    PeerId peer = kNoPeer;
    const Fd fd = Accepted(transport, &peer);
    constexpr uint64_t kRounds = 20;
    std::map<std::string, uint64_t> before;
    for (uint64_t round = 0; round <= kRounds; ++round) {
      if (round == 1) before = Counts();
      ring_->Recv(fd, BufferGroup::kSmall, 100, {Op::kRecv, 0, 1});
      ring_->Turn(MonotonicNow(), come_);
      harness_.Write(peer, "question");
      const Completion recv = WaitFor(Op::kRecv);
      ASSERT_EQ(recv.result, 8);
      ring_->ReturnBuffer(recv.buffer);
      const std::string answer = "answer";
      ring_->Send(fd, {reinterpret_cast<const uint8_t*>(answer.data()), answer.size()},
                  {Op::kSend, 0, 1});
      EXPECT_EQ(WaitFor(Op::kSend).result, 6);
      EXPECT_EQ(harness_.Read(peer, 6), answer);
    }
    std::map<std::string, uint64_t> after = Counts();
    EXPECT_EQ(after["SEND"] - before["SEND"], kRounds);
    // A Unix socket is asked once more, since a short receive does not show that it is empty.
    const uint64_t each = transport == Transport::kTcp ? 1 : 2;
    EXPECT_EQ(after["RECV"] - before["RECV"], kRounds * each);
    // This test itself waits twice a round: once before the peer has written.
    EXPECT_LE(after["EPOLL_WAIT"] - before["EPOLL_WAIT"], 2 * kRounds);
    EXPECT_EQ(after["EPOLL_CTL"], before["EPOLL_CTL"]);
  }
}

TEST_F(EpollTest, ASendThatHasToWaitOnAUnixSocketGoesOn) {
  PeerId peer = kNoPeer;
  const Fd fd = Accepted(Transport::kUnix, &peer);
  const std::string data(4 << 20, 'x');
  ring_->Send(fd, {reinterpret_cast<const uint8_t*>(data.data()), data.size()}, {Op::kSend, 0, 1});
  size_t read = 0;
  while (read < data.size()) {
    ring_->Turn(MonotonicNow(), come_);
    read += harness_.Read(peer, data.size() - read).size();
  }
  EXPECT_EQ(WaitFor(Op::kSend).result, static_cast<int32_t>(data.size()));
}

// An event of a socket that is gone must not make its successor at the same index look connected.
TEST_F(EpollTest, AnOldEventDoesNotReachTheNextSocket) {
  SocketAddress address;
  const PeerId full = harness_.ListenBackend(Transport::kTcp, 0, &address);
  ASSERT_NE(harness_.Connect(address), kNoPeer);  // so that the next connect waits
  SocketAddress good;
  harness_.ListenBackend(Transport::kTcp, 8, &good);
  for (uint32_t round = 1; round <= 20; ++round) {
    ring_->OpenUpstream(0, good, {}, kAnywhere, false, {Op::kOpen, 0, round});
    // Its event waits in the kernel when the socket is closed and its index used again.
    ring_->CancelAndClose(0, {Op::kClose, 0, round});
    EXPECT_EQ(WaitFor(Op::kOpen).result, -ECANCELED);
    WaitFor(Op::kClose);
    ring_->OpenUpstream(0, address, {}, kAnywhere, false, {Op::kOpen, 0, round});
    ring_->Turn(MonotonicNow() + std::chrono::milliseconds(1), come_);
    EXPECT_TRUE(come_.empty());
    ring_->CancelAndClose(0, {Op::kClose, 0, round});
    EXPECT_EQ(WaitFor(Op::kOpen).result, -ECANCELED);
    WaitFor(Op::kClose);
  }
  harness_.Close(full);
}

// A removed listening socket may live on in another descriptor, as those of the main thread do.
TEST_F(EpollTest, ARemovedListenerIsSilent) {
  SocketAddress address;
  const int os_fd = harness_.Listen(Transport::kTcp, false, &address);
  const int kept = dup(os_fd);
  ring_->RemoveListener(*ring_->AddListener(os_fd, false));
  const uint64_t before = Counts()["EPOLL_WAIT"];
  ASSERT_NE(harness_.Connect(address), kNoPeer);
  ring_->Turn(MonotonicNow() + std::chrono::milliseconds(5), come_);
  EXPECT_TRUE(come_.empty());
  EXPECT_EQ(Counts()["EPOLL_WAIT"], before + 1) << "nothing ended the wait before its time";
  close(kept);
}

TEST_F(EpollTest, WithoutFreeDescriptorsItSaysSoAndRecovers) {
  SocketAddress address;
  const Fd listener = *ring_->AddListener(harness_.Listen(Transport::kTcp, false, &address), false);
  SocketAddress backend;
  harness_.ListenBackend(Transport::kTcp, 8, &backend);
  ASSERT_NE(harness_.Connect(address), kNoPeer);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest = dup(STDERR_FILENO);
  close(lowest);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest), .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  ring_->ArmAccept(listener, {Op::kAccept, 0, 1});
  EXPECT_EQ(WaitFor(Op::kAccept).result, -EMFILE);
  ring_->OpenUpstream(0, backend, {}, kAnywhere, false, {Op::kOpen, 0, 1});
  EXPECT_EQ(WaitFor(Op::kOpen).result, -EMFILE);
  EXPECT_EQ(ring_->DescriptorsInUse(), 1u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ring_->ArmAccept(listener, {Op::kAccept, 0, 1});
  EXPECT_GE(WaitFor(Op::kAccept).result, 0) << "the client has waited in the backlog";
  ring_->OpenUpstream(0, backend, {}, kAnywhere, false, {Op::kOpen, 0, 1});
  EXPECT_EQ(WaitFor(Op::kOpen).result, 0);
}

TEST_F(EpollTest, WakeEndsAWaitWithoutADeadline) {
  // The thread either waits already or finds the wake-up when it begins to wait.
  std::thread worker([this] {
    while (come_.empty()) ring_->Turn(kNever, come_);
    EXPECT_EQ(come_.front().tag.op, Op::kWake);
  });
  ring_->Wake();
  worker.join();
}

}  // namespace
}  // namespace starling::epoll
