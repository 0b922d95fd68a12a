// IMAP before TLS: greeting, CAPABILITY, ID, NOOP, LOGOUT, STARTTLS, and a refusal of
// everything else. RFC 3501 section 6.2.1, RFC 9051, 2595, 2971, 5530, 7888.
//
// On a plaintext leg (`policy: opportunistic`): which lines of the backend may pass before
// log-in, and how the gateway edits its lists of capabilities.
//
// Not for: anything inside TLS, which is opaque except for the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateImap(void* storage, const DialogueOptions& options);

// Writes "* BYE [UNAVAILABLE] ...", instead of a greeting or at any later time.
void RefuseImap(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
