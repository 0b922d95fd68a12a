// POP3 before TLS: greeting without an APOP stamp, CAPA, STLS, QUIT, and a
// refusal of all else. RFC 1939, 2449, 2595 section 4, 3206.
//
// `policy: require` only. Not for: anything inside TLS, which is opaque but for
// the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreatePop3(void* storage, const DialogueOptions& options);

// "-ERR [SYS/TEMP] ...": in place of a greeting, or at any later time.
void RefusePop3(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
