// The fixed limits of ManageSieve, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// The string of ManageSieve's NOOP with its quotes, which is sent back. RFC 5804
// section 4 lets a quoted string have 1,024 octets; clients send a word.
inline constexpr size_t kSieveMaxTag = 512;

}  // namespace starling
