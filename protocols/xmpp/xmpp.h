// XMPP's STARTTLS (RFC 6120 section 5) for clients and for servers: the header of
// the stream is answered with one that offers nothing else, <starttls/> with
// <proceed/>; whatever else comes before TLS ends the stream with an error. After
// TLS the client begins a new stream, with the server behind.
#pragma once

#include <cstddef>

#include "protocols/contract/negotiator.h"
#include "protocols/xmpp/limits.h"

namespace starling {

// What a dialogue takes, with its parser's memory (limits.h).
inline constexpr size_t kXmppSize = kXmlMemory + 512;

// `storage` has kXmppSize octets; `options` outlives the result.
Negotiator* CreateXmppClient(void* storage, const DialogueOptions& options);
Negotiator* CreateXmppServer(void* storage, const DialogueOptions& options);

// A whole stream that consists of an error.
void RefuseXmppClient(Refusal refusal, const DialogueOptions& options, Writer& out);
void RefuseXmppServer(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
