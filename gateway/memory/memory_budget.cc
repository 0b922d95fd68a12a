#include "gateway/memory/memory_budget.h"

#include <sys/resource.h>

#include <algorithm>

namespace starling {
namespace {

// Of a limit, for what waits.
constexpr uint64_t kQueuedPart = 4;
// Where the configuration never refuses clients, the memory is divided up to here.
constexpr uint64_t kFullPercent = 95;
// The kernel takes up to so much for an octet that it keeps: a small segment fills a page.
constexpr uint64_t kKernelPart = 4;

// The control group and the process: what blocks are a part of.
bool HasBlocks(const MemoryUse& use) {
  return use.in_kernel && use.what != "tcp" && use.what != "cgroup_tcp";
}

// What is left until new clients are refused.
uint64_t Left(const std::vector<MemoryUse>& uses, const MemoryWatch::Percent& percent) {
  const uint64_t full = percent.refusal != 0 ? percent.refusal : kFullPercent;
  uint64_t left = UINT64_MAX;
  for (const MemoryUse& use : uses) {
    if (!HasBlocks(use)) continue;
    const uint64_t mark = use.limit / 100 * full;
    left = std::min(left, mark > use.used ? mark - use.used : 0);
  }
  return left;
}

}  // namespace

QueueLimit QueueLimitOf(std::optional<uint64_t> configured, const std::vector<MemoryUse>& uses) {
  if (configured) return {.octets = *configured};
  QueueLimit limit{.octets = kMostQueued};
  for (const MemoryUse& use : uses) {
    const uint64_t part = std::max<uint64_t>(use.limit / kQueuedPart, 1);
    if (HasBlocks(use) && part < limit.octets) limit = {.octets = part, .bound_by = use.what};
  }
  return limit;
}

std::vector<MemoryUse> ProcessLimits() {
  std::vector<MemoryUse> limits;
  const auto add = [&](__rlimit_resource resource, const char* what) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    limits.push_back({.what = what, .limit = limit.rlim_cur});
  };
  add(RLIMIT_DATA, "RLIMIT_DATA");
  add(RLIMIT_AS, "RLIMIT_AS");
  return limits;
}

MemoryShare ShareOf(const std::vector<MemoryUse>& uses, uint64_t queue_limit, uint64_t queued,
                    uint64_t workers, const MemoryWatch::Percent& percent) {
  MemoryShare share{.ends = percent.relief != 0};
  const uint64_t left = Left(uses, percent);
  if (left != UINT64_MAX) {
    share.most = std::max(queued + left / workers, kLeastWorkerShare);
    share.moved = std::max(left / workers / kKernelPart, kLeastWorkerShare);
  }
  if (queue_limit != 0) share.most = std::min(share.most, queue_limit / workers);
  share.hold = share.most;
  if (share.ends && share.most != UINT64_MAX) {
    share.hold = std::max<uint64_t>(share.most / 100 * percent.relief, 1);
  }
  return share;
}

}  // namespace starling
