// Which replies the commands of SMTP and LMTP may have on a plaintext leg: one table, by
// class. If a server says anything else, it has broken the protocol, or somebody speaks in
// its place. The gateway does not pass such a reply on, since the client would take it for
// the answer to something else. RFC 5321 section 4.3.2, 2033 section 4.2, 4954 section 4.
//
// Not for: which command a reply belongs to, and what the reply leads to (smtp_leg.h).
#pragma once

#include <cstdint>

#include "protocols/smtp/smtp_wire.h"

namespace starling {

// What a reply answers.
enum class SmtpDue : uint8_t {
  kNothing,  // no command is outstanding
  kGreeting,
  kEhlo,  // also the hello that the gateway repeats on a leg, EHLO or HELO
  kHelo,
  kMail,
  kRcpt,
  kData,
  kFinal,  // the end of data; in LMTP once for each recipient
  kReset,
  kAuth,  // the command, and each line of the client after a 334
  kQuit,
  kOther,  // NOOP, VRFY, EXPN, ETRN, HELP
};

inline constexpr int kSmtpReady = 220;
inline constexpr int kSmtpCompleted = 250;
inline constexpr int kSmtpAuthGoAhead = 334;
inline constexpr int kSmtpDataGoAhead = 354;
// May come at any time and ends the session (RFC 5321 section 3.8).
inline constexpr int kSmtpClosing = 421;

SmtpDue DueFor(SmtpVerb verb);

// Whether a reply that begins with `code` may answer `due`.
bool MayAnswer(SmtpDue due, int code);

// Whether a line with `code` may follow a line with a different code, `before`, in one
// reply. RFC 5321 section 4.2.1 demands the same code in all lines. But a server that keeps
// its clients waiting for its greeting (postscreen) has said "220-" before it knows whom to
// refuse, and others refuse for several reasons at once.
bool MayFollow(SmtpDue due, int before, int code);

// Whether such a line continues the reply of `before`. The client then gets that code in
// all lines: a client that looks for the first code at the end must find it there.
bool GoesOn(int before, int code);

}  // namespace starling
