// Measures the CPU time of the gateway, this thread and the backend between Start and
// Stop.
#pragma once

#include <sys/types.h>

#include <map>
#include <vector>

#include "bench/load_options.h"
#include "bench/usage.h"

namespace starling::bench {

// How to print figures: the CPU time per operation as NAME_`each`=, in 1 / `scale`
// seconds.
struct Unit {
  const char* name;  // of the operations, in the plural
  const char* each = "us";
  double scale = 1e6;
  int decimals = 0;  // of the operations' count
};

class Meter {
 public:
  explicit Meter(const LoadOptions& options);

  void Start();
  void Stop();

  double seconds() const { return seconds_; }
  // Prints the figures for `count` operations, and which side was saturated.
  void Print(const Unit& unit, double count) const;

 private:
  void PrintLimit(double worker_share, double load_share) const;

  std::vector<pid_t> gateway_;
  std::vector<pid_t> backend_;
  double seconds_ = 0;
  double own_seconds_ = 0;
  double backend_seconds_ = 0;
  CpuTime gateway_cpu_;
  double worker_seconds_ = 0;  // of the gateway's busiest thread
  std::map<pid_t, double> threads_;
};

}  // namespace starling::bench
