// Where the scripts of SMTP's plaintext leg begin: on the leg, in a transaction, in its data.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "protocols/smtp/smtp_testing.h"

namespace starling {

inline const std::string kHelloReply =
    "250-mx.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n";
inline const std::string kNoAuth =
    "538 5.7.11 Encryption required for requested authentication mechanism\r\n";
inline const std::string kNotImplemented = "502 5.5.1 Command not implemented\r\n";
inline const std::string kNotPermitted = "550 5.7.0 Not permitted\r\n";
inline const std::string kUnknown = "500 5.5.2 Command not recognized\r\n";
inline const std::string kReady = "220 2.0.0 Ready to start TLS\r\n";
inline const std::string kBroken =
    "421 4.3.2 mx.example Service not available, try again later\r\n";
inline const std::string kMail = "MAIL FROM:<a@b>\r\n";
inline const std::string kRcpt = "RCPT TO:<c@d>\r\n";

inline SmtpSetting LegSetting(bool lmtp = false) {
  SmtpSetting setting;
  setting.options.hostname = "mx.example";
  setting.options.policy = Policy::kOpportunistic;
  setting.lmtp = lmtp;
  return setting;
}

// The script after EHLO and MAIL have opened the leg and MAIL was accepted.
inline std::vector<Move> InTransaction(std::vector<Move> rest) {
  std::vector<Move> moves = {
      C("EHLO x\r\n"),
      ToC(kHelloReply),
      C(kMail),
      Opens(),
      B("220 backend\r\n"),
      ToB("EHLO x\r\n"),
      B("250-backend\r\n250 SIZE\r\n"),
      ToC(""),
      ToB(kMail),
      B("250 2.1.0 Ok\r\n"),
      ToC("250 2.1.0 Ok\r\n"),
  };
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

// And after RSET has ended that transaction.
inline std::vector<Move> OnLeg(std::vector<Move> rest) {
  std::vector<Move> moves =
      InTransaction({C("RSET\r\n"), ToB("RSET\r\n"), B("250 Ok\r\n"), ToC("250 Ok\r\n")});
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

// InTransaction() and the go-ahead for the data.
inline std::vector<Move> InData(std::vector<Move> rest) {
  std::vector<Move> moves =
      InTransaction({C(kRcpt + "DATA\r\n"), ToB(kRcpt + "DATA\r\n"), B("250 Ok\r\n354 go on\r\n"),
                     ToC("250 Ok\r\n354 go on\r\n")});
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

inline const std::vector<Signal> kNotTaken = {Signal::kNotTaken};
inline const std::vector<Attack> kInjected = {Attack::kBackendInjection};

}  // namespace starling
