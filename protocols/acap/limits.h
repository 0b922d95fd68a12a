// The fixed limits of ACAP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A tag, which is sent back: RFC 2244 section 7.
inline constexpr size_t kAcapMaxTag = 32;

}  // namespace starling
