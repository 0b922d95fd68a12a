// ManageSieve before TLS: capabilities, CAPABILITY, NOOP, LOGOUT, STARTTLS, and a refusal
// of everything else; under `policy: opportunistic` also the plaintext leg. RFC 5804.
//
// After TLS the capabilities must come again (section 2.2). The gateway passes the
// backend's own greeting on, so there is no preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateManageSieve(void* storage, const DialogueOptions& options);

// Writes "BYE (TRYLATER) ...", instead of a greeting or at any later time.
void RefuseManageSieve(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
