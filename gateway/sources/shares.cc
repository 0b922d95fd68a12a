#include "gateway/sources/shares.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "gateway/limits.h"

namespace starling {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

uint64_t NanosOf(MonoTime time) { return static_cast<uint64_t>(time.time_since_epoch().count()); }

// How far ahead of now the time of a cell may be for another token.
uint64_t Ahead(const TokenBuckets::Rate& rate) {
  return static_cast<uint64_t>(rate.each.count()) * (rate.burst - 1);
}

}  // namespace

TokenBuckets::Rate TokenBuckets::Rate::PerSecond(uint32_t tokens, uint32_t burst) {
  if (tokens == 0) return {};
  return {.each = Nanos(1'000'000'000 / tokens), .burst = std::max(burst, 1u)};
}

TokenBuckets::Rate TokenBuckets::Rate::PerMinute(uint32_t tokens) {
  if (tokens == 0) return {};
  return {.each = Nanos(60'000'000'000 / tokens), .burst = tokens};
}

bool TokenBuckets::Empty(SourceCells cells, const Rate& rate, MonoTime now) const {
  if (rate.each.count() == 0) return false;
  const uint64_t lower =
      std::min(cells_.At(cells.first).load(kRelaxed), cells_.At(cells.second).load(kRelaxed));
  return lower > NanosOf(now) + Ahead(rate);
}

// The lower cell is moved on, and the other one only if it is behind that: a cell says what the
// busiest of its sources has spent, not what all of them have together.
std::optional<uint64_t> TokenBuckets::Spend(SourceCells cells, const Rate& rate, uint64_t now,
                                            uint64_t most) {
  std::atomic<uint64_t>* lower = &cells_.At(cells.first);
  std::atomic<uint64_t>* upper = &cells_.At(cells.second);
  if (lower->load(kRelaxed) > upper->load(kRelaxed)) std::swap(lower, upper);
  uint64_t was = lower->load(kRelaxed);
  uint64_t next = 0;
  do {
    next = std::max(was, now) + static_cast<uint64_t>(rate.each.count());
    if (next > most) return std::nullopt;
  } while (!lower->compare_exchange_weak(was, next, kRelaxed, kRelaxed));
  was = upper->load(kRelaxed);
  while (was < next && !upper->compare_exchange_weak(was, next, kRelaxed, kRelaxed)) {
  }
  return next;
}

std::optional<bool> TokenBuckets::Borrow(SourceCells cells, const Rate& rate, uint64_t loan,
                                         MonoTime now) {
  if (rate.each.count() == 0) return false;
  const uint64_t at = NanosOf(now);
  const auto each = static_cast<uint64_t>(rate.each.count());
  const uint64_t own = at + each * rate.burst;
  const std::optional<uint64_t> full_at = Spend(cells, rate, at, own + each * loan);
  if (!full_at) return std::nullopt;
  return *full_at > own;
}

void TokenBuckets::Charge(SourceCells cells, const Rate& rate, MonoTime now) {
  if (rate.each.count() == 0) return;
  const uint64_t at = NanosOf(now);
  (void)Spend(cells, rate, at, at + 2 * static_cast<uint64_t>(rate.each.count()) * rate.burst);
}

uint64_t Counts::Get(SourceCells cells) const {
  return std::min(cells_.At(cells.first).load(kRelaxed), cells_.At(cells.second).load(kRelaxed));
}

uint64_t Counts::Sum() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kSourceCells; ++i)
    sum += cells_.At(static_cast<uint16_t>(i)).load(kRelaxed);
  return sum;
}

bool Counts::Take(SourceCells cells, uint32_t most) {
  // A source that keeps trying must not raise what others see.
  if (most != 0 && Get(cells) >= most) return false;
  // Sequentially consistent: of two workers at least the later one sees what both have added.
  cells_.At(cells.first).fetch_add(1);
  cells_.At(cells.second).fetch_add(1);
  if (most == 0 ||
      std::min(cells_.At(cells.first).load(), cells_.At(cells.second).load()) <= most) {
    return true;
  }
  Leave(cells);  // another worker was faster
  return false;
}

void Counts::Leave(SourceCells cells) {
  [[maybe_unused]] const uint64_t first = cells_.At(cells.first).fetch_sub(1, kRelaxed);
  [[maybe_unused]] const uint64_t second = cells_.At(cells.second).fetch_sub(1, kRelaxed);
  assert(first > 0 && second > 0);
}

OverShare SourceShares::Enter(SourceCells cells, const SourceLimits& limits, MonoTime now) {
  if (failures_.Empty(cells, TokenBuckets::Rate::PerMinute(limits.failures_per_minute), now)) {
    return OverShare::kFailures;
  }
  if (!sessions_.Take(cells, limits.sessions)) return OverShare::kSessions;
  const auto rate =
      TokenBuckets::Rate::PerSecond(limits.connections_per_second, limits.connections_burst);
  if (connections_.Take(cells, rate, now)) return OverShare::kNothing;
  sessions_.Leave(cells);
  return OverShare::kConnections;
}

HandshakeShare SourceShares::TakeHandshake(SourceCells cells, const SourceLimits& limits,
                                           MonoTime now) {
  const auto rate =
      TokenBuckets::Rate::PerSecond(limits.handshakes_per_second, limits.handshakes_burst);
  const std::optional<bool> owes = handshakes_.Borrow(cells, rate, rate.burst, now);
  if (!owes) return HandshakeShare::kNone;
  return *owes ? HandshakeShare::kOver : HandshakeShare::kWithin;
}

void SourceShares::NoteFailure(SourceCells cells, const SourceLimits& limits, MonoTime now) {
  failures_.Charge(cells, TokenBuckets::Rate::PerMinute(limits.failures_per_minute), now);
}

bool SourceShares::TakeAnswer(SourceCells cells, MonoTime now) {
  return answers_.Take(cells, TokenBuckets::Rate::PerSecond(kAnswersPerSecond, kAnswersBurst), now);
}

}  // namespace starling
