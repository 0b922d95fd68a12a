// Reads BER (ITU-T X.690) as far as LDAP uses it: definite lengths, tags of one
// octet. Every length is checked before an octet behind it is looked at.
//
// Not for: writing it (what the gateway says is short and of fixed form), or
// values of any type but integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocols/contract/negotiator.h"

namespace starling {

// Tag and length of an element.
struct BerHead {
  enum class Status : uint8_t {
    kNeedMore,  // it is not all there
    kBad,       // a longer tag, the indefinite form, or more than four octets of length
    kHead,
  };
  Status status = Status::kNeedMore;
  uint8_t tag = 0;
  size_t size = 0;    // octets of tag and length
  size_t length = 0;  // octets of the content
};

BerHead ReadBerHead(ByteView in);

struct BerElement {
  uint8_t tag = 0;
  ByteView content;
};

// Cuts the first element off `rest`; none if it is malformed or not all there.
std::optional<BerElement> TakeBer(ByteView& rest);
// The same, and none as well if its tag is another one.
std::optional<ByteView> TakeBer(ByteView& rest, uint8_t tag);

// An INTEGER's content of 0 to 2^31-1, in up to four octets: X.690 8.3.2 wants as few as
// can be, slapd does not.
std::optional<uint32_t> ReadBerNumber(ByteView content);

}  // namespace starling
