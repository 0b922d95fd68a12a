// NNTP before TLS: greeting, CAPABILITIES, MODE READER, HELP, QUIT, STARTTLS, and a refusal
// of everything else. RFC 3977, 4642, 4643, 4644, 8143.
//
// Supports only `policy: require`. Not for: anything inside TLS, which is opaque except for
// the backend's greeting and its answer to the repeated MODE READER.
#pragma once

#include <cstdint>

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// Bits that the probe sets in Event::capabilities.
inline constexpr uint64_t kNntpKnown = 1;   // the probe has asked the backend
inline constexpr uint64_t kNntpReader = 2;  // the backend is a reader without MODE READER

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateNntp(void* storage, const DialogueOptions& options);

// Asks for CAPABILITIES. `storage` as above.
Probe* CreateNntpProbe(void* storage, const DialogueOptions& options);

// Writes "400 ..." or "502 ...", instead of a greeting or at any later time.
void RefuseNntp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
