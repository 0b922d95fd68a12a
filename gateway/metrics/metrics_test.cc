#include "gateway/metrics/metrics.h"

#include <map>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

constexpr size_t kListeners = 3;
constexpr size_t kServers = 5;

// Writes a distinct value to every cell and checks that no cell overwrites another.
TEST(Shard, EveryCellIsItsOwn) {
  Shard shard(kListeners, kServers);
  int64_t next = 0;
  for (int pass = 0; pass < 2; ++pass) {
    next = 0;
    const auto step = [&](auto add, auto get) {
      ++next;
      if (pass == 0) {
        EXPECT_EQ(get(), 0u);
        add(next);
      } else {
        EXPECT_EQ(get(), static_cast<uint64_t>(next));
      }
    };
    for (ListenerId id = 0; id < kListeners; ++id) {
      for (size_t f = 0; f < std::size(kListenerFamilies); ++f) {
        const Family family = static_cast<Family>(f);
        for (size_t r = 0; r < kListenerFamilies[f].rows.size(); ++r) {
          for (size_t c = 0; c < kListenerFamilies[f].cols.size(); ++c) {
            step([&](int64_t n) { shard.Add(family, id, r, c, n); },
                 [&] { return shard.Get(family, id, r, c); });
          }
        }
      }
    }
    for (ServerSeries id = 0; id < kServers; ++id) {
      for (size_t f = 0; f < std::size(kServerFamilies); ++f) {
        const ServerFamily family = static_cast<ServerFamily>(f);
        for (size_t r = 0; r < kServerFamilies[f].rows.size(); ++r) {
          step([&](int64_t n) { shard.AddServer(family, id, r, n); },
               [&] { return shard.GetServer(family, id, r); });
        }
      }
    }
    for (size_t f = 0; f < std::size(kWorkerFamilies); ++f) {
      const WorkerFamily family = static_cast<WorkerFamily>(f);
      for (size_t r = 0; r < kWorkerFamilies[f].rows.size(); ++r) {
        step([&](int64_t n) { shard.AddWorker(family, r, n); },
             [&] { return shard.GetWorker(family, r); });
      }
    }
    // Histograms follow a listener's families and must not overwrite them.
    for (ListenerId id = 0; id < kListeners && pass == 0; ++id) {
      shard.Observe(Histogram::kSessionSeconds, id, 1);
      shard.Observe(Histogram::kHandshakeSeconds, id, 1u << 30);
    }
  }
  EXPECT_GT(next, 300);
}

TEST(Shard, GaugesComeBackToZero) {
  Shard shard(1, 1);
  shard.Add(Family::kSessions, 0, 3, 0, 1);
  shard.Add(Family::kSessions, 0, 3, 0, -1);
  EXPECT_EQ(shard.Get(Family::kSessions, 0, 3), 0u);
  shard.AddWorker(WorkerFamily::kBuffersOut, 0, -2);
  EXPECT_EQ(static_cast<int64_t>(shard.GetWorker(WorkerFamily::kBuffersOut)), -2);
  shard.SetWorker(WorkerFamily::kBuffersOut, 7);
  EXPECT_EQ(shard.GetWorker(WorkerFamily::kBuffersOut), 7u);
}

TEST(Shard, HistogramBucketsIncludeTheirBound) {
  Shard shard(2, 0);
  const auto& bounds = kHistogramBoundsMicros[static_cast<size_t>(Histogram::kHandshakeSeconds)];
  uint64_t sum = 0;
  for (const uint64_t bound : bounds) {
    shard.Observe(Histogram::kHandshakeSeconds, 1, bound);
    shard.Observe(Histogram::kHandshakeSeconds, 1, bound + 1);
    sum += 2 * bound + 1;
  }
  const Shard::HistogramView view = shard.GetHistogram(Histogram::kHandshakeSeconds, 1);
  EXPECT_EQ(view.buckets.front(), 1u);
  for (size_t i = 1; i < kHistogramBuckets; ++i) EXPECT_EQ(view.buckets[i], 2u) << i;
  EXPECT_EQ(view.buckets.back(), 1u);
  EXPECT_EQ(view.sum_micros, sum);
  EXPECT_EQ(shard.GetHistogram(Histogram::kHandshakeSeconds, 0).sum_micros, 0u);
  EXPECT_EQ(shard.GetHistogram(Histogram::kSessionSeconds, 1).sum_micros, 0u);
}

TEST(Shard, ShardsShareNoCacheLine) {
  EXPECT_EQ(alignof(metrics_internal::Line) % 64, 0u);
  EXPECT_EQ(sizeof(metrics_internal::Line) % alignof(metrics_internal::Line), 0u);
  const auto lines = std::make_unique<metrics_internal::Line[]>(3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(lines.get()) % alignof(metrics_internal::Line), 0u);
}

TEST(ShardDeathTest, IdsAndIndicesAreChecked) {
  Shard shard(2, 1);
  EXPECT_DEATH(shard.Add(Family::kAccepted, 2), "");
  EXPECT_DEATH(shard.Add(Family::kSessions, 0, std::size(kSessionPhaseLabels)), "");
  EXPECT_DEATH(shard.Add(Family::kHandshakes, 0, 0, 2), "");
  EXPECT_DEATH(shard.AddServer(ServerFamily::kBackendSessions, 1), "");
  EXPECT_DEATH(shard.AddWorker(WorkerFamily::kTurns, 1), "");
  EXPECT_DEATH(shard.Observe(Histogram::kSessionSeconds, 2, 0), "");
}

}  // namespace
}  // namespace starling
