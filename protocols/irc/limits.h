// The fixed limits of IRC. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// How much of a PING or of a refused CAP REQ the gateway sends back. RFC 1459 section 2.3
// allows a line 510 octets in all. Clients send a word, or a list of some capabilities.
inline constexpr size_t kIrcMaxEcho = 400;

// The name of a server's command. RFC 1459 sets no limit. The longest in use has 12
// letters.
inline constexpr size_t kIrcMaxCommand = 32;

// How much of a client's line shows what it asks the server for: "CAP REQ", perhaps with the
// client's own name before it (RFC 1459 section 2.3).
inline constexpr size_t kIrcLineBeginning = 64;

// The password of WEBIRC. It is a parameter in a line of 512 octets.
inline constexpr size_t kIrcMaxWebircPassword = 128;

}  // namespace starling
