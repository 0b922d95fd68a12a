// Workers at the same cells, at the same time: nobody gets more than the limit, and nothing is
// left when all have gone.
#include <atomic>
#include <barrier>
#include <cstdio>
#include <thread>
#include <vector>

#include "gateway/sources/shares.h"

namespace {

using namespace starling;

constexpr int kThreads = 4;
constexpr int kRounds = 100'000;
constexpr uint32_t kMost = 1;  // so that two threads meet at it, on two CPUs too

bool Fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  return false;
}

// All threads fight for the same place.
bool Sessions() {
  SourceShares shares(HashKey{1, 2});
  const SourceCells cells = shares.CellsOf(SourceKey{.high = 1, .low = 0}, 0);
  const SourceLimits limits{
      .sessions = kMost, .connections_per_second = 0, .handshakes_per_second = 0};
  std::atomic<int> in{0};
  std::atomic<bool> over{false};
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (int i = 0; i < kRounds; ++i) {
        if (shares.Enter(cells, limits, MonoTime{}) != OverShare::kNothing) continue;
        if (in.fetch_add(1) + 1 > static_cast<int>(kMost)) over = true;
        in.fetch_sub(1);
        shares.Leave(cells);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (over) return Fail("more sessions than the limit");
  return shares.Sessions(cells) == 0 || Fail("sessions are left");
}

// All threads fight for the same tokens, at one moment. Threads that take one at the same time may
// take it from different cells, but each cell has only the burst.
bool Tokens() {
  constexpr int kBurst = 1'000;
  TokenBuckets buckets;
  const auto rate = TokenBuckets::Rate::PerSecond(1, kBurst);
  std::atomic<int> taken{0};
  std::barrier start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (int i = 0; i < kRounds; ++i) {
        if (buckets.Take({1, 2}, rate, MonoTime(std::chrono::hours(1)))) ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return (taken >= kBurst && taken <= 2 * kBurst) || Fail("not as many tokens as the burst");
}

}  // namespace

int main() { return Sessions() && Tokens() ? 0 : 1; }
