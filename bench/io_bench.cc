// Benchmarks of the worker's timer wheel and buffer pool.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "gateway/io/buffer_pool.h"
#include "gateway/io/timer_wheel.h"

namespace starling {
namespace {

using std::chrono::milliseconds;

constexpr MonoTime kStart{std::chrono::hours(1)};

// A small random number generator with the same sequence in each run.
uint64_t Mix(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

// Postponing a deadline, as each octet on an idle relay does, with range(0) armed slots.
void TimerSet(benchmark::State& state) {
  const auto slots = static_cast<uint32_t>(state.range(0));
  TimerWheel wheel(slots, kStart);
  uint64_t random = 1;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    wheel.Set(slot, kStart + milliseconds(Mix(random) % 1'860'000));
  }
  for (auto _ : state) {
    const uint64_t value = Mix(random);
    wheel.Set(static_cast<uint32_t>(value % slots), kStart + milliseconds(value % 1'860'000));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(TimerSet)->Arg(1'000)->Arg(100'000);

// The query before every wait.
void TimerNext(benchmark::State& state) {
  const auto slots = static_cast<uint32_t>(state.range(0));
  TimerWheel wheel(slots, kStart);
  uint64_t random = 1;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    wheel.Set(slot, kStart + milliseconds(60'000 + Mix(random) % 1'800'000));
  }
  for (auto _ : state) benchmark::DoNotOptimize(wheel.Next());
}
BENCHMARK(TimerNext)->Arg(0)->Arg(1'000)->Arg(100'000);

// Sets range(0) deadlines within a minute and lets them expire.
void TimerExpire(benchmark::State& state) {
  const auto slots = static_cast<uint32_t>(state.range(0));
  std::vector<uint32_t> expired;
  expired.reserve(slots);
  for (auto _ : state) {
    TimerWheel wheel(slots, kStart);
    uint64_t random = 1;
    for (uint32_t slot = 0; slot < slots; ++slot) {
      wheel.Set(slot, kStart + milliseconds(Mix(random) % 60'000));
    }
    expired.clear();
    for (MonoTime now = kStart; wheel.armed() > 0; now = wheel.Next()) wheel.Expire(now, expired);
    if (expired.size() != slots) state.SkipWithError("a deadline was lost");
  }
  state.SetItemsProcessed(state.iterations() * slots);
}
BENCHMARK(TimerExpire)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

// Takes and returns range(0) blocks, as in one turn.
void BufferTakeGive(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  BufferPool pool(4096);
  std::vector<uint8_t*> taken(count);
  for (auto _ : state) {
    for (uint8_t*& block : taken) block = pool.Take();
    if (taken.back() == nullptr) {
      state.SkipWithError("no block");
      break;
    }
    for (uint8_t* block : taken) pool.Give(block);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BufferTakeGive)->Arg(1)->Arg(64)->Arg(2048);

// Returns the memory of a burst to the kernel and touches it again.
void BufferTrim(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  BufferPool pool(4096);
  std::vector<uint8_t*> taken(count);
  for (auto _ : state) {
    for (uint8_t*& block : taken) {
      block = pool.Take();
      if (block == nullptr) {
        state.SkipWithError("no block");
        return;
      }
      block[0] = 1;
    }
    for (uint8_t* block : taken) pool.Give(block);
    benchmark::DoNotOptimize(pool.Trim());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BufferTrim)->Arg(64)->Arg(1024)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace starling
