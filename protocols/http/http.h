// HTTP/1 before TLS, including IPP. A request that asks for TLS gets 101, all others get
// 426. RFC 2817, 9110 7.8.
//
// Under `policy: opportunistic` the first other request opens the plaintext leg, and
// everything from its first octet on is opaque. The client speaks first before TLS. After
// the upgrade, the answer to its request is due, so the gateway sends the backend a request
// in its own words.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateHttp(void* storage, const DialogueOptions& options);

// Writes a response without a body, of class 4xx or 5xx.
void RefuseHttp(Refusal refusal, const DialogueOptions& options, Writer& out);

// OPTIONS *, which the server answers and then closes.
void SayHttpFirstWords(const DialogueOptions& options, Writer& out);

}  // namespace starling
