// Benchmarks of a worker's counting and logging.
#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>

#include "gateway/log/log_ring.h"
#include "gateway/metrics/metrics.h"

namespace starling {
namespace {

void BM_Increment(benchmark::State& state) {
  Shard shard(8, 8);
  for (auto _ : state) {
    shard.Add(Family::kBytes, 3, static_cast<size_t>(Direction::kUpstreamOut), 0, 512);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Increment);

// Counts while another thread reads the same cells, as the exporter does.
void BM_IncrementWhileRead(benchmark::State& state) {
  Shard shard(8, 8);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load(std::memory_order_relaxed)) {
      benchmark::DoNotOptimize(shard.Get(Family::kAccepted, 3));
    }
  });
  for (auto _ : state) {
    shard.Add(Family::kAccepted, 3);
    benchmark::ClobberMemory();
  }
  done.store(true, std::memory_order_relaxed);
  reader.join();
}
BENCHMARK(BM_IncrementWhileRead);

void BM_Observe(benchmark::State& state) {
  Shard shard(8, 8);
  uint64_t micros = 1;
  for (auto _ : state) {
    shard.Observe(Histogram::kHandshakeSeconds, 3, micros);
    micros = micros * 5 & 0xffff;
  }
}
BENCHMARK(BM_Observe);

void BM_LogPush(benchmark::State& state) {
  LogRing ring(4096);
  SessionRecord record;
  record.sni.Set("mail.example.org");
  SessionRecord popped;
  for (auto _ : state) {
    if (!ring.Push(record)) {
      state.PauseTiming();
      while (ring.Pop(popped)) {
      }
      state.ResumeTiming();
    }
  }
}
BENCHMARK(BM_LogPush);

// Logs with a reader that is too slow, which must not cost more than with a fast one.
void BM_LogPushFull(benchmark::State& state) {
  LogRing ring(64);
  const SessionRecord record;
  while (ring.Push(record)) {
  }
  for (auto _ : state) benchmark::DoNotOptimize(ring.Push(record));
}
BENCHMARK(BM_LogPushFull);

}  // namespace
}  // namespace starling
