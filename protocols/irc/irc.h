// IRC before TLS: CAP, PING, QUIT, STARTTLS, and a refusal of all else. Inside TLS both
// sides are passed on and watched until the server has registered the client, so that
// one who waits in vain is told. RFC 1459, 2812, IRCv3 (capability negotiation, tls, sts,
// WebIRC).
//
// `policy: require` only. Not for: anything after registration, which is opaque.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateIrc(void* storage, const DialogueOptions& options);

// "ERROR :...": the last word at any time.
void RefuseIrc(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
