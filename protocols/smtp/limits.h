// The fixed limits of SMTP, submission and LMTP, each with the section of the RFC that it
// comes from or the reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocols/contract/negotiator.h"

namespace starling {

// A command line with CRLF. RFC 5321 4.5.3.1.4 asks for 512 and lets extensions
// add to it (RFC 1870, 3461, 6531 ...); DialogueOptions::max_line sets it, up to
// this much, since a line passed on must fit into what room is guaranteed.
inline constexpr size_t kSmtpMaxCommandLine = kMinOutputRoom;

// A line of a SASL exchange with CRLF: RFC 4954 section 4, item 3.
inline constexpr size_t kSmtpMaxAuthLine = 12'288;

// A line of a backend's reply with CRLF that is read whole; a longer one is passed on in
// pieces. RFC 5321 4.5.3.1.5 says 512, and servers that quote addresses and URLs go beyond it.
// Nothing is cut off: a client can have the reply without the gateway as well, and of a
// challenge (334) it needs every octet.
inline constexpr size_t kSmtpMaxReplyLine = 1'024;

// What is swallowed of a backend's greeting, or of its answer to the replayed EHLO. A refusal
// is passed on instead, however long.
inline constexpr size_t kSmtpMaxSwallowed = 16'384;

// The argument of EHLO, HELO or LHLO that is kept to be replayed: a domain
// (RFC 5321 4.5.3.1.2) or an address literal.
inline constexpr size_t kSmtpMaxHeloArgument = 255;

// Commands passed to the leg and not answered yet. RFC 2920 sets no bound.
inline constexpr size_t kSmtpMaxOutstanding = 64;

// Of these, replies of the gateway's own that wait for their turn.
inline constexpr size_t kSmtpMaxOwnOutstanding = 8;

// Octets after a refused BDAT that are read and dropped (RFC 3030 section 2: the
// client sends them without waiting). A client that was never offered CHUNKING
// has no reason to send any.
inline constexpr size_t kSmtpMaxDiscardedChunk = 65'536;

// The value of SIZE that a capabilities word holds: 40 bits.
inline constexpr uint64_t kSmtpMaxSizeValue = (uint64_t{1} << 40) - 1;

}  // namespace starling
