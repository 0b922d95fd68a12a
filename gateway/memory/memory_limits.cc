#include "gateway/memory/memory_limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace starling {
namespace {

// Groups are nested a few levels deep; the outermost ones have no limit of their own.
constexpr size_t kMaxGroups = 16;
constexpr size_t kMaxText = 64 * 1024;
// Version 1 writes the largest number of whole pages where there is no limit.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

std::string ReadText(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text(kMaxText, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t more = read(fd, text.data() + size, text.size() - size);
    if (more <= 0) break;
    size += static_cast<size_t>(more);
  }
  close(fd);
  text.resize(size);
  return text;
}

std::string_view NextLine(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view NextWord(std::string_view& line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::optional<uint64_t> Number(std::string_view word) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

bool Lists(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    const size_t comma = std::min(words.find(','), words.size());
    if (words.substr(0, comma) == wanted) return true;
    words.remove_prefix(std::min(comma + 1, words.size()));
  }
  return false;
}

// Where a hierarchy is mounted, and the group that is its root there: a container may see only
// a part of the tree.
struct Mount {
  std::string group;
  std::string folder;
};

std::optional<Mount> FindMount(std::string_view mounts, bool v2) {
  while (!mounts.empty()) {
    std::string_view line = NextLine(mounts);
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view rest = line.substr(dash + 3);
    const std::string_view type = NextWord(rest);
    NextWord(rest);  // the source
    const bool wanted =
        v2 ? type == "cgroup2" : type == "cgroup" && Lists(NextWord(rest), "memory");
    if (!wanted) continue;
    for (int i = 0; i < 3; ++i) NextWord(line);  // ids of the mount, its parent, its device
    const std::string_view group = NextWord(line);
    return Mount{std::string(group), std::string(NextWord(line))};
  }
  return std::nullopt;
}

// The group of the process in one hierarchy: a line "number:controllers:path".
std::optional<std::string> FindGroup(std::string_view cgroup, bool v2) {
  while (!cgroup.empty()) {
    const std::string_view line = NextLine(cgroup);
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : Lists(controllers, "memory")) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

std::vector<std::string> FindFolders(std::string_view cgroup, std::string_view mounts, bool v2) {
  std::vector<std::string> folders;
  const std::optional<Mount> mount = FindMount(mounts, v2);
  std::optional<std::string> group = FindGroup(cgroup, v2);
  if (!mount || !group) return folders;
  if (mount->group != "/") {
    // What lies outside the mounted part cannot be read.
    if (!group->starts_with(mount->group)) return {mount->folder};
    group->erase(0, mount->group.size());
  }
  std::string path = *group == "/" ? "" : *group;
  while (folders.size() < kMaxGroups) {
    folders.push_back(mount->folder + path);
    if (path.empty()) break;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return folders;
}

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

MemoryGroups FindMemoryGroups(std::string_view cgroup, std::string_view mounts) {
  return {.v2 = FindFolders(cgroup, mounts, true), .v1 = FindFolders(cgroup, mounts, false)};
}

std::optional<uint64_t> ParseLimit(std::string_view text) {
  const std::optional<uint64_t> number = Number(NextWord(text));
  return number && *number < kNoLimit ? number : std::nullopt;
}

uint64_t ParseKey(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = NextLine(text);
    if (NextWord(line) == key) return Number(NextWord(line)).value_or(0);
  }
  return 0;
}

std::optional<uint64_t> ParseTcpPages(std::string_view sockstat) {
  while (!sockstat.empty()) {
    std::string_view line = NextLine(sockstat);
    if (NextWord(line) != "TCP:") continue;
    while (!line.empty()) {
      if (NextWord(line) == "mem") return Number(NextWord(line));
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseTcpLimit(std::string_view tcp_mem) {
  NextWord(tcp_mem);
  NextWord(tcp_mem);
  return Number(NextWord(tcp_mem));
}

MemoryLimits::MemoryLimits(std::string root)
    : root_(std::move(root)),
      groups_(FindMemoryGroups(ReadText(root_ + "/proc/self/cgroup"),
                               ReadText(root_ + "/proc/self/mountinfo"))) {}

std::vector<MemoryUse> MemoryLimits::Read() const {
  std::vector<MemoryUse> uses;
  const auto read = [&](const std::string& folder, const char* file) {
    return ReadText(root_ + folder + "/" + file);
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
