// ACAP before TLS: greeting, NOOP, LOGOUT, STARTTLS, and a refusal of everything else. RFC
// 2244, RFC 2595 section 5.
//
// Supports only `policy: require`. Not for: anything inside TLS, which is opaque. The
// client expects a second greeting there, which is the backend's.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateAcap(void* storage, const DialogueOptions& options);

// Writes "* BYE ...", instead of a greeting or at any later time.
void RefuseAcap(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
