// How many sessions fit into what the process may use, with files as the kernel writes them.
#include "gateway/fitting.h"

#include <gtest/gtest.h>

#include <string>

#include "gateway/machine/made_up_tree.h"

namespace starling {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

Config TwoWorkers() {
  Config config{.workers = 2, .sessions_from = "auto"};
  ListenerConfig& listener = config.listeners.emplace_back();
  listener.bind = {*SocketAddress::Parse("127.0.0.1:25"), *SocketAddress::Parse("[::1]:25")};
  return config;
}

FittedSessions Fit(const Means& means, RingKind kind = RingKind::kUring) {
  return FitSessions(TwoWorkers(), kind, means);
}

TEST(FitSessions, TheCeilingWhereNothingElseCounts) {
  EXPECT_EQ(Fit({}).sessions, kMostAutoSessions);
  EXPECT_EQ(Fit({}).from, "the ceiling of auto");
  EXPECT_EQ(Fit({.open_files = 1'000'000, .available = uint64_t{64} << 30}).from,
            "the ceiling of auto");
}

// Each session has two descriptors. A table of io_uring is a worker's own; on epoll the workers
// share the limit of the process.
TEST(FitSessions, Descriptors) {
  const FittedSessions uring = Fit({.open_files = 20'000});
  const FittedSessions epoll = Fit({.open_files = 20'000}, RingKind::kEpoll);
  EXPECT_EQ(uring.from, "RLIMIT_NOFILE, 20000");
  EXPECT_EQ(epoll.from, "RLIMIT_NOFILE, 20000");
  EXPECT_GT(uring.sessions, 9'700u);
  EXPECT_LT(uring.sessions, 10'000u);
  EXPECT_GT(epoll.sessions, 4'700u);
  EXPECT_LT(epoll.sessions, 5'000u);
}

// The most for which the check has nothing to say.
TEST(FitSessions, OneMoreWouldBeTooMany) {
  for (const RingKind kind : {RingKind::kUring, RingKind::kEpoll}) {
    for (const Means& means :
         {Means{.open_files = 4'096}, Means{.open_files = 20'000}, Means{.open_files = 65'537}}) {
      Config config = TwoWorkers();
      config.limits.sessions = Fit(means, kind).sessions;
      EXPECT_TRUE(CheckFitting(config, kind, means).errors.empty()) << config.limits.sessions;
      ++config.limits.sessions;
      EXPECT_FALSE(CheckFitting(config, kind, means).errors.empty()) << config.limits.sessions;
    }
  }
}

TEST(FitSessions, TooFewDescriptorsForEvenOne) {
  EXPECT_EQ(Fit({.open_files = 64}).sessions, 1u);
  EXPECT_FALSE(CheckFitting(TwoWorkers(), RingKind::kUring, {.open_files = 64}).errors.empty());
}

// Half of the memory, for the slots of both workers.
TEST(FitSessions, HalfOfTheLeastMemory) {
  const auto slots = [](uint64_t octets) { return octets / 2 / kIdleSession / 2; };
  const uint32_t spare = SlotsOf({}) - GlobalLimits{}.sessions;
  const Means means[] = {
      {.memory = {{.what = "cgroup", .limit = 256 * kMiB}}},
      {.available = 256 * kMiB},
      {.address_space = 256 * kMiB},
      {.data = 256 * kMiB},
  };
  const std::string names[] = {"the control group's memory", "MemAvailable", "RLIMIT_AS",
                               "RLIMIT_DATA"};
  for (size_t i = 0; i < std::size(means); ++i) {
    EXPECT_EQ(Fit(means[i]).sessions, slots(256 * kMiB) - spare) << names[i];
    EXPECT_EQ(Fit(means[i]).from, "half of " + names[i] + ", 128 MiB");
  }
  Means several = means[0];
  several.available = 64 * kMiB;
  several.memory.push_back({.what = "cgroup", .limit = 128 * kMiB});
  EXPECT_EQ(Fit(several).sessions, slots(64 * kMiB) - spare);
  EXPECT_EQ(Fit({.memory = {{.what = "tcp", .limit = kMiB}}}).sessions, kMostAutoSessions)
      << "the kernel shares out that one";
  EXPECT_EQ(Fit({.available = kMiB}).sessions, 1u);
}

TEST(FitSessions, OthersFollow) {
  GlobalLimits limits{.sessions = 20'000};
  EXPECT_EQ(HandshakesInFlight(limits), SlotsOf(limits));
  EXPECT_EQ(HandshakeQueue(limits), SlotsOf(limits));
  EXPECT_EQ(OutputBuffers(limits), kBlocksPerSession * SlotsOf(limits));
  limits.handshakes_in_flight = 7;
  limits.handshake_queue = 8;
  EXPECT_EQ(HandshakesInFlight(limits), 7u);
  EXPECT_EQ(HandshakeQueue(limits), 8u);
}

// As many as fit are no wish, so the ports towards a server are no obstacle.
TEST(FitSessions, PortsOfServersAreNoWarning) {
  Config config = TwoWorkers();
  config.backends.resize(1);
  config.backends[0].servers = {*SocketAddress::Parse("192.0.2.1:25")};
  const Means means{.ports = 100};
  EXPECT_TRUE(CheckFitting(config, RingKind::kEpoll, means).warnings.empty());
  config.sessions_from.clear();
  EXPECT_EQ(CheckFitting(config, RingKind::kEpoll, means).warnings.size(), 1u);
}

class MeansTest : public MadeUpTree {};

TEST_F(MeansTest, OfFiles) {
  EXPECT_EQ(Means::OfProcess(root()).available, UINT64_MAX) << "no file";
  EXPECT_EQ(Means::OfProcess(root()).ports, UINT64_MAX);
  Write("/proc/meminfo",
        "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    524288 kB\n");
  Write("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
  Write("/proc/self/cgroup", "0::/system.slice/starling.service\n");
  Write("/proc/self/mountinfo",
        "30 22 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n");
  Write("/sys/fs/cgroup/system.slice/memory.max", "134217728\n");
  Means means = Means::OfProcess(root());
  EXPECT_EQ(means.available, 512 * kMiB);
  EXPECT_EQ(means.ports, 28'232u);
  // The limits of this process are whatever they are.
  means.open_files = means.locked_memory = means.address_space = means.data = UINT64_MAX;
  EXPECT_EQ(Fit(means).from, "half of the control group's memory, 64 MiB");
}

}  // namespace
}  // namespace starling
