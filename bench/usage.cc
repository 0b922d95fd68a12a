#include "bench/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace starling::bench {

namespace {

// A thread or process that runs for this share of the time has no more to give.
constexpr double kSaturated = 0.9;

double Seconds(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return -1;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string ReadAll(const std::string& path) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return text;
  char part[4096];
  size_t size = 0;
  while ((size = std::fread(part, 1, sizeof part, file)) > 0) text.append(part, size);
  std::fclose(file);
  return text;
}

}  // namespace

double ProcessSeconds(pid_t pid) {
  clockid_t clock;
  if (clock_getcpuclockid(pid, &clock) != 0) return -1;
  return Seconds(clock);
}

double ThreadSeconds() { return Seconds(CLOCK_THREAD_CPUTIME_ID); }

double Now() { return Seconds(CLOCK_MONOTONIC); }

std::map<pid_t, double> SecondsByThread(pid_t pid) {
  std::map<pid_t, double> result;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task";
  DIR* tasks = opendir(folder.c_str());
  if (tasks == nullptr) return result;
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  while (const dirent* entry = readdir(tasks)) {
    const std::string stat = ReadAll(folder + "/" + entry->d_name + "/stat");
    // Fields 14 and 15; the name before them ends at the last parenthesis.
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    unsigned long user = 0, system = 0;
    if (std::sscanf(stat.c_str() + name_end + 1,
                    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
      result[std::atoi(entry->d_name)] = static_cast<double>(user + system) * tick;
    }
  }
  closedir(tasks);
  return result;
}

double PssKib(pid_t pid) {
  const std::string text = ReadAll("/proc/" + std::to_string(pid) + "/smaps_rollup");
  const size_t at = text.find("\nPss:");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + std::strlen("\nPss:"));
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void Meter::Start() {
  if (gateway_ != 0) {
    gateway_seconds_ = ProcessSeconds(gateway_);
    threads_ = SecondsByThread(gateway_);
  }
  if (backend_ != 0) backend_seconds_ = ProcessSeconds(backend_);
  own_seconds_ = ThreadSeconds();
  wall_ = Now();
}

void Meter::Stop() {
  seconds_ = Now() - wall_;
  own_seconds_ = ThreadSeconds() - own_seconds_;
  if (backend_ != 0) backend_seconds_ = ProcessSeconds(backend_) - backend_seconds_;
  if (gateway_ == 0) return;
  gateway_seconds_ = ProcessSeconds(gateway_) - gateway_seconds_;
  for (const auto& [thread, seconds] : SecondsByThread(gateway_)) {
    const auto before = threads_.find(thread);
    worker_seconds_ =
        std::max(worker_seconds_, seconds - (before == threads_.end() ? 0 : before->second));
  }
}

void Meter::Print(const char* name, size_t count) const {
  const double each = count == 0 ? 0 : 1e6 / static_cast<double>(count);
  const double load_share = own_seconds_ / seconds_;
  const double backend_share = backend_seconds_ / seconds_;
  std::printf("%s=%zu\nseconds=%.2f\nper_second=%.0f\n", name, count, seconds_,
              static_cast<double>(count) / seconds_);
  std::printf("load_us=%.2f\nload_share=%.2f\n", own_seconds_ * each, load_share);
  if (backend_ != 0) {
    std::printf("backend_us=%.2f\nbackend_share=%.2f\n", backend_seconds_ * each, backend_share);
  }
  if (gateway_ == 0) return;
  const double worker_share = worker_seconds_ / seconds_;
  std::printf("gateway_us=%.2f\nworker_share=%.2f\n", gateway_seconds_ * each, worker_share);
  // Load and echo server may have one CPU between them, as in figures.py.
  const bool load_at_end = load_share + backend_share > kSaturated;
  if (worker_share > kSaturated) {
    std::printf("limit=gateway\n");
  } else if (load_at_end) {
    std::printf(
        "limit=load\n# The load generator was saturated, not the gateway: CPU for one operation "
        "holds, operations a second say nothing of the gateway.\n");
  } else {
    std::printf(
        "limit=neither\n# Neither side was saturated: too few connections, or others use the "
        "machine.\n");
  }
}

}  // namespace starling::bench
