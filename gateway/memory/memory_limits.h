// How much memory the process may have, and how much of it is in use: by the files of its control
// groups (version 1 and 2) and by the kernel's limit of memory for TCP.
//
// Not for: what is done when it runs short (memory_watch.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/machine/control_groups.h"

namespace starling {

// Octets.
struct MemoryUse {
  std::string what;  // for the log and metrics: "cgroup", "cgroup_tcp", "tcp", "queued"
  uint64_t used = 0;
  uint64_t limit = 0;
  bool in_kernel = true;  // what the kernel holds for sockets is part of it

  uint64_t percent() const { return limit == 0 ? 0 : used * 100 / limit; }
};

// A number alone in a file; nullopt for "max", for what is not a number, and for the number by
// which version 1 says that there is no limit.
std::optional<uint64_t> ParseLimit(std::string_view text);
// The number behind `key` in lines of "key number".
uint64_t ParseKey(std::string_view text, std::string_view key);
// Pages of all TCP sockets, from the text of /proc/net/sockstat.
std::optional<uint64_t> ParseTcpPages(std::string_view sockstat);
// The last of three numbers of pages, from /proc/sys/net/ipv4/tcp_mem: at it the kernel drops.
std::optional<uint64_t> ParseTcpLimit(std::string_view tcp_mem);

// Reads the limits that there are. Memory that the kernel can take back at once (the cache of
// files) does not count as used. What cannot be read is left out.
class MemoryLimits {
 public:
  // `root`: before all paths, for tests.
  explicit MemoryLimits(std::string root = "");
  std::vector<MemoryUse> Read() const;

 private:
  const std::string root_;
  ControlGroups groups_;
};

}  // namespace starling
