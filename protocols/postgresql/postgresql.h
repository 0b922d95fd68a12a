// PostgreSQL before TLS: the gateway grants SSLRequest, declines GSSENCRequest once, passes
// a CancelRequest on, and refuses everything else (PostgreSQL's manual, "Message Flow":
// "SSL Session Encryption", "GSSAPI Session Encryption" and "Canceling Requests in
// Progress").
//
// Supports only `policy: require`: a start-up message is a log-in, and a client can do
// nothing without one. The gateway offers nothing before a client asks. So there is no
// signal `not_taken`, and a start-up message in plaintext counts as `plaintext_auth`.
//
// Old clients cancel in plaintext, even if their session uses TLS. One of the servers made
// the key in the request and told it inside TLS. The gateway does not know which server, so
// it asks each of them (kOpenAllLegs).
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreatePostgresql(void* storage, const DialogueOptions& options);

// Writes an ErrorResponse of severity FATAL.
void RefusePostgresql(Refusal refusal, const DialogueOptions& options, Writer& out);

// SSLRequest, which the server answers with one letter.
void SayPostgresqlFirstWords(const DialogueOptions& options, Writer& out);

}  // namespace starling
