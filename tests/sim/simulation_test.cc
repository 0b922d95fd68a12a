// Runs thousands of simulations, each twice. seeds.h has its environment.
#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "tests/sim/seeds.h"

namespace starling::sim {
namespace {

// This many seeds reach every reason.
constexpr uint64_t kFullRun = 2'000;

// This simulation has no clients of Telnet, HTTP or FTP, none that gives commands for
// minutes, no server with an endless greeting, no listener that delays its own, nobody who takes
// nothing for minutes, and all the memory that it wants. Other tests reach these reasons
// (admission_test.cc, ftp_simulation_test.cc, pre_relay_test.cc, pregreet_test.cc,
// protocols/line_replies_test.cc, tests/e2e/test_ftp_lines.py, tests/e2e/test_memory.py,
// tests/e2e/test_sources.py, tests/e2e/test_balancers.py).
bool IsOfOthers(EndReason reason) {
  constexpr EndReason kOthers[] = {
      EndReason::kTlsRequired,
      EndReason::kDataDropped,
      EndReason::kClientBareEnd,
      EndReason::kPreRelayTotal,
      EndReason::kPreRelaySilence,
      EndReason::kPreRelayCrowded,
      EndReason::kBackendTooLong,
      EndReason::kSourceSessions,
      EndReason::kSourceConnections,
      EndReason::kSourceHandshakes,
      EndReason::kSourceFailures,
      EndReason::kDenied,
      EndReason::kHandshakeLate,
      EndReason::kPregreet,
      EndReason::kClientStalled,
      EndReason::kBackendStalled,
      EndReason::kMemoryPressure,
      EndReason::kMemoryLimit,
      EndReason::kProbe,
  };
  return std::find(std::begin(kOthers), std::end(kOthers), reason) != std::end(kOthers);
}

TEST(Simulation, HoldsItsInvariantsAndIsReproducible) {
  const auto [first, count, trace] = SeedsToRun(kFullRun);

  std::array<uint64_t, kEndReasonCount> reasons{};
  uint64_t sessions = 0;
  uint64_t turns = 0;
  uint64_t resumed = 0;
  uint32_t least = UINT32_MAX;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const RunResult result = RunSimulation(seed, trace >= 1);
    ASSERT_TRUE(result.failures.empty()) << Describe(seed, result.failures);
    const RunResult again = RunSimulation(seed, trace >= 2);
    ASSERT_EQ(result.trace_hash, again.trace_hash) << "seed " << seed << " is not reproducible";
    for (size_t i = 0; i < kEndReasonCount; ++i) reasons[i] += result.reasons[i];
    sessions += result.accepted;
    turns += result.turns;
    resumed += result.resumed;
    least = std::min(least, result.most_at_once);
  }
  std::printf("%llu seeds, %llu sessions, %llu resumed, %llu turns, at least %u at once\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(sessions),
              static_cast<unsigned long long>(resumed), static_cast<unsigned long long>(turns),
              least);
  for (size_t i = 0; i < kEndReasonCount; ++i) {
    std::printf("  %-24s %llu\n", std::string(kEndReasonLabels[i]).c_str(),
                static_cast<unsigned long long>(reasons[i]));
  }
  EXPECT_GE(least, 20u) << "sessions must overlap";
  if (count < kFullRun) return;
  EXPECT_GT(resumed, 0u);
  for (size_t i = 1; i < kEndReasonCount; ++i) {
    if (IsOfOthers(static_cast<EndReason>(i))) continue;
    EXPECT_GT(reasons[i], 0u) << "no session ended with " << kEndReasonLabels[i];
  }
}

}  // namespace
}  // namespace starling::sim
