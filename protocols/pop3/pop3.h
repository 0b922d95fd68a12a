// POP3 before TLS: a greeting without an APOP stamp, CAPA, STLS, QUIT, and a refusal of
// everything else; under `policy: opportunistic` also the plaintext leg. RFC 1939, 2449,
// 2595 section 4, 3206.
//
// Not for: anything inside TLS, which is opaque except for the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreatePop3(void* storage, const DialogueOptions& options);

// Writes "-ERR [SYS/TEMP] ...", instead of a greeting or at any later time.
void RefusePop3(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
