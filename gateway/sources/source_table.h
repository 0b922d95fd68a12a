// All that the process knows of its clients' sources. One object, for all workers and every
// configuration.
#pragma once

#include "gateway/sources/polite_sources.h"
#include "gateway/sources/refusal_tally.h"
#include "gateway/sources/shares.h"

namespace starling {

struct SourceTable {
  explicit SourceTable(const HashKey& key) : shares(key), polite(key) {}

  SourceShares shares;
  PoliteSources polite;
  RefusalTally refusals;
};

}  // namespace starling
