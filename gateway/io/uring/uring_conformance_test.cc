// Runs the conformance suite on the real ring, and tests its own properties: which
// operations the feature switches change, limits, and waking a waiting thread.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include "gateway/io/socket_harness.h"
#include "gateway/io/uring/make_uring.h"
#include "gateway/io/uring/uring_probe.h"

namespace starling {
namespace {

using uring::MakeUring;
using uring::ProbeRing;
using uring::RingFeatures;
using uring::RingProbe;
using uring::RingUnavailable;

absl::StatusOr<std::unique_ptr<Ring>> WithNone(const RingOptions& wanted) {
  RingOptions options = wanted;
  options.features = "none";
  return MakeUring(options);
}

}  // namespace

std::vector<RingVariant> RingVariants() {
  return {{"AllFeatures", MakeUring, SocketHarness::Make},
          {"NoFeatures", WithNone, SocketHarness::Make}};
}

namespace {

using Counts = std::map<std::string, uint64_t>;

Completion WaitFor(Ring& ring, Op op) {
  std::vector<Completion> out;
  for (int i = 0; i < 100; ++i) {
    ring.Turn(MonotonicNow() + std::chrono::milliseconds(100), out);
    for (const Completion& completion : out) {
      if (completion.tag.op == op) return completion;
    }
  }
  ADD_FAILURE() << "no completion of operation " << static_cast<int>(op);
  return {};
}

// Makes one connection in (to a wildcard) and one out, both with local addresses, then a
// flood of completions. Returns the counts of submitted operations.
Counts SubmittedWith(const RingFeatures& features) {
  SocketHarness harness;
  RingOptions options;
  options.features = features.ToString();
  auto made = MakeUring(options);
  EXPECT_TRUE(made.ok()) << made.status();
  Ring& ring = **made;
  EXPECT_TRUE(ring.Start().ok());
  EXPECT_EQ(ring.acknowledges(), features.socket_options);

  SocketAddress address;
  const Fd listener = *ring.AddListener(harness.Listen(Transport::kTcp, true, &address), true);
  const Counts before = [&ring] {
    auto counts = ring.OperationCounts();
    return Counts(counts.begin(), counts.end());
  }();
  ring.ArmAccept(listener, {Op::kAccept, 0, 1});
  harness.Connect(address);
  EXPECT_EQ(ToString(WaitFor(ring, Op::kAccept).local), address.ToString());
  SocketAddress backend;
  const PeerId backend_listener = harness.ListenBackend(Transport::kTcp, 8, &backend);
  ring.OpenUpstream(0, backend, {}, {}, true, {Op::kOpen, 0, 1, SocketSide::kOpened});
  const Completion open = WaitFor(ring, Op::kOpen);
  EXPECT_EQ(open.result, 0);
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  const PeerId accepted = harness.AcceptBackend(backend_listener);
  EXPECT_EQ(getpeername(accepted, reinterpret_cast<sockaddr*>(&peer), &length), 0);
  EXPECT_EQ(ToString(open.local),
            SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&peer), length).ToString());
  std::vector<Completion> out;
  for (uint32_t slot = 0; slot < 100; ++slot) ring.Cancel(0, {Op::kCancel, slot, 1});
  ring.Turn(MonotonicNow(), out);
  ring.Turn(MonotonicNow() + std::chrono::milliseconds(1), out);

  Counts counts;
  for (const auto& [name, count] : ring.OperationCounts()) {
    const auto earlier = before.find(name);
    const bool setting = name.starts_with("setup");
    counts[name] = setting || earlier == before.end() ? count : count - earlier->second;
  }
  return counts;
}

TEST(UringFeaturesTest, EachSwitchChangesWhatIsSubmitted) {
  const RingProbe probe = ProbeRing();
  ASSERT_EQ(probe.unavailable, RingUnavailable::kNo) << probe.message;
  struct Switch {
    bool RingFeatures::* field;
    const char* counted;
  };
  const Switch kSwitches[] = {{&RingFeatures::defer_taskrun, "setup_defer_taskrun"},
                              {&RingFeatures::socket_options, "URING_CMD"},
                              {&RingFeatures::fixed_fd_install, "FIXED_FD_INSTALL"},
                              {&RingFeatures::min_wait, "enter_min_wait"}};
  Counts all = SubmittedWith(probe.features);
  Counts none = SubmittedWith(RingFeatures::None());
  for (const Switch& one : kSwitches) {
    SCOPED_TRACE(one.counted);
    EXPECT_EQ(none[one.counted], 0u);
    if (!(probe.features.*one.field)) continue;  // this kernel does not have it
    EXPECT_GT(all[one.counted], 0u);
    RingFeatures without = probe.features;
    without.*one.field = false;
    EXPECT_EQ(SubmittedWith(without)[one.counted], 0u);
  }
  // Without the two features, the ring makes the sockets outside and puts them into the
  // table.
  EXPECT_EQ(all["FILES_UPDATE"], 0u);
  EXPECT_EQ(none["FILES_UPDATE"], 2u);
  EXPECT_EQ(none["SOCKET"], 0u);
}

// The local address costs nothing if nobody asks for it.
TEST(UringFeaturesTest, AcceptWithoutALocalAddressIsOneOperation) {
  for (const RingFeatures& features : {RingFeatures(), RingFeatures::None()}) {
    SocketHarness harness;
    RingOptions options;
    options.features = features.ToString();
    auto ring = MakeUring(options);
    ASSERT_TRUE(ring.ok() && (*ring)->Start().ok());
    SocketAddress address;
    const Fd listener =
        *(*ring)->AddListener(harness.Listen(Transport::kTcp, true, &address), false);
    std::vector<Completion> out;
    (*ring)->Turn(MonotonicNow(), out);
    auto sum = [&ring] {
      uint64_t all = 0;
      for (const auto& [name, count] : (*ring)->OperationCounts()) {
        if (name == "ACCEPT" || name == "FILES_UPDATE" || name == "FIXED_FD_INSTALL") all += count;
      }
      return all;
    };
    const uint64_t before = sum();
    (*ring)->ArmAccept(listener, {Op::kAccept, 0, 1});
    harness.Connect(address);
    EXPECT_GE(WaitFor(**ring, Op::kAccept).result, 0);
    EXPECT_EQ(sum(), before + 1);
  }
}

TEST(UringTest, AnAcceptTooManyIsRefused) {
  SocketHarness harness;
  RingOptions options;
  options.accepts = 1;
  auto ring = MakeUring(options);
  ASSERT_TRUE(ring.ok() && (*ring)->Start().ok());
  SocketAddress address;
  const Fd listener =
      *(*ring)->AddListener(harness.Listen(Transport::kTcp, false, &address), false);
  (*ring)->ArmAccept(listener, {Op::kAccept, 0, 1});
  (*ring)->ArmAccept(listener, {Op::kAccept, 1, 1});
  const Completion second = WaitFor(**ring, Op::kAccept);
  EXPECT_EQ(second.tag.slot, 1u);
  EXPECT_EQ(second.result, -EBUSY);
}

// Closing an open data connection resets it, and it comes from the requested address.
TEST(UringTest, ADataConnectionIsResetWhenItIsClosed) {
  for (const bool ended : {false, true}) {
    auto ring = MakeUring({});
    ASSERT_TRUE(ring.ok() && (*ring)->Start().ok());
    const SocketAddress any = *SocketAddress::Parse("127.0.0.1:0");
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener, any.get(), any.length()), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    const SocketAddress address = LocalAddress(listener);
    const Endpoint source{.family = Endpoint::Family::kV4, .port = 0, .ip = {127, 0, 0, 9}};
    (*ring)->OpenData(3, address, source, {Op::kOpen, 3, 1, SocketSide::kOpened});
    ASSERT_EQ(WaitFor(**ring, Op::kOpen).result, 0);
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    const int fd = accept(listener, reinterpret_cast<sockaddr*>(&peer), &length);
    ASSERT_GE(fd, 0);
    const auto from = SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&peer), length);
    EXPECT_EQ(IpToString(from.endpoint()), "127.0.0.9");
    if (ended) {
      shutdown(fd, SHUT_WR);
      (*ring)->Recv(3, BufferGroup::kSmall, 1, {Op::kRecv, 3, 1, SocketSide::kOpened});
      EXPECT_EQ(WaitFor(**ring, Op::kRecv).result, 0);
      (*ring)->ShutdownWrite(3, {Op::kShutdown, 3, 1, SocketSide::kOpened});
      EXPECT_EQ(WaitFor(**ring, Op::kShutdown).result, 0);
    }
    (*ring)->CancelAndClose(3, {Op::kClose, 3, 1, SocketSide::kOpened});
    WaitFor(**ring, Op::kClose);
    char octet;
    const ssize_t got = recv(fd, &octet, 1, 0);
    EXPECT_EQ(got, ended ? 0 : -1);
    if (!ended) EXPECT_EQ(errno, ECONNRESET);
    close(fd);
    close(listener);
  }
}

TEST(UringTest, WakeEndsAWaitWithoutADeadline) {
  auto ring = MakeUring({});
  ASSERT_TRUE(ring.ok());
  std::atomic<bool> stopped{false};
  // The thread either waits already or finds the wake-up when it begins to wait.
  std::thread worker([&] {
    EXPECT_TRUE((*ring)->Start().ok());
    std::vector<Completion> out;
    while (out.empty()) (*ring)->Turn(kNever, out);
    EXPECT_EQ(out.front().tag.op, Op::kWake);
    ring->reset();
    stopped = true;
  });
  (*ring)->Wake();
  worker.join();
  EXPECT_TRUE(stopped);
}

TEST(UringTest, ATableBeyondTheLimitOfOpenFilesIsExplained) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur > (1u << 22)) GTEST_SKIP() << "no limit here to be met";
  RingOptions options;
  options.sessions = static_cast<uint32_t>(limit.rlim_cur);
  auto ring = MakeUring(options);
  ASSERT_FALSE(ring.ok());
  const std::string message(ring.status().message());
  EXPECT_NE(message.find("RLIMIT_NOFILE"), std::string::npos) << message;
  EXPECT_NE(message.find(std::to_string(limit.rlim_cur)), std::string::npos) << message;
}

TEST(UringTest, OddNumbersOfBuffersAreRefused) {
  RingOptions options;
  options.small_buffers = 100;
  auto ring = MakeUring(options);
  ASSERT_TRUE(ring.ok());
  const absl::Status status = (*ring)->Start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("power of two"), std::string::npos) << status;
}

}  // namespace
}  // namespace starling
