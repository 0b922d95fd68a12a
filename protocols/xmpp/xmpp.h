// XMPP's STARTTLS (RFC 6120 section 5) for clients and for servers. The gateway answers the
// stream's header with a header that offers nothing else, and <starttls/> with <proceed/>.
// Anything else before TLS ends the stream with an error. After TLS the client begins a new
// stream, with the server behind the gateway.
#pragma once

#include <cstddef>

#include "protocols/contract/negotiator.h"
#include "protocols/xmpp/limits.h"

namespace starling {

// The storage of a dialogue, including its parser's memory (limits.h).
inline constexpr size_t kXmppSize = kXmlMemory + 512;

// `storage` has kXmppSize octets. `options` must outlive the result.
Negotiator* CreateXmppClient(void* storage, const DialogueOptions& options);
Negotiator* CreateXmppServer(void* storage, const DialogueOptions& options);

// Writes a whole stream that consists of an error.
void RefuseXmppClient(Refusal refusal, const DialogueOptions& options, Writer& out);
void RefuseXmppServer(Refusal refusal, const DialogueOptions& options, Writer& out);

// The header of a stream, which the server answers.
void SayXmppClientFirstWords(const DialogueOptions& options, Writer& out);
void SayXmppServerFirstWords(const DialogueOptions& options, Writer& out);

}  // namespace starling
