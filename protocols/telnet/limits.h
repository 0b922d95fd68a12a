// The fixed limits of Telnet. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstdint>

namespace starling {

// All octets before TLS: options, their parameters, and unsolicited text. Clients send 9
// octets, or some hundred with all the options that they know.
inline constexpr uint32_t kTelnetMaxOctets = 4'096;

}  // namespace starling
