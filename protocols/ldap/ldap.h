// LDAP before TLS: the gateway grants StartTLS and refuses everything else with result 13.
// RFC 4511 4.14, RFC 4513 section 3.
//
// Supports only `policy: require`. The client speaks first, before TLS and after it, so
// there is no greeting and no preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateLdap(void* storage, const DialogueOptions& options);

// Writes a notice of disconnection (RFC 4511 4.4.1).
void RefuseLdap(Refusal refusal, const DialogueOptions& options, Writer& out);

// A search for the root entry, which every server answers (RFC 4512 5.1).
void SayLdapFirstWords(const DialogueOptions& options, Writer& out);

}  // namespace starling
