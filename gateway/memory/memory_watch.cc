#include "gateway/memory/memory_watch.h"

#include <algorithm>
#include <utility>

namespace starling {

bool MemoryWatch::Look(const std::vector<MemoryUse>& uses, const Percent& percent) {
  before_ = std::exchange(tightest_, {});
  for (const MemoryUse& use : uses) {
    if (tightest_.limit == 0 || use.percent() > tightest_.percent()) tightest_ = use;
  }
  const auto reached = [&](uint32_t threshold, MemoryLevel level) {
    const uint64_t slack = level_ >= level ? kSlackPercent : 0;
    return threshold != 0 && tightest_.limit != 0 && tightest_.percent() + slack >= threshold;
  };
  const MemoryLevel before = level_;
  level_ = reached(percent.refusal, MemoryLevel::kRefusal) ? MemoryLevel::kRefusal
           : reached(percent.relief, MemoryLevel::kRelief) ? MemoryLevel::kRelief
                                                           : MemoryLevel::kEnough;
  return level_ != before;
}

bool MemoryWatch::Hurries(const Percent& percent) const {
  if (level_ != MemoryLevel::kEnough) return true;
  const uint32_t first = percent.relief != 0 ? percent.relief : percent.refusal;
  if (first == 0 || before_.what != tightest_.what || tightest_.used <= before_.used) return false;
  const uint64_t mark = tightest_.limit / 100 * first;
  return (tightest_.used - before_.used) * 2 >= mark - std::min(mark, tightest_.used);
}

uint64_t MemoryWatch::ToFree(const Percent& percent) const {
  if (level_ == MemoryLevel::kEnough || percent.relief <= kSlackPercent) return 0;
  const uint64_t wanted = tightest_.limit / 100 * (percent.relief - kSlackPercent);
  return tightest_.used > wanted ? tightest_.used - wanted : 0;
}

}  // namespace starling
