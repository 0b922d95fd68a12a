// The fixed limits that several protocols share, each with the section of the RFC that it
// comes from or the reason for its size. Limits of one protocol are in its own folder.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h), or
// sessions, buffers and deadlines (gateway/config/config.h).
#pragma once

#include <cstddef>

#include "protocols/contract/negotiator.h"

namespace starling {

// A line of a backend with its end that is read whole; a longer one is passed on in pieces,
// or dropped but for its start. Edited (the upgrade is added to a list of capabilities) it
// must still fit into what room is guaranteed.
inline constexpr size_t kMaxServerLine = kMinOutputRoom - 64;

// What is swallowed of a backend's greeting. A refusal is passed on instead, however long.
inline constexpr size_t kMaxLegGreeting = 16'384;

// The longest tag of a command that any protocol has. Each one's own limit is in its folder.
inline constexpr size_t kMaxTag = 64;

// Octets of all literals of one command before TLS, which are dropped, or passed to
// a plaintext leg where they are part of a log-in that is allowed. RFC 7888
// section 5 has 4,096 for literals that the server cannot refuse beforehand.
inline constexpr size_t kMaxLiteral = 8'192;

}  // namespace starling
