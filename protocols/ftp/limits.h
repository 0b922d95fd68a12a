// The fixed limits of FTP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling {

// So much of a line of either side is looked at before it is judged; RFC 959 has no bound. It
// holds what a server says of the longest path (PATH_MAX, 4,096, with each quote doubled). Of
// a longer line of the server's the beginning is judged, and the rest follows unread, or is
// dropped; a longer one of the client's is refused. It fits into one block, in which a session
// keeps what it has not consumed.
inline constexpr size_t kFtpMaxLine = 16'384;
// The gateway has room for one: kMaxWholeLine, in protocols/contract/negotiator.h.

// What is swallowed of a server's greeting, where the client has had the gateway's. A banner of a
// public server has a few thousand octets. A refusal is passed on instead, however long.
inline constexpr size_t kFtpMaxGreeting = 65'536;

// A longer command is passed on only when no other is outstanding. Servers read so much at once.
inline constexpr size_t kFtpMaxShared = 1'024;

// The longest word that is a command, and the argument of a command that the gateway itself
// acts on, or writes anew: an address or a number.
inline constexpr size_t kFtpMaxVerb = 32;
inline constexpr size_t kFtpMaxOwnArgument = 512;

// Commands not answered yet. RFC 959 section 5.4 has one at a time; lftp sends some more. The
// last of them are kept for ABOR and QUIT.
inline constexpr size_t kFtpMaxOutstanding = 32;
inline constexpr size_t kFtpKeptForEnds = 2;

// Equal commands in a row amid a transfer count as one of these, up to this many: some clients
// keep the control connection alive by NOOP, and some servers answer when the transfer is over.
// At one every ten seconds that is a week.
inline constexpr size_t kFtpMaxRow = 65'535;

// Of these, replies of the gateway's own that wait for their turn, each of so many octets
// at most.
inline constexpr size_t kFtpMaxOwnOutstanding = 8;
inline constexpr size_t kFtpMaxOwnReply = 80;

// A client's own port, to which the gateway connects: below are other services of its
// machine (RFC 2577 section 3).
inline constexpr uint16_t kFtpLeastPort = 1'024;

}  // namespace starling
