// ManageSieve before TLS: capabilities, CAPABILITY, NOOP, LOGOUT, STARTTLS, and a
// refusal of all else. RFC 5804.
//
// `policy: require` only. After TLS the capabilities must come again (section
// 2.2): the backend's own greeting is passed on, so there is no preamble.
#pragma once

#include "protocols/contract/negotiator.h"

namespace starling {

// `storage` has kNegotiatorSize octets (registry.h); `options` outlives the result.
Negotiator* CreateManageSieve(void* storage, const DialogueOptions& options);

// "BYE (TRYLATER) ...": in place of a greeting, or at any later time.
void RefuseManageSieve(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
