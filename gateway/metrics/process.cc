#include "gateway/metrics/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace starling {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string ReadWhole(const char* path) {
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 4096> chunk;
  for (ssize_t n; (n = read(fd, chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

// proc(5): field 22 of stat counts clock ticks since boot; the command, field 2,
// may hold spaces and parentheses, so fields are counted from the last ')'.
double StartTime() {
  const std::string stat = ReadWhole("/proc/self/stat");
  const std::string boot = ReadWhole("/proc/stat");
  size_t at = stat.rfind(')');
  const size_t btime = boot.find("\nbtime ");
  if (at == std::string::npos || btime == std::string::npos) return -1;
  for (int field = 2; field < 22; ++field) {
    at = stat.find(' ', at + 1);
    if (at == std::string::npos) return -1;
  }
  const double ticks = std::strtod(stat.c_str() + at, nullptr);
  return std::strtod(boot.c_str() + btime + std::strlen("\nbtime "), nullptr) +
         ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void Append(std::vector<MetricFamily>& families, const char* name, const char* help,
            MetricType type, double value) {
  if (value < 0) return;
  ClientMetric metric;
  metric.gauge.value = value;
  metric.counter.value = value;
  families.push_back({name, help, type, {metric}});
}

}  // namespace

ProcessMetrics::ProcessMetrics()
    : statm_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      descriptors_(opendir("/proc/self/fd")),
      start_time_(StartTime()) {}

ProcessMetrics::~ProcessMetrics() {
  if (statm_ >= 0) close(statm_);
  if (descriptors_ != nullptr) closedir(descriptors_);
}

double ProcessMetrics::ResidentBytes() const {
  std::array<char, 256> text{};
  if (statm_ < 0 || pread(statm_, text.data(), text.size() - 1, 0) <= 0) return -1;
  unsigned long size = 0;
  unsigned long resident = 0;
  if (std::sscanf(text.data(), "%lu %lu", &size, &resident) != 2) return -1;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double ProcessMetrics::OpenDescriptors() const {
  if (descriptors_ == nullptr) return -1;
  rewinddir(descriptors_);
  double count = 0;
  while (const dirent* entry = readdir(descriptors_)) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

void ProcessMetrics::Collect(std::vector<MetricFamily>& families) const {
  Append(families, "process_resident_memory_bytes", "Resident memory size in bytes.",
         MetricType::Gauge, ResidentBytes());
  Append(families, "process_open_fds", "Number of open file descriptors.", MetricType::Gauge,
         OpenDescriptors());
  Append(families, "process_start_time_seconds", "Start time of the process since the Unix epoch.",
         MetricType::Gauge, start_time_);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Append(families, "process_max_fds", "Maximum number of open file descriptors.",
           MetricType::Gauge, static_cast<double>(limit.rlim_cur));
  }
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    Append(families, "process_cpu_seconds_total", "Total user and system CPU time in seconds.",
           MetricType::Counter, seconds(usage.ru_utime) + seconds(usage.ru_stime));
  }
}

}  // namespace starling
