// What goes over FTP's control connection, as data: commands, lines of replies, and the
// addresses in PASV, EPSV, PORT and EPRT (RFC 959, 2428). Pure functions of their text.
//
// Not for: what any of it leads to (ftp_control.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/endpoint.h"
#include "protocols/limits.h"
#include "protocols/line_reader.h"
#include "protocols/negotiator.h"

namespace starling {

enum class FtpVerb : uint8_t {
  kUnknown,  // no plain word: never passed on
  kOther,    // passed on; what it does is the backend's business
  kNoop,
  kRetrieve,  // uses the data channel: RETR, LIST ...
  kStore,     // the same towards the backend: STOR, STOU, APPE
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

// A line of the client. One space or tab ends the word. Where an argument names a file or a
// user, or may hold a secret, all that follows is the argument: servers tell "a" from " a" and
// "a ". Elsewhere blanks around it mean nothing (ProFTPD takes them, others some of them), and
// are not part of `argument`.
struct FtpCommand {
  FtpVerb verb = FtpVerb::kUnknown;
  std::string_view word;
  std::string_view argument;
  bool blanks_count = false;
};
FtpCommand ParseFtpCommand(std::string_view line);

// Telnet's IP and Synch (FF F4, FF F2), which RFC 959 section 4.1.3 wants before ABOR.
std::string_view StripTelnet(std::string_view line);

// One line of a backend's reply. Of one longer than kFtpMaxLine the beginning.
struct FtpReplyLine {
  LineReader::Status status = LineReader::Status::kNeedMore;
  int code = 0;        // of the whole reply; 0: no such line may stand here
  bool first = false;  // of its reply
  bool last = false;
  bool cut = false;       // it goes on behind `text`
  std::string_view text;  // without its end

  bool preliminary() const { return code / 100 == 1; }
  bool ok() const { return code / 100 == 2; }
};

// Tells the lines of replies apart (RFC 959 section 4.2: "123-" begins one that ends with
// "123 "). A line is taken by Take(), after which its octets are the caller's, and Next() is
// given what comes behind it; until then the same line is found again.
class FtpReplyReader {
 public:
  FtpReplyLine Next(ByteView in);
  void Take(const FtpReplyLine& line);
  // Lines of the reply at hand are still to come.
  bool InReply() const { return code_ != 0; }

 private:
  LineReader lines_{kFtpMaxLine, /*accept_bare_lf=*/true};
  int code_ = 0;  // of the reply being read
};

// What follows of a line whose beginning has been judged, piece by piece, so that a line
// needs no memory. A piece holds no octet of the line's end.
struct LinePiece {
  enum class Status : uint8_t {
    kMore,  // nothing, or not all of it
    kEnd,   // the line is over
    kBad,   // NUL, a CR that no LF follows, or a bare LF that is not accepted
  };
  Status status = Status::kMore;
  std::string_view text;
  size_t consumed = 0;
};
LinePiece NextPiece(ByteView in, size_t room, bool accept_bare_lf);

// Whether a line within a reply reads as a reply of its own that tells the client where to
// connect: 227, 228 (LPSV) or 229 with what may be an address.
bool NamesDataAddress(std::string_view line);
constexpr bool IsPassiveCode(int code) { return code >= 227 && code <= 229; }

// The port in "227 ... (h1,h2,h3,h4,p1,p2)" and in "229 ... (|||port|)", in any line of such a
// reply. The address is not looked at: RFC 2577 section 3.
std::optional<uint16_t> PortOf227(std::string_view text);
std::optional<uint16_t> PortOf229(std::string_view text);

// The arguments of PORT and of EPRT.
std::optional<Endpoint> ParsePort(std::string_view argument);
std::optional<Endpoint> ParseEprt(std::string_view argument);

inline bool SameHost(const Endpoint& a, const Endpoint& b) {
  return a.family == b.family && a.ip == b.ip;
}

// "h1,h2,h3,h4,p1,p2" of an IPv4 address.
void SayHostPort(const Endpoint& address, Writer& out);
// "PORT ...", or "EPRT ..." for IPv6, with its end.
void SayPortCommand(const Endpoint& address, Writer& out);

}  // namespace starling
