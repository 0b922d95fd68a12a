// How many CPUs the process may use: those of its affinity mask, or as many as the quota of its
// control groups pays for.
//
// Not for: how many threads run on them (config/rows_general.cc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace starling {

// Time on CPUs that the groups' scheduler grants in each period, in microseconds.
struct CpuQuota {
  uint64_t time = 0;
  uint64_t period = 1;
  std::string file;  // that has it

  double cpus() const { return static_cast<double>(time) / static_cast<double>(period); }
};

struct Cpus {
  uint32_t allowed = 1;           // by the affinity mask
  std::optional<CpuQuota> quota;  // the least of the process's group and those around it

  // The least of both; a part of a CPU counts as one.
  uint32_t usable() const;
  // The quota is less than the mask. The kernel then stops the threads of the process for a part
  // of each period.
  bool throttled() const;
  // Where usable() comes from, for people.
  std::string Source() const;

  static Cpus OfProcess();
  // `root`: before all paths, for tests.
  static Cpus Find(uint32_t allowed, const std::string& root);
};

}  // namespace starling
