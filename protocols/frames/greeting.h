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

// Lines that begin with a code of three digits; "-" behind the code announces another line
// (RFC 5321 section 4.2.1, RFC 959 section 4.2, RFC 3977 section 3.2). Codes of the classes
// 1 and 2 welcome, those of 4 and 5 refuse; the last line's counts. Lines in between may have
// no code, as in FTP.
GreetingStatus ReadCodeGreeting(ByteView in);

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
