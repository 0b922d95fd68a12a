// CRC32C (Castagnoli; RFC 4960 appendix B), for the checksum in PROXY headers.
//
// Not for: data at speed. Headers are a few hundred octets, once a connection.
#pragma once

#include <cstdint>

#include "protocols/contract/negotiator.h"

namespace starling {

class Crc32c {
 public:
  // Takes further octets into the sum.
  void Add(ByteView bytes);
  uint32_t value() const { return ~state_; }

 private:
  uint32_t state_ = 0xffffffff;
};

}  // namespace starling
