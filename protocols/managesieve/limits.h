// The fixed limits of ManageSieve. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// The string of NOOP with its quotes, which the gateway sends back. RFC 5804 section 4
// allows a quoted string of 1,024 octets; clients send a word.
inline constexpr size_t kSieveMaxTag = 512;

}  // namespace starling
