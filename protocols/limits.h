// The protocols' own limits, with the section of the RFC that each comes from
// or the reason for its size. What an operator may set stands in
// DialogueOptions (negotiator.h); these are fixed.
//
// Not for: sessions, buffers and deadlines (gateway/config/config.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocols/negotiator.h"

namespace starling {

// --- SMTP, submission, LMTP ---

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

// --- IMAP, POP3, ManageSieve, NNTP, ACAP ---

// A line of a backend with its end that is read whole; a longer one is passed on in pieces,
// or dropped but for its start. Edited (the upgrade is added to a list of capabilities) it
// must still fit into what room is guaranteed.
inline constexpr size_t kMaxServerLine = kMinOutputRoom - 64;

// What is swallowed of a backend's greeting. A refusal is passed on instead, however long.
inline constexpr size_t kMaxLegGreeting = 16'384;

// Octets of all literals of one command before TLS, which are dropped, or passed to
// a plaintext leg where they are part of a log-in that is allowed. RFC 7888
// section 5 has 4,096 for literals that the server cannot refuse beforehand.
inline constexpr size_t kMaxLiteral = 8'192;

// A tag, which is sent back. RFC 3501 sets no bound; clients use 4 to 10 octets.
inline constexpr size_t kImapMaxTag = 64;

// The same of ACAP: RFC 2244 section 7.
inline constexpr size_t kAcapMaxTag = 32;

// The string of ManageSieve's NOOP with its quotes, which is sent back. RFC 5804
// section 4 lets a quoted string have 1,024 octets; clients send a word.
inline constexpr size_t kSieveMaxTag = 512;

// Lines that the probe of an NNTP server reads. INN says about twenty.
inline constexpr size_t kNntpMaxProbeLines = 256;

// --- IRC ---

// What is sent back of a PING or of a refused CAP REQ. RFC 1459 section 2.3 gives a line
// 510 octets in all; clients send a word, or a list of some capabilities.
inline constexpr size_t kIrcMaxEcho = 400;

// The name of a server's command. RFC 1459 sets no bound; the longest in use has 12 letters.
inline constexpr size_t kIrcMaxCommand = 32;

// The password of WEBIRC, which is a parameter of a line of 512 octets.
inline constexpr size_t kIrcMaxWebircPassword = 128;

// --- LDAP ---

// A message before TLS, which is looked at when it is whole. StartTLS and simple
// binds have less than 200 octets, a bind with a Kerberos ticket a few thousand; RFC
// 4511 sets no bound.
inline constexpr size_t kLdapMaxMessage = 8'192;

// --- FTP ---

// So much of a line of either side is looked at before it is judged; RFC 959 has no bound. It
// holds what a server says of the longest path (PATH_MAX, 4,096, with each quote doubled). Of
// a longer line of the server's the beginning is judged, and the rest follows unread, or is
// dropped; a longer one of the client's is refused. It fits into one block, in which a session
// keeps what it has not consumed.
inline constexpr size_t kFtpMaxLine = 16'384;

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

// --- PostgreSQL ---

// A request before TLS, as its length claims; the server's own bound for what a
// connection begins with (MAX_STARTUP_PACKET_LENGTH).
inline constexpr uint32_t kPostgresqlMaxRequest = 10'000;

// A CancelRequest: length, code, the session's number, and its key. That has 4 octets;
// since version 3.2 of the protocol it may have up to 256.
inline constexpr size_t kPostgresqlMinCancel = 16;
inline constexpr size_t kPostgresqlMaxCancel = 268;
// --- HTTP ---

// The head of a request before TLS, with empty lines before it, which is looked at when
// it is whole. RFC 9112 section 3 asks for request lines of 8,000; Apache's default for a
// line is 8,190, CUPS's 2,048.
inline constexpr size_t kHttpMaxHead = 8'192;

// --- Telnet ---

// All octets before TLS: options, what belongs to them, and text that nobody asked
// for. Clients send 9, or some hundred with the options they know.
inline constexpr uint32_t kTelnetMaxOctets = 4'096;

// --- XMPP ---

// All octets before TLS: one header and <starttls/>, about 400.
inline constexpr size_t kXmppMaxOctets = 10'240;

// White space behind <starttls/>, up to the first octet of TLS. A stream may have it between
// any two elements (RFC 6120 section 11.7), and some clients end each element by a line feed.
inline constexpr uint8_t kXmppMaxSpaceAfterUpgrade = 16;

// One tag. Headers of servers have up to 400 octets; the longest address alone (RFC
// 7622 section 3.1) would have 3,071.
inline constexpr size_t kXmlMaxTag = 4'096;

// Expat's memory, in the dialogue's storage. A usual header takes a half of it, and a
// tag of kXmlMaxTag octets fits unless it is made of hundreds of attributes.
inline constexpr size_t kXmlMemory = 24'576;

// A client's own name that is sent back in the header. Names of domains have up to 255
// octets (RFC 7622 section 3.2), and only those are told before TLS.
inline constexpr size_t kXmppMaxName = 255;

}  // namespace starling
