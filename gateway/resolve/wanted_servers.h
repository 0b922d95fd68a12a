// Which servers a backend has, by its configuration and by what its names resolve to now. Pure.
//
// Not for: looking names up (resolver.h), or the slots of servers (upstream/address_slots.h).
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/resolve/answer.h"
#include "gateway/upstream/address_slots.h"

namespace starling {

NameQuery QueryOf(const ServerName& name);

// An address that a name resolves to, and that is not used.
struct RefusedServer {
  SocketAddress address;  // of length 0: several
  RefusedAddress reason{};
  size_t count = 1;
};

struct WantedServers {
  AddressSlots::Wanted servers;  // at most kMaxServers
  std::vector<RefusedServer> refused;
};

// What a name has; null: it has not been looked up yet.
struct NamedAddresses {
  const std::vector<FoundAddress>* addresses = nullptr;
  size_t left_out = 0;
};
using AddressesOf = std::function<NamedAddresses(const NameQuery& query)>;
WantedServers ServersNow(const BackendConfig& backend, const AddressesOf& addresses_of);

}  // namespace starling
