// Telnet before TLS: the gateway demands the option START_TLS (46) and drops all other
// options and all text. RFC 854, and draft-altman-telnet-starttls-02 (expired), as
// OpenSSL's s_client and the 3270 emulators implement it.
//
// Supports only `policy: require`. The options begin anew on the fresh leg, so there is no
// preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (protocol_row.h). `options` must outlive the result.
Negotiator* CreateTelnet(void* storage, const DialogueOptions& options);

// Writes a line of text, instead of the demand or at any later time.
void RefuseTelnet(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
