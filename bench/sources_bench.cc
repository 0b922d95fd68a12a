// Benchmarks of what each accept asks: is the address on a deny list of range(0) networks, what
// does its network mean, and may its source have one more session.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <vector>

#include "gateway/sources/network_map.h"
#include "gateway/sources/shares.h"

namespace starling {
namespace {

uint64_t Next(uint64_t& state) {
  state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
  return state >> 16;
}

Endpoint RandomAddress(uint64_t& state, bool v6) {
  Endpoint endpoint{.family = v6 ? Endpoint::Family::kV6 : Endpoint::Family::kV4};
  for (size_t i = 0; i < (v6 ? 16u : 4u); ++i) {
    endpoint.ip[i] = static_cast<uint8_t>(Next(state));
  }
  if (v6) endpoint.ip[0] = 0x20;
  return endpoint;
}

// Of single addresses, which is the worst: no two have a boundary in common.
void Find(benchmark::State& state, bool v6) {
  uint64_t seed = 1;
  std::vector<NetworkMap::Entry> entries(static_cast<size_t>(state.range(0)));
  for (NetworkMap::Entry& entry : entries) {
    entry.network.network = RandomAddress(seed, v6);
    entry.network.bits = v6 ? 128 : 32;
    entry.value = 1;
  }
  const NetworkMap map(entries);
  std::array<Endpoint, 4'096> asked;
  for (Endpoint& endpoint : asked) endpoint = RandomAddress(seed, v6);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(map.Find(asked[i++ % asked.size()]));
  state.counters["octets"] = static_cast<double>(map.octets());
}
void DenyFindV4(benchmark::State& state) { Find(state, false); }
BENCHMARK(DenyFindV4)->Arg(1'000)->Arg(1'000'000);
void DenyFindV6(benchmark::State& state) { Find(state, true); }
BENCHMARK(DenyFindV6)->Arg(1'000)->Arg(1'000'000);

// A connection comes and goes, of one of many sources.
void SourceEnterLeave(benchmark::State& state) {
  SourceShares shares(HashKey{1, 2});
  const SourceLimits limits;
  uint64_t source = 0;
  MonoTime now(std::chrono::hours(1));
  for (auto _ : state) {
    now += std::chrono::microseconds(10);
    const SourceCells cells = shares.CellsOf({.high = ++source % 100'000, .low = 0}, 0);
    if (shares.Enter(cells, limits, now) == OverShare::kNothing) shares.Leave(cells);
  }
}
BENCHMARK(SourceEnterLeave);

}  // namespace
}  // namespace starling
