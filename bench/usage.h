// What processes and the kernel use, read from outside: CPU and memory.
#pragma once

#include <sys/types.h>

#include <map>
#include <span>

namespace starling::bench {

// Of a process: all its threads, ended ones included.
struct CpuTime {
  double seconds = 0;  // user and system together, to the scheduler's nanosecond
  double user = 0;     // the two apart: to the tick of /proc (10 ms)
  double system = 0;
};

// The sum over these processes; what has ended counts nothing.
CpuTime ProcessCpu(std::span<const pid_t> pids);
// Of the calling thread.
double ThreadSeconds();
// Of each thread of these processes that is still there, by its id, to the tick
// of /proc.
std::map<pid_t, double> SecondsByThread(std::span<const pid_t> pids);

// Proportional set size in KiB, from /proc/PID/smaps_rollup, of all these
// processes. Negative: one of them is not readable.
double PssKib(std::span<const pid_t> pids);

// The kernel's own memory, of the whole machine, in KiB.
struct KernelMemory {
  double slab = 0;           // Slab of /proc/meminfo: sockets, their inodes, files, timers
  double unreclaimable = 0;  // SUnreclaim, a part of slab
  double tcp = 0;            // what TCP's buffers hold: mem of /proc/net/sockstat
};
KernelMemory ReadKernelMemory();

// Seconds of the monotonic clock.
double Now();

// Lets this process open as many descriptors as the system allows.
void RaiseDescriptorLimit();

}  // namespace starling::bench
