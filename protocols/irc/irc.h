// IRC before TLS: CAP, PING, QUIT, STARTTLS, and a refusal of everything else. Inside TLS
// the gateway passes both sides on and watches them until the server has registered the
// client, so that it can tell a client that waits in vain. RFC 1459, 2812, IRCv3
// (capability negotiation, tls, sts, WebIRC).
//
// Supports only `policy: require`. Not for: anything after registration, which is opaque.
#pragma once

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateIrc(void* storage, const DialogueOptions& options);

// Writes "ERROR :...", the last word at any time.
void RefuseIrc(Refusal refusal, const DialogueOptions& options, Writer& out);

// QUIT, which the server answers with an ERROR message, and then closes.
void SayIrcFirstWords(const DialogueOptions& options, Writer& out);
// Whether the first line that the server says is a message.
GreetingStatus ReadIrcAnswer(ByteView in);

}  // namespace starling
