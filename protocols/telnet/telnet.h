// Telnet before TLS: the option START_TLS (46) is demanded, every other option and
// all text is dropped. RFC 854, and draft-altman-telnet-starttls-02 (expired), as
// OpenSSL's s_client and the 3270 emulators speak it.
//
// `policy: require` only. The options begin anew on the fresh leg, so there is no
// preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateTelnet(void* storage, const DialogueOptions& options);

// A line of text: in place of the demand, or at any later time.
void RefuseTelnet(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
