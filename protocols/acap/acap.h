// ACAP before TLS: greeting, NOOP, LOGOUT, STARTTLS, and a refusal of all else.
// RFC 2244, RFC 2595 section 5.
//
// `policy: require` only. Not for: anything inside TLS, which is opaque; the
// backend's greeting is the second one that the client awaits.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateAcap(void* storage, const DialogueOptions& options);

// "* BYE ...": in place of a greeting, or at any later time.
void RefuseAcap(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
