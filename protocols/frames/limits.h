// The fixed limits that several protocols share. Each names its RFC section, or the reason
// for its size. Each protocol's own limits are in its folder.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h), or sessions, buffers and deadlines
// (gateway/config/config.h).
#pragma once

#include <cstddef>

#include "protocols/contract/negotiator.h"

namespace starling {

// A backend's line, including its end, that the gateway reads whole. If a line is longer,
// the gateway passes it on in pieces, or drops all of it except its beginning. After an
// edit (the gateway adds its upgrade to a list of capabilities) the line must still fit
// into the guaranteed room.
inline constexpr size_t kMaxServerLine = kMinOutputRoom - 64;

// How much of a backend's greeting the gateway swallows. It passes a refusal on instead,
// whatever its length.
inline constexpr size_t kMaxLegGreeting = 16'384;

// The longest tag of a command that any protocol has. Each one's own limit is in its folder.
inline constexpr size_t kMaxTag = 64;

// Octets of all literals of one command before TLS. The gateway drops them, or passes them
// to a plaintext leg if they belong to an allowed log-in. RFC 7888 section 5 has 4,096 for
// literals that the server cannot refuse beforehand.
inline constexpr size_t kMaxLiteral = 8'192;

}  // namespace starling
