// The fixed limits of SMTP, submission and LMTP. Each names its RFC section, or the reason
// for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/limits.h"

namespace starling {

// A command line with CRLF. RFC 5321 4.5.3.1.4 demands 512 and lets extensions add to that
// (RFC 1870, 3461, 6531 ...). DialogueOptions::max_line sets it, up to this limit, since a
// line must fit into the guaranteed room when the gateway passes it on.
inline constexpr size_t kSmtpMaxCommandLine = kMinOutputRoom;

// A line of a SASL exchange with CRLF: RFC 4954 section 4, item 3.
inline constexpr size_t kSmtpMaxAuthLine = 12'288;

// A line of a backend's reply with CRLF that the gateway reads whole. It passes a longer
// one on in pieces. RFC 5321 4.5.3.1.5 allows 512, but servers that quote addresses and
// URLs exceed that. The gateway cuts nothing off: the client would get the whole reply
// without the gateway, and needs every octet of a challenge (334).
inline constexpr size_t kSmtpMaxReplyLine = 1'024;

// How much of a backend's greeting, or of its answer to the repeated EHLO, the gateway
// swallows. It passes a refusal on instead, whatever its length.
inline constexpr size_t kSmtpMaxSwallowed = kMaxLegGreeting;

// The argument of EHLO, HELO or LHLO, which the gateway keeps to say it again: a domain
// (RFC 5321 4.5.3.1.2) or an address literal.
inline constexpr size_t kSmtpMaxHeloArgument = 255;

// Commands on the leg without an answer yet. RFC 2920 sets no limit.
inline constexpr size_t kSmtpMaxOutstanding = 64;

// Of these, the gateway's own replies that wait for their turn.
inline constexpr size_t kSmtpMaxOwnOutstanding = 8;

// Octets after a refused BDAT that the gateway reads and drops, since the client sends them
// without waiting (RFC 3030 section 2). A client that was never offered CHUNKING has no
// reason to send any.
inline constexpr size_t kSmtpMaxDiscardedChunk = 65'536;

// The largest value of SIZE that a capabilities word can hold: 40 bits.
inline constexpr uint64_t kSmtpMaxSizeValue = (uint64_t{1} << 40) - 1;

}  // namespace starling
