// PostgreSQL before TLS: SSLRequest is granted, GSSENCRequest declined once, a
// CancelRequest passed on, all else refused (its manual, "Message Flow": "SSL Session
// Encryption", "GSSAPI Session Encryption" and "Canceling Requests in Progress").
//
// `policy: require` only: a start-up message is a log-in, and there is nothing that a
// client could do without one. Nothing is offered before a client asks, so there is no
// signal `not_taken`: a start-up message in plaintext counts as `plaintext_auth`.
//
// Old clients cancel in plaintext whatever their session uses. The key in it was made
// by one of the servers, and told inside TLS: each of them is asked (kOpenAllLegs).
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreatePostgresql(void* storage, const DialogueOptions& options);

// An ErrorResponse, severity FATAL.
void RefusePostgresql(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
