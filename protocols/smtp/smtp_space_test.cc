// White space around and between the words of SMTP and LMTP. The gateway accepts what
// Postfix accepts, and sends the server one space instead.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "protocols/smtp/smtp_testing.h"

namespace starling {
namespace {

SmtpSetting Setting(Policy policy, bool lmtp = false) {
  SmtpSetting setting;
  setting.options.hostname = "mx.example";
  setting.options.policy = policy;
  setting.options.plaintext_auth = policy == Policy::kOpportunistic;
  setting.lmtp = lmtp;
  return setting;
}

const std::string kReady = "220 2.0.0 Ready to start TLS\r\n";
const std::string kArgument = "501 5.5.4 STARTTLS takes no argument\r\n";
const std::string kUseTls = "530 5.7.0 Must issue a STARTTLS command first\r\n";
const std::string kNoAuth =
    "538 5.7.11 Encryption required for requested authentication mechanism\r\n";

TEST(SmtpSpace, CommandsAnsweredHere) {
  for (bool lmtp : {false, true}) {
    std::vector<SmtpCase> cases;
    for (std::string line : {"STARTTLS", "STARTTLS ", "STARTTLS\t", "starttls \t ", " STARTTLS",
                             "\tSTARTTLS", " \t STARTTLS\t "}) {
      cases.push_back({"[" + line + "]", {C(line + "\r\n"), ToC(kReady)}, Verdict::kUpgrade});
    }
    for (std::string line : {"STARTTLS\tx", " STARTTLS  x "}) {
      cases.push_back({"[" + line + "]", {C(line + "\r\n"), ToC(kArgument)}});
    }
    for (std::string line : {"NOOP", " NOOP", "NOOP\t", "\tRSET  "}) {
      cases.push_back({"[" + line + "]", {C(line + "\r\n"), ToC("250 2.0.0 Ok\r\n")}});
    }
    for (std::string line : {" AUTH PLAIN x", "AUTH\tPLAIN", "AUTH  PLAIN "}) {
      cases.push_back({"[" + line + "]",
                       {C(line + "\r\n"), ToC(kNoAuth)},
                       Verdict::kContinue,
                       EndReason::kNone,
                       {},
                       {Attack::kPlaintextAuth}});
    }
    cases.push_back(
        {"a chunk", {C("BDAT \t 3\tLAST \r\nabcMAIL FROM:<>\r\n"), ToC(kUseTls + kUseTls)}});
    cases.push_back({"quit",
                     {C("\tQUIT \r\n"), ToC("221 2.0.0 Bye\r\n")},
                     Verdict::kClose,
                     EndReason::kGoodbye});
    RunCases(cases, Setting(Policy::kRequire, lmtp));
  }
}

// A space before a request or a header does not change what it is.
TEST(SmtpSpace, Strangers) {
  for (std::string line : {" GET / HTTP/1.1", "\tHost: a", " POST / HTTP/1.1 "}) {
    RunCases({{line,
               {C(line + "\r\n"), ToC("221 2.7.0 This is a mail server, goodbye\r\n")},
               Verdict::kClose,
               EndReason::kCrossProtocol,
               {},
               {Attack::kCrossProtocol}}},
             Setting(Policy::kRequire));
  }
}

TEST(SmtpSpace, ABackendSeesOneSpace) {
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"MAIL  FROM:<a@b>", "MAIL FROM:<a@b>"},
      {"\tMAIL\tFROM:<a@b>\t", "MAIL FROM:<a@b>"},
      {" mail from:<a@b>  SIZE=1 \t BODY=7BIT  ", "mail from:<a@b> SIZE=1 BODY=7BIT"},
      {"MAIL FROM: \t <a@b>", "MAIL FROM: <a@b>"},
      // Data stays as it is: a quoted local part, and everything else in the brackets.
      {"MAIL FROM:<\"a  b\"@c>  SIZE=1", "MAIL FROM:<\"a  b\"@c> SIZE=1"},
      {"MAIL FROM:<\"a\\\"  >  \"@c>  SIZE=1", "MAIL FROM:<\"a\\\"  >  \"@c> SIZE=1"},
      {"MAIL FROM:< a  b >  SIZE=1", "MAIL FROM:< a  b > SIZE=1"},
      {"MAIL FROM:\"a \t b\"@c \t SIZE=1", "MAIL FROM:\"a \t b\"@c SIZE=1"},
      {"VRFY\t\"a  b\" ", "VRFY \"a  b\""},
      {"AUTH  PLAIN\tAHUAcA== ", "AUTH PLAIN AHUAcA=="},
  };
  std::vector<SmtpCase> cases;
  for (const auto& [line, passed] : lines) {
    cases.push_back(
        {"[" + line + "]", {C(line + "\r\n"), Opens(), B("220 b\r\n"), ToB(passed + "\r\n")}});
  }
  RunCases(cases, Setting(Policy::kOpportunistic));
  RunCases(cases, Setting(Policy::kOpportunistic, /*lmtp=*/true));
}

TEST(SmtpSpace, TheReplayedHelloToo) {
  for (bool lmtp : {false, true}) {
    const std::string verb = lmtp ? "LHLO" : "EHLO";
    const std::string capabilities =
        "250-mx.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n";
    RunCases(
        {{verb,
          {C(" " + verb + "\t c.example  \r\n\tMAIL FROM:<>\r\n"), ToC(capabilities), Opens(),
           B("220 b\r\n"), ToB(verb + " c.example\r\n"), B("250 b\r\n"), ToB("MAIL FROM:<>\r\n")},
          Verdict::kContinue,
          EndReason::kNone,
          {Signal::kNotTaken}}},
        Setting(Policy::kOpportunistic, lmtp));
  }
}

}  // namespace
}  // namespace starling
