// The fixed limits of ACAP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A tag, which the gateway sends back (RFC 2244 section 7).
inline constexpr size_t kAcapMaxTag = 32;

}  // namespace starling
