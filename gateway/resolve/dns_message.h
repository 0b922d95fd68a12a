// Reads what DNS servers answer. Pure: octets in, records out. Any octets may come.
//
// Not for: asking (lookup.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocols/contract/endpoint.h"

namespace starling {

// The addresses of one family, without ports.
struct AddressRecords {
  std::vector<Endpoint> addresses;
  uint32_t ttl_s = 0;  // the lowest one of them and of the aliases before them
};

struct SrvRecord {
  std::string target;
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;

  bool operator==(const SrvRecord&) const = default;
};
struct SrvRecords {
  std::vector<SrvRecord> records;  // in the order of their priorities, the heaviest first
  uint32_t ttl_s = 0;              // the lowest
};

// nullopt: the message makes no sense. Without records of the type: empty lists.
std::optional<AddressRecords> ReadAddresses(std::span<const uint8_t> message,
                                            Endpoint::Family family);
std::optional<SrvRecords> ReadSrv(std::span<const uint8_t> message);

// The weights of servers (config.h) by those of SRV records of one priority: nearly nothing for a
// weight of 0 beside others, as RFC 2782 wants. `addresses`: how many share the record's weight.
uint32_t WeightOfRecord(uint16_t weight, size_t addresses);

}  // namespace starling
