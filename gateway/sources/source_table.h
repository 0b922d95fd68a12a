// All that the process knows of its clients' sources. One object, for all workers and every
// configuration.
#pragma once

#include "gateway/sources/recent_sources.h"
#include "gateway/sources/refusal_tally.h"
#include "gateway/sources/shares.h"

namespace starling {

struct SourceTable {
  explicit SourceTable(const HashKey& key)
      : shares(key),
        polite(key, std::chrono::hours(1)),
        wasteful(key, std::chrono::seconds(1)),
        crowded_out(key, std::chrono::seconds(1)) {}

  SourceShares shares;
  RecentSources polite;       // they have waited for a greeting
  RecentSources wasteful;     // one of their handshakes has stalled (session/admission.h)
  RecentSources crowded_out;  // one of their sessions has given way (session/crowding.h)
  RefusalTally refusals;
};

}  // namespace starling
