#include "gateway/sources/refusal_tally.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace starling {

void RefusalTally::Note(const std::optional<SourceKey>& source) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  if (!source || !mutex_.TryLock()) return;
  auto place = std::ranges::find_if(
      places_, [&](const Heavy& heavy) { return heavy.refused > 0 && heavy.source == *source; });
  if (place == places_.end()) place = std::ranges::min_element(places_, {}, &Heavy::refused);
  place->source = *source;
  ++place->refused;
  mutex_.Unlock();
}

RefusalTally::Report RefusalTally::Take(size_t most) {
  Report report;
  report.refused = refused_.exchange(0, std::memory_order_relaxed);
  report.left_out = left_out_.exchange(0, std::memory_order_relaxed);
  std::array<Heavy, kPlaces> places;
  {
    const MutexLock lock(mutex_);
    places = std::exchange(places_, {});
  }
  std::ranges::sort(places, std::ranges::greater(), &Heavy::refused);
  for (const Heavy& heavy : places) {
    if (heavy.refused > 0 && report.heaviest.size() < most) report.heaviest.push_back(heavy);
  }
  return report;
}

}  // namespace starling
