// The text of FTP's control connection as data: commands, lines of replies, and the
// addresses in PASV, EPSV, PORT and EPRT (RFC 959, 2428). Pure functions of that text.
//
// Not for: what the text leads to (ftp_control.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"
#include "protocols/ftp/limits.h"

namespace starling {

// Codes of replies that the gateway acts on.
inline constexpr int kFtpOk = 200;
inline constexpr int kFtpFeatures = 211;
inline constexpr int kFtpReady = 220;
inline constexpr int kFtpGoodbye = 221;
inline constexpr int kFtpNoTransfer = 225;
inline constexpr int kFtpTransferDone = 226;
inline constexpr int kFtpPassive = 227;
inline constexpr int kFtpLongPassive = 228;  // RFC 1639
inline constexpr int kFtpExtendedPassive = 229;
inline constexpr int kFtpLoggedIn = 230;
inline constexpr int kFtpLoggedInBySecurityData = 232;  // RFC 2228: PASS is not needed
inline constexpr int kFtpClosing = 421;

// Tells the client where to connect.
constexpr bool IsPassiveCode(int code) {
  return code == kFtpPassive || code == kFtpLongPassive || code == kFtpExtendedPassive;
}

// Replies of the gateway's own. X(enumerator, text without CRLF)
#define STARLING_FTP_REPLIES(X)                                          \
  X(kPbsz, "200 PBSZ=0")                                                 \
  X(kPbszBad, "501 PBSZ takes a number")                                 \
  X(kPbszFirst, "503 PBSZ first")                                        \
  X(kPrivate, "200 Data is private")                                     \
  X(kClear, "200 Data is clear: no transfer without PROT P")             \
  X(kOtherLevel, "536 Use PROT P")                                       \
  X(kUnknownLevel, "504 Unknown protection")                             \
  X(kTlsActive, "503 TLS is active already")                             \
  X(kNoClear, "534 The control connection stays protected")              \
  X(kNotHere, "502 Not available here")                                  \
  X(kEpsvAll, "200 EPSV ALL")                                            \
  X(kAfterEpsvAll, "503 Only EPSV after EPSV ALL")                       \
  X(kProtFirst, "521 PROT P first")                                      \
  X(kNoChannel, "425 Use PASV, EPSV, PORT or EPRT first")                \
  X(kUseEpsv, "425 PASV is for IPv4, use EPSV")                          \
  X(kCannotOpen, "425 Cannot open a data connection")                    \
  X(kSyntax, "501 Syntax error")                                         \
  X(kForeign, "504 Only your own address, and a port from 1024 on")      \
  X(kUseV4, "522 Network protocol not supported, use (1)")               \
  X(kUseV6, "522 Network protocol not supported, use (2)")               \
  X(kUnknown, "500 Unknown command")                                     \
  X(kOtherMode, "504 A file ends with its connection here")              \
  X(kLogInFirst, "530 Log in first")                                     \
  X(kDataTls, "522 TLS on the data connection failed")                   \
  X(kDataCut, "426 Data connection closed, transfer aborted")            \
  X(kLineTooLong, "500 Line too long")                                   \
  X(kReplyTooLong, "500 The server's reply is too long for the gateway") \
  X(kMisplaced, "425 The server's reply names an address that was not asked for")

enum class FtpReply : uint8_t {
#define X(name, text) name,
  STARLING_FTP_REPLIES(X)
#undef X
};

// The text with its CRLF, at most kFtpMaxOwnReply octets.
std::string_view Text(FtpReply reply);

enum class FtpVerb : uint8_t {
  kUnknown,  // not a plain word: never passed on
  kOther,    // passed on; the backend decides what it does
  kNoop,
  kRetrieve,  // uses the data channel: RETR, LIST ...
  kStore,     // the same, towards the backend: STOR, STOU, APPE
  kAbor,
  kQuit,
  kFeat,
  kPasv,
  kEpsv,
  kPort,
  kEprt,
  kMode,
  kAuth,
  kPbsz,
  kProt,
  kCcc,
  kRefused,  // LPRT, LPSV, CPSV, SSCN, REIN, and the rest of RFC 2228
};
FtpVerb FindFtpVerb(std::string_view word);
// Whether the word needs TLS. If not, it is unknown before TLS.
bool NeedsTls(std::string_view word);

// What a verb means for the control connection. ftp_wire.cc has one table for all verbs.
struct FtpVerbTraits {
  // What must be over before the gateway reads the command. There is one data channel at a
  // time.
  enum class Waits : uint8_t {
    kForNothing,
    kForTransfer,
    kForChannel,          // a transfer, and setting up the channel before
    kForLogInAndChannel,  // the same, and before log-in every reply that is due
  };
  Waits waits = Waits::kForNothing;
  bool blanks_count = false;   // blanks around the argument are part of it
  bool streams = false;        // the gateway does not read the argument, so its length has no limit
  bool hides_feature = false;  // the gateway answers it itself, so FEAT must not list it
};
const FtpVerbTraits& TraitsOf(FtpVerb verb);

// A line of the client. One space or tab ends the word. If an argument names a file or a
// user, or may hold a secret, everything that follows is the argument: servers distinguish
// "a" from " a" and "a ". Otherwise blanks around the argument mean nothing (ProFTPD
// accepts all of them, other servers some) and are not part of `argument`.
struct FtpCommand {
  FtpVerb verb = FtpVerb::kUnknown;
  std::string_view word;
  std::string_view argument;
  bool blanks_count = false;
};
FtpCommand ParseFtpCommand(std::string_view line);

// Telnet's IP and Synch (FF F4, FF F2), which clients send before ABOR as RFC 959 section
// 4.1.3 demands.
std::string_view StripTelnet(std::string_view line);

// One line of a backend's reply. If it exceeds kFtpMaxLine, only its beginning.
struct FtpReplyLine {
  int code = 0;        // of the whole reply; 0: no such line may come here
  bool first = false;  // the first line of its reply
  bool last = false;
  bool cut = false;       // the line goes on after `text`
  std::string_view text;  // without the line's end

  bool preliminary() const { return code / 100 == 1; }
  bool ok() const { return code / 100 == 2; }
};

// `text` as a line of a reply (RFC 959 section 4.2: "123-" begins one that ends with "123 ").
// `amid`: the code of the reply whose lines are being read, or 0.
FtpReplyLine ParseFtpReplyLine(std::string_view text, int amid);

// Whether a line within a reply reads like a reply that tells the client where to connect:
// 227, 228 (LPSV) or 229, with what may be an address. `cut`: the line goes on, and the
// address may be there.
bool NamesDataAddress(std::string_view line, bool cut);

// The port in "227 ... (h1,h2,h3,h4,p1,p2)" and in "229 ... (|||port|)", in any line of
// such a reply. Both ignore the address (RFC 2577 section 3).
std::optional<uint16_t> PortOf227(std::string_view text);
std::optional<uint16_t> PortOf229(std::string_view text);

// The arguments of PORT and of EPRT.
std::optional<Endpoint> ParsePort(std::string_view argument);
std::optional<Endpoint> ParseEprt(std::string_view argument);

// Writes an IPv4 address as "h1,h2,h3,h4,p1,p2".
void SayHostPort(const Endpoint& address, Writer& out);
// Writes "PORT ...", or "EPRT ..." for IPv6, with the line's end.
void SayPortCommand(const Endpoint& address, Writer& out);

}  // namespace starling
