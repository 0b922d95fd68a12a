// The fixed limits of FTP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocols/frames/limits.h"

namespace starling {

// How much of a line the gateway looks at before it judges it; RFC 959 sets no limit. A
// server's line about the longest path fits (PATH_MAX, 4,096, with each quote doubled). If
// a server's line is longer, the gateway judges its beginning, and passes the rest on
// unread or drops it. It refuses a longer line from the client. A line of this length fits
// into one block, in which a session keeps unconsumed octets.
inline constexpr size_t kFtpMaxLine = 16'384;
// The gateway has room for such a line: kMaxWholeLine, in protocols/contract/negotiator.h.

// How much of a server's greeting the gateway swallows if the client has had the gateway's
// own. A public server's banner has a few thousand octets. The gateway passes a refusal on
// instead, whatever its length.
inline constexpr size_t kFtpMaxGreeting = kMaxLegGreeting;

// The gateway passes a longer command on only while no other command is outstanding.
// Servers read this many octets at once.
inline constexpr size_t kFtpMaxShared = 1'024;

// The longest command word, and the longest argument of a command that the gateway itself
// acts on or writes anew: an address or a number.
inline constexpr size_t kFtpMaxVerb = 32;
inline constexpr size_t kFtpMaxOwnArgument = 512;

// Commands without an answer yet. RFC 959 section 5.4 allows one at a time; lftp sends some
// more. The last places are for ABOR and QUIT.
inline constexpr size_t kFtpMaxOutstanding = 32;
inline constexpr size_t kFtpKeptForEnds = 2;

// Equal commands in a row during a transfer count as one of these, up to this number. Some
// clients keep the control connection alive by NOOP, and some servers answer only after the
// transfer. With one NOOP every ten seconds, this is a week.
inline constexpr size_t kFtpMaxRow = 65'535;

// Of these, the gateway's own replies that wait for their turn, and the length of each.
inline constexpr size_t kFtpMaxOwnOutstanding = 8;
inline constexpr size_t kFtpMaxOwnReply = 80;

// The lowest port of a client to which the gateway connects. Below it are other services of
// the client's machine (RFC 2577 section 3).
inline constexpr uint16_t kFtpLeastPort = 1'024;

}  // namespace starling
