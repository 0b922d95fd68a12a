#include "bench/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace starling::bench {

namespace {

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

// The number after `name`; negative if it is not there.
double NumberAfter(const std::string& text, std::string_view name) {
  const size_t at = text.find(name);
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size());
}

// Reads user and system seconds from a stat file in /proc. False if they are not there.
bool ReadStat(const std::string& path, double& user, double& system) {
  const std::string stat = ReadAll(path);
  // Fields 14 and 15 (proc(5)); the process name before them ends at the last
  // parenthesis.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return false;
  unsigned long user_ticks = 0, system_ticks = 0;
  if (std::sscanf(stat.c_str() + name_end + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user_ticks,
                  &system_ticks) != 2) {
    return false;
  }
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  user = static_cast<double>(user_ticks) * tick;
  system = static_cast<double>(system_ticks) * tick;
  return true;
}

std::string Folder(pid_t pid) { return "/proc/" + std::to_string(pid); }

}  // namespace

CpuTime ProcessCpu(std::span<const pid_t> pids) {
  CpuTime sum;
  for (const pid_t pid : pids) {
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) continue;
    const double seconds = Seconds(clock);
    double user = 0, system = 0;
    if (seconds < 0 || !ReadStat(Folder(pid) + "/stat", user, system)) continue;
    sum.seconds += seconds;
    sum.user += user;
    sum.system += system;
  }
  return sum;
}

double ThreadSeconds() { return Seconds(CLOCK_THREAD_CPUTIME_ID); }

double Now() { return Seconds(CLOCK_MONOTONIC); }

std::map<pid_t, double> SecondsByThread(std::span<const pid_t> pids) {
  std::map<pid_t, double> result;
  for (const pid_t pid : pids) {
    const std::string folder = Folder(pid) + "/task";
    DIR* tasks = opendir(folder.c_str());
    if (tasks == nullptr) continue;
    while (const dirent* entry = readdir(tasks)) {
      double user = 0, system = 0;
      if (entry->d_name[0] != '.' && ReadStat(folder + "/" + entry->d_name + "/stat", user, system))
        result[std::atoi(entry->d_name)] = user + system;
    }
    closedir(tasks);
  }
  return result;
}

double PssKib(std::span<const pid_t> pids) {
  double sum = 0;
  for (const pid_t pid : pids) {
    const double pss = NumberAfter(ReadAll(Folder(pid) + "/smaps_rollup"), "\nPss:");
    if (pss < 0) return -1;
    sum += pss;
  }
  return sum;
}

KernelMemory ReadKernelMemory() {
  const std::string memory = ReadAll("/proc/meminfo");
  const std::string sockets = ReadAll("/proc/net/sockstat");
  const size_t tcp = sockets.find("\nTCP:");
  const double pages = tcp == std::string::npos ? 0 : NumberAfter(sockets.substr(tcp), " mem ");
  return {.slab = NumberAfter(memory, "\nSlab:"),
          .unreclaimable = NumberAfter(memory, "\nSUnreclaim:"),
          .tcp = pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024};
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace starling::bench
