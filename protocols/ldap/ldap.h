// LDAP before TLS: StartTLS is granted, all else is refused with result 13. RFC
// 4511 4.14, RFC 4513 section 3.
//
// `policy: require` only. The client speaks first, before TLS and after it, so
// there is no greeting and no preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateLdap(void* storage, const DialogueOptions& options);

// A notice of disconnection (RFC 4511 4.4.1).
void RefuseLdap(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
