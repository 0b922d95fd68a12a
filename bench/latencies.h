// A histogram of times whose buckets are 1/128 of their value wide. It takes a fixed
// amount of memory, and its quantiles are at most 0.8 % too high.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace starling::bench {

class Latencies {
 public:
  void Add(double seconds) {
    const double capped = std::clamp(seconds * 1e9, 0.0, static_cast<double>(kMost));
    const auto nanoseconds = static_cast<uint64_t>(capped);
    ++buckets_[Index(nanoseconds)];
    ++count_;
    worst_ = std::max(worst_, nanoseconds);
  }

  void Clear() { *this = Latencies(); }
  size_t count() const { return count_; }
  double worst() const { return static_cast<double>(worst_) * 1e-9; }

  // The time (seconds) that this share of all times does not exceed.
  double Quantile(double share) const {
    const auto wanted = static_cast<size_t>(share * static_cast<double>(count_));
    size_t below = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      below += buckets_[i];
      if (below > wanted) return static_cast<double>(std::min(Highest(i), worst_)) * 1e-9;
    }
    return worst();
  }

  // Prints the lines NAME_p50_UNIT=... and so on, in units of 1 / `per_second` seconds.
  void Print(const char* name, const char* unit, double per_second) const {
    if (count_ == 0) return;
    std::printf("%s_p50_%s=%.2f\n%s_p99_%s=%.2f\n%s_p999_%s=%.2f\n%s_worst_%s=%.2f\n", name, unit,
                Quantile(0.5) * per_second, name, unit, Quantile(0.99) * per_second, name, unit,
                Quantile(0.999) * per_second, name, unit, worst() * per_second);
  }

 private:
  static constexpr int kBits = 7;
  static constexpr size_t kParts = size_t{1} << kBits;
  static constexpr uint64_t kMost = (uint64_t{1} << 42) - 1;  // more than an hour
  static constexpr size_t kBuckets = (42 - kBits) * kParts + kParts;

  static size_t Index(uint64_t value) {
    if (value < kParts) return static_cast<size_t>(value);
    const int shift = static_cast<int>(std::bit_width(value)) - kBits - 1;
    return static_cast<size_t>(shift) * kParts + static_cast<size_t>(value >> shift);
  }
  static uint64_t Highest(size_t index) {
    if (index < 2 * kParts) return index;
    const size_t shift = index / kParts - 1;
    return ((index - shift * kParts + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  size_t count_ = 0;
  uint64_t worst_ = 0;
};

}  // namespace starling::bench
