// The fixed limits of NNTP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// Lines that the probe of an NNTP server reads. INN says about twenty.
inline constexpr size_t kNntpMaxProbeLines = 256;

}  // namespace starling
