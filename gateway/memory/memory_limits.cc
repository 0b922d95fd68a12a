#include "gateway/memory/memory_limits.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace starling {
namespace {

// Version 1 writes the largest number of whole pages where there is no limit.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

void AddUse(std::vector<MemoryUse>& uses, std::string what, uint64_t used,
            std::optional<uint64_t> limit) {
  if (limit && *limit > 0) uses.push_back({.what = std::move(what), .used = used, .limit = *limit});
}

// Without the cache of files, which the kernel drops when asked for memory, also what was read more
// than once. `prefix`: of its names.
uint64_t WithoutCache(uint64_t used, std::string_view stat, const std::string& prefix) {
  const uint64_t cache =
      ParseKey(stat, prefix + "inactive_file") + ParseKey(stat, prefix + "active_file");
  return used > cache ? used - cache : 0;
}

}  // namespace

std::optional<uint64_t> ParseLimit(std::string_view text) {
  const std::optional<uint64_t> number = WholeNumber(NextWord(text));
  return number && *number < kNoLimit ? number : std::nullopt;
}

uint64_t ParseKey(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = NextLine(text);
    if (NextWord(line) == key) return WholeNumber(NextWord(line)).value_or(0);
  }
  return 0;
}

std::optional<uint64_t> ParseTcpPages(std::string_view sockstat) {
  while (!sockstat.empty()) {
    std::string_view line = NextLine(sockstat);
    if (NextWord(line) != "TCP:") continue;
    while (!line.empty()) {
      if (NextWord(line) == "mem") return WholeNumber(NextWord(line));
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseTcpLimit(std::string_view tcp_mem) {
  NextWord(tcp_mem);
  NextWord(tcp_mem);
  return WholeNumber(NextWord(tcp_mem));
}

MemoryLimits::MemoryLimits(std::string root)
    : root_(std::move(root)), groups_(ControlGroups::Of("memory", root_)) {}

std::vector<MemoryUse> MemoryLimits::Read() const {
  std::vector<MemoryUse> uses;
  const auto read = [&](const std::string& folder, const char* file) {
    return ReadSmallFile(root_ + folder + "/" + file);
  };
  for (const std::string& folder : groups_.v2) {
    // Above `high` the kernel slows the process down until it stands still.
    const std::optional<uint64_t> max = ParseLimit(read(folder, "memory.max"));
    const std::optional<uint64_t> high = ParseLimit(read(folder, "memory.high"));
    if (!max && !high) continue;
    const uint64_t used = ParseLimit(read(folder, "memory.current")).value_or(0);
    AddUse(uses, "cgroup", WithoutCache(used, read(folder, "memory.stat"), ""),
           std::min(max.value_or(kNoLimit), high.value_or(kNoLimit)));
  }
  for (const std::string& folder : groups_.v1) {
    if (const auto limit = ParseLimit(read(folder, "memory.limit_in_bytes"))) {
      const uint64_t used = ParseLimit(read(folder, "memory.usage_in_bytes")).value_or(0);
      AddUse(uses, "cgroup", WithoutCache(used, read(folder, "memory.stat"), "total_"), limit);
    }
    // Version 1 counts the memory of sockets apart, and only where this limit is set.
    const auto tcp_limit = ParseLimit(read(folder, "memory.kmem.tcp.limit_in_bytes"));
    if (!tcp_limit) continue;
    AddUse(uses, "cgroup_tcp",
           ParseLimit(read(folder, "memory.kmem.tcp.usage_in_bytes")).value_or(0), tcp_limit);
  }
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const std::optional<uint64_t> tcp = ParseTcpPages(read("/proc/net", "sockstat"));
  const std::optional<uint64_t> most = ParseTcpLimit(read("/proc/sys/net/ipv4", "tcp_mem"));
  if (tcp && most) AddUse(uses, "tcp", *tcp * page, *most * page);
  return uses;
}

}  // namespace starling
