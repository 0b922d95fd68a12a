// IMAP before TLS: greeting, CAPABILITY, ID, NOOP, LOGOUT, STARTTLS, and a
// refusal of all else. RFC 3501 section 6.2.1, RFC 9051, 2595, 2971, 5530, 7888.
//
// On a plaintext leg (`policy: opportunistic`): which lines of the backend may be
// passed on before log-in, and how its lists of capabilities are edited.
//
// Not for: anything inside TLS, which is opaque but for the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateImap(void* storage, const DialogueOptions& options);

// "* BYE [UNAVAILABLE] ...": in place of a greeting, or at any later time.
void RefuseImap(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
