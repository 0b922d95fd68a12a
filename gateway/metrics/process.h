// The usual process_* metrics, which come from the kernel.
#pragma once

#include <dirent.h>

#include <vector>

#include "prometheus/metric_family.h"

namespace starling {

// The constructor opens the files in /proc, so that a sandbox entered later does not
// matter. Collect leaves out what it cannot read. One thread at a time.
class ProcessMetrics {
 public:
  ProcessMetrics();
  ~ProcessMetrics();
  ProcessMetrics(const ProcessMetrics&) = delete;
  ProcessMetrics& operator=(const ProcessMetrics&) = delete;

  // Appends process_resident_memory_bytes, process_open_fds, process_max_fds,
  // process_start_time_seconds and process_cpu_seconds_total. process_open_fds does not
  // count the sockets in a ring's own descriptor table.
  void Collect(std::vector<prometheus::MetricFamily>& families) const;

 private:
  double ResidentBytes() const;
  double OpenDescriptors() const;

  int statm_ = -1;
  DIR* descriptors_ = nullptr;
  double start_time_ = -1;  // Unix seconds; negative: unknown
};

}  // namespace starling
