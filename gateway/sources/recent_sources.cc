#include "gateway/sources/recent_sources.h"

namespace starling {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// A cell's time is never 0.
uint32_t CellOf(uint16_t tag, uint32_t at) { return uint32_t{tag} << 16 | (at % 0xffff + 1); }
uint32_t AgeOf(uint32_t cell, uint32_t at) {
  const uint32_t then = (cell & 0xffff) - 1;
  return (at % 0xffff + 0xffff - then) % 0xffff;
}
bool IsOf(uint32_t cell, uint16_t tag) { return cell != 0 && cell >> 16 == tag; }

}  // namespace

RecentSources::Place RecentSources::PlaceOf(const SourceKey& source) const {
  const uint64_t hash = KeyedHash(key_, {source.high, source.low, ~uint64_t{0}});
  return {.set = (hash & (kCells - 1)) / kOfSet * kOfSet, .tag = static_cast<uint16_t>(hash >> 48)};
}

bool RecentSources::Knows(const SourceKey& source, MonoTime now, std::chrono::seconds keep) const {
  const Place place = PlaceOf(source);
  for (size_t i = 0; i < kOfSet; ++i) {
    const uint32_t cell = cells_[place.set + i].load(kRelaxed);
    if (IsOf(cell, place.tag)) return AgeOf(cell, UnitOf(now)) * unit_ < keep;
  }
  return false;
}

void RecentSources::Remember(const SourceKey& source, MonoTime now) {
  const Place place = PlaceOf(source);
  const uint32_t at = UnitOf(now);
  size_t chosen = place.set;
  uint32_t most = 0;
  for (size_t i = place.set; i < place.set + kOfSet; ++i) {
    const uint32_t cell = cells_[i].load(kRelaxed);
    if (IsOf(cell, place.tag)) {
      chosen = i;
      break;
    }
    const uint32_t age = cell == 0 ? UINT32_MAX : AgeOf(cell, at);
    if (age < most) continue;
    most = age;
    chosen = i;
  }
  cells_[chosen].store(CellOf(place.tag, at), kRelaxed);
}

}  // namespace starling
