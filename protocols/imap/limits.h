// The fixed limits of IMAP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A tag, which the gateway sends back. RFC 3501 sets no limit; clients use 4 to 10 octets.
inline constexpr size_t kImapMaxTag = 64;

}  // namespace starling
