// The fixed limits of IMAP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A tag, which is sent back. RFC 3501 sets no bound; clients use 4 to 10 octets.
inline constexpr size_t kImapMaxTag = 64;

}  // namespace starling
