#include "gateway/machine/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "gateway/machine/control_groups.h"

namespace starling {
namespace {

// The kernel can be built for 8,192 CPUs.
constexpr int kMaxCpus = 1 << 16;

// A mask that is too small for the machine's CPUs is refused.
uint32_t AllowedCpus() {
  for (int cpus = CPU_SETSIZE; cpus <= kMaxCpus; cpus *= 2) {
    cpu_set_t* const set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(size, set);
    const bool known = sched_getaffinity(0, size, set) == 0;
    const bool too_small = !known && errno == EINVAL;
    const int count = known ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<uint32_t>(std::max(count, 1));
    if (!too_small) break;
  }
  return 1;
}

// No number, or a period of 0: there is no quota ("max" in version 2, -1 in version 1).
std::optional<CpuQuota> QuotaOf(std::string_view time, std::string_view period, std::string file) {
  const std::optional<uint64_t> granted = WholeNumber(time);
  const std::optional<uint64_t> of = WholeNumber(period);
  if (!granted || *granted == 0 || !of || *of == 0) return std::nullopt;
  return CpuQuota{.time = *granted, .period = *of, .file = std::move(file)};
}

void Keep(std::optional<CpuQuota>& least, std::optional<CpuQuota> found) {
  if (found && (!least || found->cpus() < least->cpus())) least = std::move(found);
}

}  // namespace

uint32_t Cpus::usable() const {
  if (!quota) return allowed;
  const uint64_t paid_for = quota->time / quota->period + (quota->time % quota->period != 0);
  return static_cast<uint32_t>(std::min<uint64_t>(allowed, paid_for));
}

bool Cpus::throttled() const { return quota && quota->cpus() < allowed; }

std::string Cpus::Source() const {
  if (!throttled())
    return absl::StrCat("affinity mask, ", allowed, allowed == 1 ? " CPU" : " CPUs");
  return absl::StrCat("CPU quota, ", quota->cpus(), " (", quota->file, ")");
}

Cpus Cpus::OfProcess() { return Find(AllowedCpus(), ""); }

Cpus Cpus::Find(uint32_t allowed, const std::string& root) {
  Cpus cpus{.allowed = std::max(allowed, 1u), .quota = std::nullopt};
  const ControlGroups groups = ControlGroups::Of("cpu", root);
  for (const std::string& folder : groups.v2) {
    const std::string file = folder + "/cpu.max";
    const std::string text = ReadSmallFile(root + file);
    std::string_view words = text;
    const std::string_view time = NextWord(words);
    Keep(cpus.quota, QuotaOf(time, NextWord(words), file));
  }
  for (const std::string& folder : groups.v1) {
    const std::string file = folder + "/cpu.cfs_quota_us";
    const std::string time = ReadSmallFile(root + file);
    const std::string period = ReadSmallFile(root + folder + "/cpu.cfs_period_us");
    std::string_view time_text = time;
    std::string_view period_text = period;
    Keep(cpus.quota, QuotaOf(NextWord(time_text), NextWord(period_text), file));
  }
  return cpus;
}

}  // namespace starling
