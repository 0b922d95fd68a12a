// Reads BER (ITU-T X.690) as far as LDAP uses it: definite lengths, and tags of one octet.
// It checks every length before it looks at an octet beyond it.
//
// Not for: writing BER (the gateway writes only short messages of fixed form), or values of
// any type except integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocols/contract/negotiator.h"

namespace starling {

// The tag and the length of an element.
struct BerHead {
  enum class Status : uint8_t {
    kNeedMore,  // the head is not complete
    kBad,       // a longer tag, the indefinite form, or more than four octets of length
    kHead,
  };
  Status status = Status::kNeedMore;
  uint8_t tag = 0;
  size_t size = 0;    // octets of tag and length
  size_t length = 0;  // length of the content
};

BerHead ReadBerHead(ByteView in);

struct BerElement {
  uint8_t tag = 0;
  ByteView content;
};

// Cuts the first element off `rest`. Returns nothing if it is malformed or incomplete.
std::optional<BerElement> TakeBer(ByteView& rest);
// The same, but returns nothing for another tag, too.
std::optional<ByteView> TakeBer(ByteView& rest, uint8_t tag);

// The content of an INTEGER from 0 to 2^31-1, in up to four octets. X.690 8.3.2 demands the
// shortest form; slapd does not.
std::optional<uint32_t> ReadBerNumber(ByteView content);

}  // namespace starling
