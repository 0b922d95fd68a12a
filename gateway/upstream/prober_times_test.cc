// Tests when the prober probes a server: after a suspicion, and while it stays down.
// Not for: what a probe says and what its answer means (prober_test.cc).
#include <atomic>
#include <vector>

#include "gateway/upstream/prober_testing.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

TEST_F(ProberTest, AProbeJudgesASuspect) {
  std::atomic<int> greeted{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    ++greeted;
    Write(fd, "HI\n");
    ReadAll(fd);
  });
  options_.interval_ms = 3'600'000;
  options_.retry_ms = 1;
  Begin({server.address()}, {.protocol = &kGreets});
  Until([&] { return greeted == 1; });
  backends_->Suspect(0);
  Until([&] { return greeted == 2; });
  EXPECT_TRUE(backends_->server(0).up());
  EXPECT_EQ(changes_.count(), 0u);
}

// However many sessions a client gets refused: one probe in `retry_ms`.
TEST_F(ProberTest, SuspicionsDoNotMakeMoreProbes) {
  std::atomic<int> greeted{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    ++greeted;
    Write(fd, "HI\n");
    ReadAll(fd);
  });
  options_.interval_ms = options_.retry_ms = 3'600'000;
  Begin({server.address()}, {.protocol = &kGreets});
  Until([&] { return greeted == 1; });
  for (int i = 0; i < 1'000; ++i) backends_->Suspect(0);
  FakeServer other("127.0.0.1:0", nullptr);  // time for the prober
  prober_.reset();
  EXPECT_EQ(greeted, 1);
}

// Each wait is twice the one before, up to the limit.
TEST_F(ProberTest, BacksOff) {
  std::vector<uint32_t> waits;
  std::atomic<size_t> count{0};
  FakeServer server("127.0.0.1:0", [](int) {});
  options_.retry_ms = 100;
  options_.retry_max_ms = 1'000;
  options_.jitter = [&](uint32_t ms) {
    waits.push_back(ms);
    ++count;
    return 0;
  };
  Begin({server.address()}, {.protocol = &kGreets});
  Until([&] { return count >= 8; });
  prober_.reset();
  waits.resize(8);
  EXPECT_EQ(waits, (std::vector<uint32_t>{25, 50, 100, 200, 400, 800, 1'000, 1'000}));
}

}  // namespace
}  // namespace starling
