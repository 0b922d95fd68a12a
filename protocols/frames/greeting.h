// Reads a server's greeting without consuming it: whether it is complete, and whether it
// welcomes. The gateway asks before it passes an octet of either side on, since until then
// it can still go to another server.
//
// Not for: what a dialogue makes of a greeting (each protocol's OnBackend), which may be
// stricter.
#pragma once

#include <string_view>

#include "protocols/contract/protocol_row.h"

namespace starling {

// By the protocol's reader. A greeting that its dialogue would swallow is no longer than
// kMaxLegGreeting; what has not ended by then is no greeting.
GreetingStatus ReadGreeting(const ProtocolRow& protocol, ByteView in);

// SMTP and LMTP (RFC 5321 section 4.2), NNTP (RFC 3977 section 5.1), FTP (RFC 959 section 5.4,
// where codes of the class 1 only announce the greeting). Codes of the classes 4 and 5 refuse. Each
// other code is that of another protocol.
GreetingStatus ReadSmtpGreeting(ByteView in);
GreetingStatus ReadNntpGreeting(ByteView in);
GreetingStatus ReadFtpGreeting(ByteView in);

// One line. `words` are those that it may begin with; the case of letters does not matter.
struct GreetingWords {
  std::string_view welcome;
  std::string_view other_welcome;  // empty: there is one alone
  std::string_view refusal;
};
GreetingStatus ReadLineGreeting(ByteView in, const GreetingWords& words);

// IMAP (RFC 9051 section 7.1), POP3 (RFC 1939 section 3), ACAP (RFC 2244 section 6.2.1).
GreetingStatus ReadImapGreeting(ByteView in);
GreetingStatus ReadPop3Greeting(ByteView in);
GreetingStatus ReadAcapGreeting(ByteView in);

// Lines of capabilities up to one that begins with OK, NO or BYE (RFC 5804 section 1.7).
GreetingStatus ReadSieveGreeting(ByteView in);

}  // namespace starling
