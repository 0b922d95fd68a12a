// The simulation's only source of randomness: one small seeded generator. Equal seeds
// give equal runs on every machine.
#pragma once

#include <cstdint>

namespace starling::sim {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  // splitmix64: short, and works well with every seed.
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 to n - 1; n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // `low` to `high`, inclusive.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  // True in `per_mille` of 1000 cases.
  bool Chance(uint32_t per_mille) { return Below(1000) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace starling::sim
