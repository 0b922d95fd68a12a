// What goes over FTP's control connection, as data: verbs, lines of replies, and the
// addresses in PASV, EPSV, PORT and EPRT (RFC 959, 2428). Pure functions of their text.
//
// Not for: what any of it leads to (ftp_control.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/endpoint.h"
#include "protocols/line_reader.h"
#include "protocols/negotiator.h"

namespace starling {

enum class FtpVerb : uint8_t {
  kUnknown,   // no plain word: never passed on
  kOther,     // passed on; what it does is the backend's business
  kTransfer,  // uses the data channel: RETR, STOR, LIST ...
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

// Telnet's IP and Synch (FF F4, FF F2), which RFC 959 section 4.1.3 wants before ABOR.
std::string_view StripTelnet(std::string_view line);

// One line of a backend's reply.
struct FtpReplyLine {
  LineReader::Status status = LineReader::Status::kNeedMore;
  int code = 0;        // of the whole reply; 0: no such line may stand here
  bool first = false;  // of its reply
  bool last = false;
  std::string_view text;  // without its end
  size_t consumed = 0;

  bool preliminary() const { return code / 100 == 1; }
  bool ok() const { return code / 100 == 2; }
};

// Tells the lines of replies apart (RFC 959 section 4.2: "123-" begins one that ends with
// "123 "). A line is taken by Take(); until then it is found again.
class FtpReplyReader {
 public:
  FtpReplyLine Next(ByteView in);
  void Take(const FtpReplyLine& line) { code_ = line.last ? 0 : line.code; }

 private:
  LineReader lines_{kMax, /*accept_bare_lf=*/true};
  static constexpr size_t kMax = 1'280;  // kFtpMaxReplyLine
  int code_ = 0;                         // of the reply being read
};

// The port in "227 ... (h1,h2,h3,h4,p1,p2)" and in "229 ... (|||port|)". The address is
// not looked at: RFC 2577 section 3.
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
