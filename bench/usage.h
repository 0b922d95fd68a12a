// What a process uses, read from outside: CPU and memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>

#include "bench/load_options.h"

namespace starling::bench {

// User and system seconds of all threads of a process, ended ones included, with
// the scheduler's resolution (nanoseconds). Negative: there is no such process.
double ProcessSeconds(pid_t pid);
// Of the calling thread.
double ThreadSeconds();
// Of each thread of a process that is still there, by its id, to the tick of
// /proc (10 ms).
std::map<pid_t, double> SecondsByThread(pid_t pid);

// Proportional set size in KiB, from /proc/PID/smaps_rollup. Negative: not readable.
double PssKib(pid_t pid);

// Seconds of the monotonic clock.
double Now();

// Lets this process open as many descriptors as the system allows.
void RaiseDescriptorLimit();

// CPU over a stretch of time of those who take part: the gateway, this thread
// and the echo server.
class Meter {
 public:
  explicit Meter(const LoadOptions& options)
      : gateway_(options.pid), backend_(options.backend_pid) {}

  void Start();
  void Stop();

  double seconds() const { return seconds_; }
  // Prints the figures, `count` operations called `name` having been done, and
  // who was at the end of its strength.
  void Print(const char* name, size_t count) const;

 private:
  pid_t gateway_;
  pid_t backend_;
  double wall_ = 0;
  double gateway_seconds_ = 0;
  double backend_seconds_ = 0;
  double own_seconds_ = 0;
  double seconds_ = 0;
  double worker_seconds_ = 0;  // of the gateway's busiest thread
  std::map<pid_t, double> threads_;
};

}  // namespace starling::bench
