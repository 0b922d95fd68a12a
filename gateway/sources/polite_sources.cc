#include "gateway/sources/polite_sources.h"

namespace starling {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

uint32_t HourOf(MonoTime time) {
  using Hours = std::chrono::duration<int64_t, std::ratio<3'600>>;
  return static_cast<uint32_t>(std::chrono::duration_cast<Hours>(time.time_since_epoch()).count());
}

// A cell's hour is never 0. After seven years the hours begin again, and no source is kept half as
// long.
uint32_t CellOf(uint16_t tag, uint32_t hour) { return uint32_t{tag} << 16 | (hour % 0xffff + 1); }
uint32_t AgeOf(uint32_t cell, uint32_t hour) {
  const uint32_t then = (cell & 0xffff) - 1;
  return (hour % 0xffff + 0xffff - then) % 0xffff;
}
bool IsOf(uint32_t cell, uint16_t tag) { return cell != 0 && cell >> 16 == tag; }

}  // namespace

PoliteSources::Place PoliteSources::PlaceOf(const SourceKey& source) const {
  const uint64_t hash = KeyedHash(key_, {source.high, source.low, ~uint64_t{0}});
  return {.set = (hash & (kCells - 1)) / kOfSet * kOfSet, .tag = static_cast<uint16_t>(hash >> 48)};
}

bool PoliteSources::Knows(const SourceKey& source, MonoTime now, std::chrono::seconds keep) const {
  const Place place = PlaceOf(source);
  for (size_t i = 0; i < kOfSet; ++i) {
    const uint32_t cell = cells_[place.set + i].load(kRelaxed);
    if (IsOf(cell, place.tag)) return std::chrono::hours(AgeOf(cell, HourOf(now))) < keep;
  }
  return false;
}

void PoliteSources::Remember(const SourceKey& source, MonoTime now) {
  const Place place = PlaceOf(source);
  const uint32_t hour = HourOf(now);
  size_t chosen = place.set;
  uint32_t most = 0;
  for (size_t i = place.set; i < place.set + kOfSet; ++i) {
    const uint32_t cell = cells_[i].load(kRelaxed);
    if (IsOf(cell, place.tag)) {
      chosen = i;
      break;
    }
    const uint32_t age = cell == 0 ? UINT32_MAX : AgeOf(cell, hour);
    if (age < most) continue;
    most = age;
    chosen = i;
  }
  cells_[chosen].store(CellOf(place.tag, hour), kRelaxed);
}

}  // namespace starling
