// The fixed limits of Telnet, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstdint>

namespace starling {

// All octets before TLS: options, what belongs to them, and text that nobody asked
// for. Clients send 9, or some hundred with the options they know.
inline constexpr uint32_t kTelnetMaxOctets = 4'096;

}  // namespace starling
