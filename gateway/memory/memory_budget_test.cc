#include "gateway/memory/memory_budget.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

namespace starling {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr MemoryWatch::Percent kUsual{.relief = 80, .refusal = 90};

MemoryUse Group(uint64_t used, uint64_t limit) {
  return {.what = "cgroup", .used = used, .limit = limit};
}

TEST(MemoryBudgetTest, TheSmallestLimitBoundsWhatWaits) {
  EXPECT_EQ(QueueLimitOf(std::nullopt, {}).octets, kMostQueued);
  EXPECT_EQ(QueueLimitOf(std::nullopt, {}).bound_by, "");
  const QueueLimit of_group =
      QueueLimitOf(std::nullopt, {{.what = "tcp", .limit = 8 * kMiB},
                                  Group(0, 256 * kMiB),
                                  {.what = "RLIMIT_DATA", .limit = 1'024 * kMiB}});
  EXPECT_EQ(of_group.octets, 64 * kMiB) << "blocks are no part of the kernel's memory for TCP";
  EXPECT_EQ(of_group.bound_by, "cgroup");
  const QueueLimit of_process =
      QueueLimitOf(std::nullopt, {Group(0, 256 * kMiB), {.what = "RLIMIT_AS", .limit = 40 * kMiB}});
  EXPECT_EQ(of_process.octets, 10 * kMiB);
  EXPECT_EQ(of_process.bound_by, "RLIMIT_AS");
  EXPECT_EQ(QueueLimitOf(std::nullopt, {Group(0, uint64_t{1} << 40)}).octets, kMostQueued);
}

TEST(MemoryBudgetTest, TheConfigurationDecides) {
  EXPECT_EQ(QueueLimitOf(200 * kMiB, {Group(0, 256 * kMiB)}).octets, 200 * kMiB);
  EXPECT_EQ(QueueLimitOf(0, {Group(0, 256 * kMiB)}).octets, 0u) << "any number";
}

TEST(MemoryBudgetTest, WithoutALimitNothingIsBounded) {
  const MemoryShare share = ShareOf({}, 0, 5 * kMiB, 2, kUsual);
  EXPECT_EQ(share, (MemoryShare{.ends = true}));
  EXPECT_EQ(ShareOf({{.what = "tcp", .used = 99, .limit = 100}}, 0, 0, 2, kUsual), share)
      << "the kernel drops there, and ends no process";
}

TEST(MemoryBudgetTest, WorkersDivideWhatMayWait) {
  for (const uint64_t workers : {1, 2, 4, 8}) {
    const MemoryShare share = ShareOf({}, 80 * kMiB, 3 * kMiB, workers, kUsual);
    EXPECT_EQ(share.most, 80 * kMiB / workers);
    EXPECT_EQ(share.hold, share.most / 100 * 80);
    EXPECT_EQ(share.moved, UINT64_MAX);
  }
}

TEST(MemoryBudgetTest, WhatIsLeftBoundsThemAsWell) {
  // 90 of 100 MiB may be used, and 50 are.
  const std::vector<MemoryUse> uses = {Group(50 * kMiB, 100 * kMiB), Group(0, 500 * kMiB)};
  const uint64_t left = 100 * kMiB / 100 * 90 - 50 * kMiB;
  uint64_t in_all = 0;
  for (const uint64_t queued : {uint64_t{0}, 1 * kMiB, 6 * kMiB, 8 * kMiB}) {
    const MemoryShare share = ShareOf(uses, 0, queued, 4, kUsual);
    EXPECT_EQ(share.most, queued + left / 4);
    EXPECT_EQ(share.moved, left / 16);
    in_all += share.most - queued;
  }
  EXPECT_EQ(in_all, left) << "all of them together stay below the limit";
  EXPECT_EQ(ShareOf(uses, 4 * kMiB, 0, 4, kUsual).most, 1 * kMiB);
}

TEST(MemoryBudgetTest, RelaysGoOnWhereNothingIsLeft) {
  const MemoryShare share = ShareOf({Group(99 * kMiB, 100 * kMiB)}, 0, 0, 2, kUsual);
  EXPECT_EQ(share.most, kLeastWorkerShare);
  EXPECT_GT(share.hold, 0u);
  EXPECT_EQ(share.moved, kLeastWorkerShare);
}

TEST(MemoryBudgetTest, WithoutReliefRelaysOnlyWait) {
  const MemoryShare share = ShareOf({}, 8 * kMiB, 0, 2, {.relief = 0, .refusal = 90});
  EXPECT_FALSE(share.ends);
  EXPECT_EQ(share.hold, share.most);
  const MemoryShare full = ShareOf({Group(0, 100)}, 0, 0, 1, {.relief = 80, .refusal = 0});
  EXPECT_EQ(full.most, kLeastWorkerShare) << "not without a bound";
}

TEST(MemoryBudgetTest, TheLimitsOfThisProcess) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &before), 0);
  const rlimit lower{.rlim_cur = uint64_t{1} << 42, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &lower), 0);
  const std::vector<MemoryUse> limits = ProcessLimits();
  const auto data = std::ranges::find(limits, "RLIMIT_DATA", &MemoryUse::what);
  ASSERT_NE(data, limits.end());
  EXPECT_EQ(data->limit, uint64_t{1} << 42);
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &before), 0);
}

}  // namespace
}  // namespace starling
