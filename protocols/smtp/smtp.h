// SMTP (relay and submission) and LMTP: the dialogue before TLS under both policies, the
// preamble on the fresh leg, and the probe that learns what a backend offers. RFC 5321,
// 3207, 2033, 2920, 4954.
//
// Before TLS the gateway itself greets and answers EHLO. Under `require` a client gets
// further only by STARTTLS. Under `opportunistic` MAIL, VRFY, EXPN or ETRN (and AUTH, if
// the listener allows it) open a plaintext leg. The gateway passes the client's commands on
// to that leg one by one (smtp_leg.h).
//
// Not for: anything inside TLS, which is opaque after the backend's greeting.
#pragma once

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// Each constructs its object in `storage` of kNegotiatorSize octets.
Negotiator* CreateSmtp(void* storage, const DialogueOptions& options);
Negotiator* CreateLmtp(void* storage, const DialogueOptions& options);

// They find a set of SmtpCapability (smtp_wire.h), which is never 0.
Probe* CreateSmtpProbe(void* storage, const DialogueOptions& options);
Probe* CreateLmtpProbe(void* storage, const DialogueOptions& options);

// Writes a 421 with the reason in words, for both protocols.
void RefuseSmtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
