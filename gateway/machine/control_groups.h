// The control groups of the process (versions 1 and 2), and the words of the small files in which
// the kernel tells of them.
//
// Not for: what the limits of a group mean (cpus.h, memory/memory_limits.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace starling {

// The folders of the process's groups for one controller, its own group first, then those around
// it. At most kMaxGroups each.
struct ControlGroups {
  std::vector<std::string> v2;
  std::vector<std::string> v1;

  // `controller`: as version 1 names it ("memory", "cpu"). `root`: before all paths, for tests.
  static ControlGroups Of(std::string_view controller, const std::string& root);
};

// `cgroup` is the text of /proc/self/cgroup, `mounts` that of /proc/self/mountinfo.
ControlGroups FindControlGroups(std::string_view controller, std::string_view cgroup,
                                std::string_view mounts);

// The first 64 KiB of a file; empty if it cannot be read.
std::string ReadSmallFile(const std::string& path);
// Each takes what it returns from the front of `text`; empty at the end.
std::string_view NextLine(std::string_view& text);
std::string_view NextWord(std::string_view& line);
// nullopt for whatever is not a whole number from 0 on.
std::optional<uint64_t> WholeNumber(std::string_view word);

}  // namespace starling
