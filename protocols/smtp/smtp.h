// SMTP (relay and submission) and LMTP: the dialogue before TLS under both
// policies, the preamble on the fresh leg after it, and the probe that learns
// what a backend offers. RFC 5321, 3207, 2033, 2920, 4954.
//
// Before TLS the gateway greets and answers EHLO itself. Under `require` only
// STARTTLS leads on. Under `opportunistic` MAIL, VRFY, EXPN or ETRN (and AUTH
// where the listener allows it) open a plaintext leg, on which the client's
// commands are passed on one by one (smtp_leg.h).
//
// Not for: anything inside TLS, which is opaque after the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// Each constructs its object in `storage` of kNegotiatorSize octets.
Negotiator* CreateSmtp(void* storage, const DialogueOptions& options);
Negotiator* CreateLmtp(void* storage, const DialogueOptions& options);

// What they find is a set of SmtpCapability (smtp_wire.h), never 0.
Probe* CreateSmtpProbe(void* storage, const DialogueOptions& options);
Probe* CreateLmtpProbe(void* storage, const DialogueOptions& options);

// A 421 with the reason in words, for both protocols.
void RefuseSmtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
