// All that the process knows of its clients' sources. One object, for all workers and every
// configuration.
#pragma once

#include "gateway/sources/refusal_tally.h"
#include "gateway/sources/shares.h"

namespace starling {

struct SourceTable {
  explicit SourceTable(const HashKey& key) : shares(key) {}

  SourceShares shares;
  RefusalTally refusals;
};

}  // namespace starling
