// Reads the CPU and memory usage of processes and of the kernel.
#pragma once

#include <sys/types.h>

#include <map>
#include <span>

namespace starling::bench {

// CPU time of a process: of all its threads, including ended ones.
struct CpuTime {
  double seconds = 0;  // user and system time, in the scheduler's nanoseconds
  double user = 0;     // user time alone, in ticks of /proc (10 ms), as is `system`
  double system = 0;
};

// The sum over these processes, without those that have ended.
CpuTime ProcessCpu(std::span<const pid_t> pids);
// CPU seconds of the calling thread.
double ThreadSeconds();
// CPU seconds of each living thread of these processes, by thread id, in ticks of /proc.
std::map<pid_t, double> SecondsByThread(std::span<const pid_t> pids);

// The sum of the proportional set sizes of these processes in KiB
// (/proc/PID/smaps_rollup). Negative if one of them is not readable.
double PssKib(std::span<const pid_t> pids);

// The kernel's own memory on the whole machine, in KiB.
struct KernelMemory {
  double slab = 0;           // Slab of /proc/meminfo: sockets, their inodes, files, timers
  double unreclaimable = 0;  // SUnreclaim, a part of slab
  double tcp = 0;            // TCP's buffers: mem of /proc/net/sockstat
};
KernelMemory ReadKernelMemory();

// Seconds of the monotonic clock.
double Now();

// Lets this process open as many descriptors as the system allows.
void RaiseDescriptorLimit();

}  // namespace starling::bench
