// The fixed limits of IRC, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// What is sent back of a PING or of a refused CAP REQ. RFC 1459 section 2.3 gives a line
// 510 octets in all; clients send a word, or a list of some capabilities.
inline constexpr size_t kIrcMaxEcho = 400;

// The name of a server's command. RFC 1459 sets no bound; the longest in use has 12 letters.
inline constexpr size_t kIrcMaxCommand = 32;

// The password of WEBIRC, which is a parameter of a line of 512 octets.
inline constexpr size_t kIrcMaxWebircPassword = 128;

}  // namespace starling
