// HTTP/1 before TLS, IPP's too: a request that asks for TLS gets 101, all others 426. RFC
// 2817, 9110 7.8.
//
// Under `policy: opportunistic` the first other request opens the plaintext leg, and from its
// first octet on all is opaque. The client speaks first, before TLS and after it; after it the
// answer to its request is due, and the gateway asks the backend in words of its own.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateHttp(void* storage, const DialogueOptions& options);

// A response without a body, of the class 4xx or 5xx.
void RefuseHttp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
