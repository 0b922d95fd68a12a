// NNTP before TLS: greeting, CAPABILITIES, MODE READER, HELP, QUIT, STARTTLS, and
// a refusal of all else. RFC 3977, 4642, 4643, 4644, 8143.
//
// `policy: require` only. Not for: anything inside TLS, which is opaque but for the
// backend's greeting and its answer to a MODE READER that is said again.
#pragma once

#include <cstdint>

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// Event::capabilities: bits that the probe sets.
inline constexpr uint64_t kNntpKnown = 1;   // the backend has been asked
inline constexpr uint64_t kNntpReader = 2;  // it is a reader without MODE READER

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateNntp(void* storage, const DialogueOptions& options);

// Asks for CAPABILITIES; `storage` as above.
Probe* CreateNntpProbe(void* storage, const DialogueOptions& options);

// "400 ..." or "502 ...": in place of a greeting, or at any later time.
void RefuseNntp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
