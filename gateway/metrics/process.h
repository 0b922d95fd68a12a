// What the kernel says of this process: the usual process_* families.
#pragma once

#include <dirent.h>

#include <vector>

#include "prometheus/metric_family.h"

namespace starling {

// Opens what it reads from /proc at construction, so that a sandbox entered
// later does not matter. What cannot be read is left out. One thread at a time.
class ProcessMetrics {
 public:
  ProcessMetrics();
  ~ProcessMetrics();
  ProcessMetrics(const ProcessMetrics&) = delete;
  ProcessMetrics& operator=(const ProcessMetrics&) = delete;

  // Appends process_resident_memory_bytes, process_open_fds, process_max_fds,
  // process_start_time_seconds and process_cpu_seconds_total. Entries of a
  // ring's own descriptor table are no open_fds.
  void Collect(std::vector<prometheus::MetricFamily>& families) const;

 private:
  double ResidentBytes() const;
  double OpenDescriptors() const;

  int statm_ = -1;
  DIR* descriptors_ = nullptr;
  double start_time_ = -1;  // Unix seconds; negative: not known
};

}  // namespace starling
