// One writer and one concurrent reader, for the thread sanitizer. It has its own main,
// because GoogleTest is not built with the sanitizer.
#include <atomic>
#include <cstdio>
#include <thread>

#include "gateway/metrics/metrics.h"

int main() {
  using namespace starling;
  constexpr uint64_t kRounds = 200'000;
  Shard shard(2, 2);
  std::atomic<bool> done{false};
  bool ordered = true;

  std::thread reader([&] {
    uint64_t last = 0;
    uint64_t last_sum = 0;
    while (!done.load(std::memory_order_acquire)) {
      const uint64_t now = shard.Get(Family::kAccepted, 1);
      const uint64_t sum = shard.GetHistogram(Histogram::kSessionSeconds, 1).sum_micros;
      if (now < last || sum < last_sum) ordered = false;
      last = now;
      last_sum = sum;
    }
  });
  for (uint64_t i = 0; i < kRounds; ++i) {
    shard.Add(Family::kAccepted, 1);
    shard.AddServer(ServerFamily::kBackendSessions, 1, 0, i % 2 == 0 ? 1 : -1);
    shard.SetWorker(WorkerFamily::kDescriptors, i);
    shard.Observe(Histogram::kSessionSeconds, 1, 2);
  }
  done.store(true, std::memory_order_release);
  reader.join();

  const bool counted = shard.Get(Family::kAccepted, 1) == kRounds &&
                       shard.GetServer(ServerFamily::kBackendSessions, 1) == 0 &&
                       shard.GetHistogram(Histogram::kSessionSeconds, 1).sum_micros == 2 * kRounds;
  if (!ordered) std::puts("FAILED: a counter went back");
  if (!counted) std::puts("FAILED: an increment was lost");
  return ordered && counted ? 0 : 1;
}
