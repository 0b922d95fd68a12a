// The fixed limits of NNTP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// How many lines the probe of an NNTP server reads. INN sends about twenty.
inline constexpr size_t kNntpMaxProbeLines = 256;

}  // namespace starling
