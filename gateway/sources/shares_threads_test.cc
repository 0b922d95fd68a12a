// Workers at the same cells, at the same time: nobody gets more than the limit, and nothing is
// left when all have gone.
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "gateway/sources/shares.h"

namespace {

using namespace starling;

constexpr int kThreads = 4;
constexpr int kRounds = 20'000;
constexpr uint32_t kMost = 3;

bool Fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  return false;
}

// All threads fight for the same three places.
bool Sessions() {
  SourceShares shares(HashKey{1, 2});
  const SourceCells cells = shares.CellsOf(SourceKey{.high = 1, .low = 0}, 0);
  const SourceLimits limits{
      .sessions = kMost, .connections_per_second = 0, .handshakes_per_second = 0};
  std::atomic<int> in{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
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

// All threads fight for the same tokens, at one moment.
bool Tokens() {
  TokenBuckets buckets;
  const auto rate = TokenBuckets::Rate::PerSecond(1, 1'000);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        if (buckets.Take({1, 2}, rate, MonoTime(std::chrono::hours(1)))) ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return taken == 1'000 || Fail("not as many tokens as the burst");
}

}  // namespace

int main() { return Sessions() && Tokens() ? 0 : 1; }
