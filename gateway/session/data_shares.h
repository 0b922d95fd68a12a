// How many data channels wait for each client: one client must not take the places of all
// others. A client is its source (sources/source_key.h), with the default widths.
//
// One object a worker, one thread. Not for: the places themselves (data_channel.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/sources/source_key.h"
#include "protocols/contract/endpoint.h"

namespace starling {

class DataShares {
 public:
  // One more channel waits for `client`. False: `most` of them do already.
  bool Take(const Endpoint& client, uint32_t most);
  // One of them waits no longer.
  void Leave(const Endpoint& client);

  // Clients for which any channel waits: never more than channels wait in all.
  size_t clients() const { return shares_.size(); }

 private:
  struct Share {
    SourceKey client;
    uint32_t waiting = 0;
  };
  std::vector<Share> shares_;  // few: they are looked through
};

}  // namespace starling
