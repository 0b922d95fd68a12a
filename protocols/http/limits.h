// The fixed limits of HTTP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// The head of a request before TLS, including empty lines before it. The dialogue reads it
// when it is whole. RFC 9112 section 3 demands request lines of 8,000; Apache's default is
// 8,190 for a line, CUPS's 2,048.
inline constexpr size_t kHttpMaxHead = 8'192;

}  // namespace starling
