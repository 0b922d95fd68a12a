// SMTP and LMTP before TLS, and in the preamble after it. smtp_leg_test.cc has the
// plaintext leg.
#include "protocols/smtp/smtp.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/smtp/smtp_testing.h"
#include "protocols/smtp/smtp_wire.h"

namespace starling {
namespace {

using namespace std::string_literals;

const std::string kHelloReply =
    "250-mx.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n";
const std::string kOk = "250 2.0.0 Ok\r\n";
const std::string kTlsFirst = "530 5.7.0 Must issue a STARTTLS command first\r\n";
const std::string kReady = "220 2.0.0 Ready to start TLS\r\n";
const std::string kNoAuth =
    "538 5.7.11 Encryption required for requested authentication mechanism\r\n";
const std::string kUnknown = "500 5.5.2 Command not recognized\r\n";
const std::string kNotImplemented = "502 5.5.1 Command not implemented\r\n";

SmtpSetting Setting(Policy policy, bool lmtp = false) {
  SmtpSetting setting;
  setting.options.hostname = "mx.example";
  setting.options.policy = policy;
  setting.lmtp = lmtp;
  return setting;
}

TEST(Smtp, Greets) {
  for (bool lmtp : {false, true}) {
    SmtpSetting setting = Setting(Policy::kRequire, lmtp);
    SmtpPlay play(setting.options, lmtp);
    play.Raise(EventKind::kStart);
    EXPECT_EQ(play.TakeToClient(),
              lmtp ? "220 mx.example LMTP ready\r\n" : "220 mx.example ESMTP ready\r\n");
    EXPECT_EQ(play.verdict(), Verdict::kContinue);
  }
}

TEST(Smtp, RequireAnswersOnlyWhatLeadsToTls) {
  RunCases(
      {
          {"ehlo", {C("EHLO client.example\r\n"), ToC(kHelloReply)}},
          {"case does not count", {C("eHlO x\r\n"), ToC(kHelloReply)}},
          {"helo", {C("HELO x\r\n"), ToC("250 mx.example\r\n")}},
          {"noop, rset", {C("NOOP\r\nNOOP x\r\nRSET\r\n"), ToC(kOk + kOk + kOk)}},
          {"quit", {C("QUIT\r\n"), ToC("221 2.0.0 Bye\r\n")}, Verdict::kClose, EndReason::kGoodbye},
          {"mail before ehlo", {C("MAIL FROM:<>\r\n"), ToC(kTlsFirst)}},
          {"mail after the offer",
           {C("EHLO x\r\n"), ToC(kHelloReply), C("MAIL FROM:<>\r\nMAIL FROM:<>\r\n"),
            ToC(kTlsFirst + kTlsFirst)},
           Verdict::kContinue,
           EndReason::kNone,
           {Signal::kNotTaken}},
          {"others",
           {C("RCPT TO:<a@b>\r\nDATA\r\nVRFY x\r\nETRN x\r\nHELP\r\nBURL x\r\nTURN\r\n\r\n"),
            ToC(kTlsFirst + kTlsFirst + kTlsFirst + kTlsFirst + kTlsFirst + kTlsFirst + kTlsFirst +
                kTlsFirst)}},
          {"auth",
           {C("EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"), ToC(kHelloReply + kNoAuth)},
           Verdict::kContinue,
           EndReason::kNone,
           {Signal::kNotTaken},
           {Attack::kPlaintextAuth}},
          {"xclient",
           {C("XCLIENT NAME=x\r\n"), ToC(kTlsFirst)},
           Verdict::kContinue,
           EndReason::kNone,
           {},
           {Attack::kIdentityClaim}},
          {"a chunk is no command", {C("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), ToC(kTlsFirst + kOk)}},
          {"helo without name",
           {C("EHLO\r\nHELO  \r\n"),
            ToC("501 5.5.4 One host name expected\r\n501 5.5.4 One host name expected\r\n")}},
          {"lhlo", {C("LHLO x\r\n"), ToC(kUnknown)}},
      },
      Setting(Policy::kRequire));
}

TEST(Smtp, LmtpHasItsOwnHello) {
  RunCases(
      {{"lhlo", {C("LHLO client.example\r\n"), ToC(kHelloReply)}},
       {"ehlo, helo", {C("EHLO x\r\nHELO x\r\n"), ToC(kUnknown + kUnknown)}},
       {"upgrade", {C("LHLO x\r\nSTARTTLS\r\n"), ToC(kHelloReply + kReady)}, Verdict::kUpgrade}},
      Setting(Policy::kRequire, true));
}

TEST(Smtp, PointOfUpgrade) {
  for (Policy policy : {Policy::kRequire, Policy::kOpportunistic}) {
    RunCases(
        {
            {"after ehlo",
             {C("EHLO x\r\n"), ToC(kHelloReply), C("STARTTLS\r\n"), ToC(kReady)},
             Verdict::kUpgrade},
            {"without ehlo", {C("starttls\r\n"), ToC(kReady)}, Verdict::kUpgrade},
            {"space before the end", {C("STARTTLS \r\n"), ToC(kReady)}, Verdict::kUpgrade},
            {"command injection stays outside",
             {C("STARTTLS\r\nEHLO x\r\n"), ToC(kReady)},
             Verdict::kUpgrade,
             EndReason::kNone,
             {},
             {},
             "EHLO x\r\n"},
            {"even one octet",
             {C("EHLO x\r\nSTARTTLS\r\n\x16"), ToC(kHelloReply + kReady)},
             Verdict::kUpgrade,
             EndReason::kNone,
             {},
             {},
             "\x16"},
            {"in a second segment",
             {C("STARTTLS\r\n"), C("EHLO x\r\n"), ToC(kReady)},
             Verdict::kUpgrade,
             EndReason::kNone,
             {},
             {},
             "EHLO x\r\n"},
            {"with an argument",
             {C("STARTTLS x\r\nNOOP\r\n"), ToC("501 5.5.4 STARTTLS takes no argument\r\n" + kOk)}},
            {"bare lf",
             {C("STARTTLS\n"), ToC("500 5.5.2 Bare <LF> received, goodbye\r\n")},
             Verdict::kClose,
             EndReason::kBadOctet,
             {},
             {Attack::kBadOctet}},
            {"nul",
             {C("STAR\0TTLS\r\n"s), ToC("500 5.5.2 NUL received, goodbye\r\n")},
             Verdict::kClose,
             EndReason::kBadOctet,
             {},
             {Attack::kBadOctet}},
            {"bare cr",
             {C("STAR\rTTLS\r\n"), ToC("500 5.5.2 Bare <CR> received, goodbye\r\n")},
             Verdict::kClose,
             EndReason::kBadOctet,
             {},
             {Attack::kBadOctet}},
            {"8-bit",
             {C("\xc3\xa4STARTTLS\r\n"), ToC("500 5.5.2 8-bit octet in a command, goodbye\r\n")},
             Verdict::kClose,
             EndReason::kBadOctet,
             {},
             {Attack::kBadOctet}},
        },
        Setting(policy));
  }
}

TEST(Smtp, BareLfWhereTheListenerAcceptsIt) {
  SmtpSetting setting = Setting(Policy::kRequire);
  setting.options.accept_bare_lf = true;
  RunCases({{"upgrade", {C("EHLO x\nSTARTTLS\n"), ToC(kHelloReply + kReady)}, Verdict::kUpgrade}},
           setting);
}

TEST(Smtp, Strangers) {
  const std::string too_long = "500 5.5.2 Line too long, goodbye\r\n";
  const std::string not_here = "221 2.7.0 This is a mail server, goodbye\r\n";
  RunCases(
      {
          {"overlong",
           {C(std::string(8193, 'a')), ToC(too_long)},
           Verdict::kClose,
           EndReason::kLineTooLong,
           {},
           {Attack::kOverlongLine}},
          {"one octet too long",
           {C("NOOP " + std::string(2048 - 6, 'a') + "\r\n"), ToC(too_long)},
           Verdict::kClose,
           EndReason::kLineTooLong,
           {},
           {Attack::kOverlongLine}},
          {"just long enough", {C("NOOP " + std::string(2048 - 7, 'a') + "\r\n"), ToC(kOk)}},
          {"tls record",
           {C("\x16\x03\x01\x02"), ToC("")},
           Verdict::kClose,
           EndReason::kTlsOnPlainPort,
           {},
           {Attack::kTlsOnPlainPort}},
          {"tls record after ehlo",
           {C("EHLO x\r\n\x16\x03"), ToC(kHelloReply)},
           Verdict::kClose,
           EndReason::kTlsOnPlainPort,
           {},
           {Attack::kTlsOnPlainPort}},
          {"http",
           {C("POST / HTTP/1.1\r\nHost: x\r\n"), ToC(not_here)},
           Verdict::kClose,
           EndReason::kCrossProtocol,
           {},
           {Attack::kCrossProtocol}},
          {"header",
           {C("Subject: x\r\n"), ToC(not_here)},
           Verdict::kClose,
           EndReason::kCrossProtocol,
           {},
           {Attack::kCrossProtocol}},
          {"chunk without a size",
           {C("BDAT x\r\n"), ToC("501 5.5.4 Chunk size expected, goodbye\r\n")},
           Verdict::kClose,
           EndReason::kBadOctet,
           {},
           {Attack::kBadOctet}},
          {"chunk too large",
           {C("BDAT 65537\r\n"), ToC(kNotImplemented)},
           Verdict::kClose,
           EndReason::kLineTooLong,
           {},
           {Attack::kOverlongLine}},
      },
      Setting(Policy::kRequire));
}

TEST(Smtp, CommandsAreCounted) {
  SmtpSetting setting = Setting(Policy::kRequire);
  setting.options.max_commands = 2;
  RunCases({{"third",
             {C("NOOP\r\nEHLO x\r\nNOOP\r\nNOOP\r\n"),
              ToC(kOk + kHelloReply + "421 4.7.0 Too many commands, goodbye\r\n")},
             Verdict::kClose,
             EndReason::kTooManyErrors},
            {"upgrade and quit are free",
             {C("NOOP\r\nNOOP\r\nSTARTTLS\r\n"), ToC(kOk + kOk + kReady)},
             Verdict::kUpgrade}},
           setting);
}

TEST(Smtp, SignsOfADowngrade) {
  for (const char* verb : {"XXXXXXXX", "XXXXXXXA", "STARTTLX", "STXXTTLS", "xxxxx"}) {
    RunCases({{verb,
               {C(verb + "\r\n"s), ToC(kTlsFirst)},
               Verdict::kContinue,
               EndReason::kNone,
               {Signal::kMangledCommand}}},
             Setting(Policy::kRequire));
  }
  for (const char* verb : {"XXX", "STARXXXS", "STARTTL", "XEXCH50"}) {
    RunCases({{verb, {C(verb + "\r\n"s), ToC(kTlsFirst)}}}, Setting(Policy::kRequire));
  }
  RunCases(
      {
          {"ehlo refused",
           {C("EHLO x\r\nHELO x\r\nHELO x\r\n"),
            ToC(kHelloReply + "250 mx.example\r\n250 mx.example\r\n")},
           Verdict::kContinue,
           EndReason::kNone,
           {Signal::kEhloRefused}},
          {"helo alone is none", {C("HELO x\r\n"), ToC("250 mx.example\r\n")}},
          {"offer, then close",
           {C("EHLO x\r\n"), ToC(kHelloReply), ClientEnds()},
           Verdict::kClose,
           EndReason::kClientLeftEarly,
           {Signal::kOfferThenClose}},
          {"something in between",
           {C("EHLO x\r\nNOOP\r\n"), ToC(kHelloReply + kOk), ClientEnds()},
           Verdict::kClose,
           EndReason::kClientLeftEarly},
          {"no offer", {ClientEnds()}, Verdict::kClose, EndReason::kClientLeftEarly},
      },
      Setting(Policy::kRequire));
}

TEST(Smtp, OpportunisticAnswersFromWhatIsKnownOfTheBackend) {
  SmtpSetting setting = Setting(Policy::kOpportunistic);
  RunCases({{"nothing known", {C("EHLO x\r\n"), ToC(kHelloReply)}}}, setting);
  setting.capabilities = kSmtpKnown;
  RunCases(
      {{"no keyword", {C("EHLO x\r\n"), ToC("250-mx.example\r\n250-STARTTLS\r\n250 HELP\r\n")}}},
      setting);
  setting.capabilities =
      kSmtpKnown | kSmtpSize | kSmtpDsn | kSmtpAuthPlain | uint64_t{10240000} << kSmtpSizeShift;
  RunCases({{"size, no auth",
             {C("EHLO x\r\n"),
              ToC("250-mx.example\r\n250-STARTTLS\r\n250-SIZE 10240000\r\n250 DSN\r\n")}}},
           setting);
  setting.options.plaintext_auth = true;
  RunCases({{"auth where it is allowed",
             {C("EHLO x\r\n"), ToC("250-mx.example\r\n250-STARTTLS\r\n250-SIZE 10240000\r\n"
                                   "250-AUTH PLAIN\r\n250 DSN\r\n")}}},
           setting);
}

TEST(Smtp, OpportunisticAnswersUntilRealWork) {
  RunCases(
      {
          {"noop, rset, help",
           {C("NOOP\r\nRSET\r\nHELP\r\n"),
            ToC(kOk + kOk + "214 2.0.0 This is a mail server; see RFC 5321\r\n")}},
          {"rcpt and data without mail",
           {C("RCPT TO:<a@b>\r\nDATA\r\n"),
            ToC("503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n")}},
          {"refused",
           {C("BDAT 4 LAST\r\nQUITBURL imap:\r\nFOO\r\n"),
            ToC(kNotImplemented + kNotImplemented + kUnknown)}},
          {"xforward",
           {C("XFORWARD ADDR=1.2.3.4\r\n"), ToC("550 5.7.0 Not permitted\r\n")},
           Verdict::kContinue,
           EndReason::kNone,
           {},
           {Attack::kIdentityClaim}},
          {"auth",
           {C("AUTH LOGIN\r\n"), ToC(kNoAuth)},
           Verdict::kContinue,
           EndReason::kNone,
           {},
           {Attack::kPlaintextAuth}},
      },
      Setting(Policy::kOpportunistic));
}

TEST(Smtp, OctetsBehindTheGreetingAreTheRelays) {
  SmtpSetting setting = Setting(Policy::kRequire);
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("STARTTLS\r\n");
  play.EnterTls();
  play.TakeToClient();
  play.Backend("220 x\r\n250 more\r\n");
  EXPECT_EQ(play.verdict(), Verdict::kRelay);
  EXPECT_EQ(play.backend_left(), "250 more\r\n");
  EXPECT_EQ(play.TakeToClient(), "");
}

TEST(Smtp, AnEndlessGreetingEnds) {
  SmtpSetting setting = Setting(Policy::kRequire);
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("STARTTLS\r\n");
  play.EnterTls();
  for (int i = 0; i < 10'000 && !play.over(); ++i) play.Backend("220-more\r\n");
  EXPECT_EQ(play.verdict(), Verdict::kClose);
  // This is the gateway's own limit.
  EXPECT_EQ(play.reason(), EndReason::kBackendTooLong);
  EXPECT_TRUE(play.TakeToClient().ends_with(
      "421 4.3.0 mx.example The mail server's greeting is longer than this gateway allows\r\n"));
}

TEST(Smtp, RefusesInItsOwnWords) {
  DialogueOptions options;
  options.hostname = "mx.example";
  std::vector<uint8_t> memory(kMinOutputRoom);
  Writer out(memory);
  RefuseSmtp(Refusal::kTooBusy, options, out);
  EXPECT_EQ(AsText(out.written()),
            "421 4.3.2 mx.example Too many connections, try again later\r\n");
  out = Writer(memory);
  RefuseSmtp(Refusal::kTlsExpected, options, out);
  EXPECT_EQ(AsText(out.written()),
            "554 5.7.10 mx.example TLS is spoken here from the first octet\r\n");
  out = Writer(memory);
  RefuseSmtp(Refusal::kPregreet, options, out);
  EXPECT_EQ(AsText(out.written()), "521 5.5.1 mx.example Client spoke before the greeting\r\n");
}

TEST(Smtp, EachEhloIsOneOffer) {
  SmtpSetting setting = Setting(Policy::kRequire);
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("HELO x\r\nNOOP\r\n");
  EXPECT_EQ(play.offers(), 0);
  play.Client("EHLO x\r\n");
  EXPECT_EQ(play.offers(), 1);
}

}  // namespace
}  // namespace starling
