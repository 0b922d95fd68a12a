// CRC32C (Castagnoli; RFC 4960 appendix B), for the checksum in PROXY headers.
//
// Not for: bulk data. A header has a few hundred octets, and a connection has one header.
#pragma once

#include <cstdint>

#include "protocols/contract/negotiator.h"

namespace starling {

class Crc32c {
 public:
  // Adds octets to the sum.
  void Add(ByteView bytes);
  uint32_t value() const { return ~state_; }

 private:
  uint32_t state_ = 0xffffffff;
};

}  // namespace starling
