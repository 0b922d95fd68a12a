#include "gateway/upstream/balance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace starling {
namespace {

// The fraction of the golden ratio: its multiples are spread evenly between 0 and 1, so each
// server gets its share of any few sessions in a row.
constexpr double kGolden = 0.61803398874989485;

// The finalizer of SplitMix64: each bit of the result depends on each bit of the input.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t NotZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

// How long it takes until the candidate has its turn, where all `servers` have one.
uint32_t Distance(const Candidate& candidate, uint32_t cursor, uint32_t servers) {
  const uint32_t at = cursor % servers;
  const auto index = static_cast<uint32_t>(candidate.index);
  return index >= at ? index - at : index + servers - at;
}

int InTurn(std::span<const Candidate> candidates, uint32_t servers, uint32_t& cursor) {
  const Candidate& next = *std::ranges::min_element(
      candidates, {}, [&](const Candidate& c) { return Distance(c, cursor, servers); });
  cursor = static_cast<uint32_t>(next.index) + 1;
  return next.index;
}

int ByWeight(std::span<const Candidate> candidates, uint32_t& cursor) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  const double turn = kGolden * cursor++;
  double left = (turn - std::floor(turn)) * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.index;
  }
  return candidates.back().index;  // rounding
}

int RoundRobin(std::span<const Candidate> candidates, uint32_t servers, uint32_t& cursor) {
  const bool alike = std::ranges::all_of(
      candidates, [&](const Candidate& c) { return c.weight == candidates.front().weight; });
  return alike ? InTurn(candidates, servers, cursor) : ByWeight(candidates, cursor);
}

// Servers that are alike have their turn one after the other.
int LeastSessions(std::span<const Candidate> candidates, uint32_t servers, uint32_t& cursor) {
  const Candidate& least = *std::ranges::min_element(candidates, {}, [&](const Candidate& c) {
    return std::pair((c.sessions + 1.0) / c.weight, Distance(c, cursor, servers));
  });
  cursor = static_cast<uint32_t>(least.index) + 1;
  return least.index;
}

// Weighted rendezvous hashing: each server draws a number for each source, and the highest
// wins. So a source goes elsewhere only if its server leaves, or if a server comes that draws
// higher.
int SourceHash(std::span<const Candidate> candidates, uint64_t source) {
  int best = candidates.front().index;
  double highest = -1;
  for (const Candidate& candidate : candidates) {
    const uint64_t drawn = Mix(candidate.key ^ Mix(source)) >> 11;
    const double uniform = (static_cast<double>(drawn) + 0.5) * 0x1p-53;
    const double score = candidate.weight / -std::log(uniform);
    if (score <= highest) continue;
    highest = score;
    best = candidate.index;
  }
  return best;
}

}  // namespace

int Choose(Balance balance, std::span<const Candidate> candidates, uint32_t servers,
           uint32_t& cursor, uint64_t source) {
  if (balance == Balance::kLeastSessions) return LeastSessions(candidates, servers, cursor);
  if (balance == Balance::kSourceHash && source != 0) return SourceHash(candidates, source);
  return RoundRobin(candidates, servers, cursor);
}

uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return NotZero(Mix(hash));
}

uint64_t HashOf(uint64_t high, uint64_t low) { return NotZero(Mix(high ^ Mix(low))); }

}  // namespace starling
