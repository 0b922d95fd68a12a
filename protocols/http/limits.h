// The fixed limits of HTTP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// The head of a request before TLS, with empty lines before it, which is looked at when
// it is whole. RFC 9112 section 3 asks for request lines of 8,000; Apache's default for a
// line is 8,190, CUPS's 2,048.
inline constexpr size_t kHttpMaxHead = 8'192;

}  // namespace starling
