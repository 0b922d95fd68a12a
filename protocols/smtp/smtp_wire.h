// The words of SMTP and LMTP: verbs, reply lines, the gateway's own replies, and the
// keywords of EHLO. RFC 5321, 2033, 2034, 3207.
//
// Not for: what the words lead to (smtp.h, smtp_leg.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// What a verb means to the gateway.
enum class SmtpVerb : uint8_t {
  kUnknown,
  kEhlo,
  kHelo,
  kLhlo,
  kStartTls,
  kMail,
  kRcpt,
  kData,
  kReset,
  kQuery,  // VRFY, EXPN, ETRN: real work outside a transaction
  kNoop,
  kHelp,
  kQuit,
  kAuth,
  kBdat,
  kBurl,
  kIdentityClaim,  // XCLIENT, XFORWARD
};

struct SmtpCommand {
  SmtpVerb verb = SmtpVerb::kUnknown;
  std::string_view word;      // the verb as sent
  std::string_view argument;  // without surrounding white space
};

// Reads `line`, which has no CRLF. Postfix accepts any spaces and tabs around each word,
// and so does the gateway. It passes the words on with one space (SayWords).
SmtpCommand ParseSmtpCommand(std::string_view line);

// A line of a backend's reply: "250-text", "250 text", "250" (RFC 5321 4.2). Like clients,
// the gateway also accepts a tab instead of the space.
struct SmtpReplyLine {
  uint16_t code = 0;  // 0: not a reply line
  bool last = false;
  std::string_view text;

  bool ok() const { return code / 100 == 2; }
};
SmtpReplyLine ParseSmtpReplyLine(std::string_view line);

// Replies of the gateway's own. X(enumerator, text without CRLF)
#define STARLING_SMTP_REPLIES(X)                                                            \
  X(kOk, "250 2.0.0 Ok")                                                                    \
  X(kHelp, "214 2.0.0 This is a mail server; see RFC 5321")                                 \
  X(kGoAhead, "220 2.0.0 Ready to start TLS")                                               \
  X(kBye, "221 2.0.0 Bye")                                                                  \
  X(kCrossProtocol, "221 2.7.0 This is a mail server, goodbye")                             \
  X(kTooManyCommands, "421 4.7.0 Too many commands, goodbye")                               \
  X(kUnknown, "500 5.5.2 Command not recognized")                                           \
  X(kLineTooLong, "500 5.5.2 Line too long, goodbye")                                       \
  X(kBareLf, "500 5.5.2 Bare <LF> received, goodbye")                                       \
  X(kBareCr, "500 5.5.2 Bare <CR> received, goodbye")                                       \
  X(kNul, "500 5.5.2 NUL received, goodbye")                                                \
  X(kEightBit, "500 5.5.2 8-bit octet in a command, goodbye")                               \
  X(kHeloArgument, "501 5.5.4 One host name expected")                                      \
  X(kBdatArgument, "501 5.5.4 Chunk size expected, goodbye")                                \
  X(kStartTlsArgument, "501 5.5.4 STARTTLS takes no argument")                              \
  X(kNotImplemented, "502 5.5.1 Command not implemented")                                   \
  X(kNeedMail, "503 5.5.1 MAIL first")                                                      \
  X(kInTransaction, "503 5.5.1 MAIL transaction in progress")                               \
  X(kMustStartTls, "530 5.7.0 Must issue a STARTTLS command first")                         \
  X(kAuthNeedsTls, "538 5.7.11 Encryption required for requested authentication mechanism") \
  X(kNotPermitted, "550 5.7.0 Not permitted")

enum class SmtpReply : uint8_t {
#define X(name, text) name,
  STARLING_SMTP_REPLIES(X)
#undef X
};

#define X(name, text) +1
inline constexpr size_t kSmtpReplyCount = 0 STARLING_SMTP_REPLIES(X);
#undef X

// The longest reply of the table, with CRLF.
inline constexpr size_t kSmtpMaxOwnReply = 96;

// The text with its CRLF.
std::string_view Text(SmtpReply reply);

// What a backend offers, as far as the gateway knows: bits in the low 24, the value of SIZE
// in the upper 40. There are bits only for keywords that the gateway can offer in its own
// name, and none for those that must not be offered before TLS (CHUNKING, BINARYMIME, BURL,
// XCLIENT, XFORWARD, REQUIRETLS, STARTTLS). AUTH has bits for listeners that allow log-in
// in plaintext, with the mechanisms that need no TLS.
inline constexpr unsigned kSmtpSizeShift = 24;
enum SmtpCapability : uint64_t {
  kSmtpKnown = 1u << 0,  // the probe has asked the backend; without it the rest is a guess
  kSmtpPipelining = 1u << 1,
  kSmtpSize = 1u << 2,
  kSmtpVrfy = 1u << 3,
  kSmtpExpn = 1u << 4,
  kSmtpEtrn = 1u << 5,
  kSmtpEnhancedCodes = 1u << 6,
  kSmtp8BitMime = 1u << 7,
  kSmtpDsn = 1u << 8,
  kSmtpUtf8 = 1u << 9,
  kSmtpHelp = 1u << 10,
  kSmtpAuthPlain = 1u << 11,
  kSmtpAuthLogin = 1u << 12,
  kSmtpAuthCramMd5 = 1u << 13,
};

// The gateway offers these if it knows nothing about the backend.
inline constexpr uint64_t kSmtpDefaultCapabilities = kSmtpPipelining | kSmtpEnhancedCodes;

// Adds the keyword in the text of one line of an EHLO reply (not of the first line).
void AddSmtpKeyword(std::string_view text, uint64_t& capabilities);

// Writes the gateway's answer to EHLO or LHLO: `hostname`, STARTTLS (never last: a
// well-known probe looks for "250-STARTTLS"), then the rest.
void WriteEhloReply(const DialogueOptions& options, uint64_t capabilities, Writer& out);

}  // namespace starling
