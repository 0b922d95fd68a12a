// Which of several servers gets the next session. Pure: the caller says who may be chosen,
// with which weight and how many sessions it has.
//
// Not for: health, places and priorities (upstream.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gateway/config/config.h"

namespace starling {

// One server that may be chosen. Candidates are in the order of their indices.
struct Candidate {
  int index = 0;
  double weight = 1;      // its share, beside the others' weights; more than 0
  uint32_t sessions = 0;  // that it has
  uint64_t key = 0;       // HashOf its name
};

// The index of one of the candidates, of which there is at least one; all are below `servers`.
// `cursor` belongs to the caller, may begin with any value, and advances. `source` is a hash of
// the client's address; 0: it has none, and Choose goes round.
int Choose(Balance balance, std::span<const Candidate> candidates, uint32_t servers,
           uint32_t& cursor, uint64_t source);

// Never 0, and the same in each process: several gateways choose alike.
uint64_t HashOf(std::string_view text);
uint64_t HashOf(uint64_t high, uint64_t low);

}  // namespace starling
