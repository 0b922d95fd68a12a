// The plaintext leg under `opportunistic`: the upgrade on it, EHLO, log-in, LMTP, what a
// server may not say there, and how the leg ends.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/smtp/smtp_leg.h"
#include "protocols/smtp/smtp_leg_testing.h"

namespace starling {
namespace {

using namespace std::string_literals;

TEST(SmtpLegEnds, Upgrade) {
  const std::string in_transaction = "503 5.5.1 MAIL transaction in progress\r\n";
  RunCases(
      {
          {"after reset", OnLeg({C("STARTTLS\r\n"), ToB(""), ToC(kReady)}), Verdict::kUpgrade,
           EndReason::kNone, kNotTaken},
          {"within a transaction",
           InTransaction({C("STARTTLS\r\n"), ToB(""), ToC(in_transaction)}),
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken,
           {Attack::kUpgradeInTransaction}},
          {"behind MAIL in one group",
           {C(kMail + "STARTTLS\r\n"), Opens(), B("220 b\r\n"), ToB(kMail), ToC(""), B("250 a\r\n"),
            ToC("250 a\r\n" + in_transaction)},
           Verdict::kContinue,
           EndReason::kNone,
           {},
           {Attack::kUpgradeInTransaction}},
          {"a refused MAIL is no transaction",
           {C(kMail + "STARTTLS\r\n"), Opens(), B("220 b\r\n"), ToB(kMail), B("550 no\r\n"),
            ToC("550 no\r\n" + kReady)},
           Verdict::kUpgrade},
          {"waits for the replies before it",
           InTransaction({C("RSET\r\nSTARTTLS\r\n"), ToB("RSET\r\n"), ToC(""), B("250 a\r\n"),
                          ToC("250 a\r\n" + kReady)}),
           Verdict::kUpgrade, EndReason::kNone, kNotTaken},
          {"ehlo ends a transaction",
           InTransaction({C("EHLO y\r\nSTARTTLS\r\n"), ToB("EHLO y\r\n"), B("250 backend\r\n"),
                          ToC("250-mx.example\r\n250-STARTTLS\r\n250 HELP\r\n" + kReady)}),
           Verdict::kUpgrade, EndReason::kNone, kNotTaken},
          {"a refused EHLO ends none",
           InTransaction({C("EHLO y\r\nSTARTTLS\r\n"), ToB("EHLO y\r\n"), B("501 no\r\n"),
                          ToC("501 no\r\n" + in_transaction)}),
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken,
           {Attack::kUpgradeInTransaction}},
          {"injection behind it",
           OnLeg({C("STARTTLS\r\nMAIL FROM:<>\r\n"), ToB(""), ToC(kReady)}),
           Verdict::kUpgrade,
           EndReason::kNone,
           kNotTaken,
           {},
           "MAIL FROM:<>\r\n"},
      },
      LegSetting());
}

TEST(SmtpLegEnds, NothingOfTheLegIsLeftAfterTheUpgrade) {
  SmtpSetting setting = LegSetting();
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("EHLO x\r\nMAIL FROM:<>\r\n");
  play.Raise(EventKind::kLegUp);
  play.Backend("220 b\r\n250 b\r\n");
  play.Backend("550 no\r\n");
  play.Client("STARTTLS\r\n");
  EXPECT_EQ(play.verdict(), Verdict::kUpgrade);
  play.EnterTls();
  play.TakeToClient();
  play.TakeToBackend();
  play.Backend("220 fresh\r\n");
  EXPECT_EQ(play.verdict(), Verdict::kRelay);
  EXPECT_EQ(play.TakeToClient(), "");
  EXPECT_EQ(play.TakeToBackend(), "");  // no hello is repeated inside TLS
}

TEST(SmtpLegEnds, EhloOnTheLegIsEdited) {
  RunCases(
      {
          {"keywords",
           OnLeg({C("EHLO y\r\n"), ToB("EHLO y\r\n"),
                  B("250-backend\r\n250-pipelining\r\n250-SIZE 1000\r\n250-STARTTLS\r\n"
                    "250-AUTH PLAIN LOGIN\r\n250-CHUNKING\r\n250-XCLIENT NAME\r\n250-XFORWARD "
                    "ADDR\r\n"
                    "250-REQUIRETLS\r\n250-BINARYMIME\r\n250-DSN\r\n250 BURL imap\r\n"),
                  ToC("250-mx.example\r\n250-STARTTLS\r\n250-SIZE 1000\r\n250-PIPELINING\r\n"
                      "250 DSN\r\n")}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"keywords behind white space",
           OnLeg({C("EHLO y\r\n"), ToB("EHLO y\r\n"),
                  B("250-backend\r\n250-AUTH\tPLAIN\r\n250- AUTH PLAIN\r\n250-AUTH=PLAIN\r\n"
                    "250-\tSTARTTLS\r\n250-\tXCLIENT\tADDR\r\n250 \tDSN\t\r\n"),
                  ToC("250-mx.example\r\n250-STARTTLS\r\n250 DSN\r\n")}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"a refusal passes",
           OnLeg({C("EHLO y\r\n"), ToB("EHLO y\r\n"), B("501-no\r\n501 name\r\n"),
                  ToC("501-no\r\n501 name\r\n")}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"helo",
           OnLeg(
               {C("HELO y\r\n"), ToB("HELO y\r\n"), B("250 backend\r\n"), ToC("250 backend\r\n")}),
           Verdict::kContinue,
           EndReason::kNone,
           {Signal::kNotTaken, Signal::kEhloRefused}},
          {"an offer on the leg that is not taken",
           {C("VRFY a\r\n"), Opens(), B("220 b\r\n"), ToB("VRFY a\r\n"), B("252 a\r\n"),
            ToC("252 a\r\n"), C("EHLO y\r\n"), ToB("EHLO y\r\n"), B("250 b\r\n"),
            ToC("250-mx.example\r\n250-STARTTLS\r\n250 HELP\r\n"), C(kMail), ToB(kMail)},
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken},
      },
      LegSetting());
}

TEST(SmtpLegEnds, BackendsThatBreakTheProtocol) {
  RunCases(
      {
          {"a reply to nothing",
           OnLeg({B("250 injected\r\n"), ToC(kBroken)}),
           Verdict::kClose,
           EndReason::kBackendProtocol,
           kNotTaken,
           {Attack::kBackendInjection}},
          {"421 may come unasked",
           OnLeg({B("421-a\r\n421 timeout\r\n"), ToC("421-a\r\n421 timeout\r\n")}), Verdict::kClose,
           EndReason::kBackendClosed, kNotTaken},
          {"421 in answer",
           OnLeg({C("NOOP\r\nNOOP\r\n"), ToB("NOOP\r\nNOOP\r\n"), B("421 going\r\n"),
                  ToC("421 going\r\n")}),
           Verdict::kClose, EndReason::kBackendClosed, kNotTaken},
          {"no code", OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("25x no\r\n"), ToC(kBroken)}),
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken, kInjected},
          {"a second reply behind a bare LF",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("550 no\n250 yes\n"),
                  ToC("550 no\r\n" + kBroken)}),
           Verdict::kClose,
           EndReason::kBackendProtocol,
           kNotTaken,
           {Attack::kBackendInjection}},
          {"a code of no meaning",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("150 no\r\n"), ToC(kBroken)}), Verdict::kClose,
           EndReason::kBackendProtocol, kNotTaken, kInjected},
          {"a go-ahead nobody asked for",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("354 go\r\n"), ToC(kBroken)}), Verdict::kClose,
           EndReason::kBackendProtocol, kNotTaken, kInjected},
      },
      LegSetting());
}

// The log has the code.
TEST(SmtpLegEnds, TheCodeOfTheReplyThatEndedTheSession) {
  const SmtpSetting setting = LegSetting();
  std::string endless;
  for (int i = 0; i < 2'000; ++i) endless += "220-line\r\n";
  struct Row {
    const char* name;
    std::vector<Move> moves;
    uint16_t code;
  };
  const Row rows[] = {
      {"amid data", InData({C("text\r\n"), ToB("text\r\n"), B("250 queued\r\n")}), 250},
      {"of more lines", InData({C("text\r\n"), ToB("text\r\n"), B("550-a\r\n550 b\r\n")}), 550},
      {"421", InData({C("text\r\n"), ToB("text\r\n"), B("421 going\r\n")}), 421},
      {"no code", InData({C("text\r\n"), ToB("text\r\n"), B("25x\r\n")}), 0},
      {"unasked", OnLeg({B("250 injected\r\n")}), 250},
      {"of another class", OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("354 go\r\n")}), 354},
      {"a refusal", {C("VRFY a\r\n"), Opens(), B("554 no\r\n")}, 554},
      {"too long", {C("VRFY a\r\n"), Opens(), B(endless)}, 220},
  };
  for (const Row& row : rows) {
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{2}}) {
      SCOPED_TRACE(row.name);
      SmtpPlay play(setting.options, false, piece);
      play.Raise(EventKind::kStart);
      play.TakeToClient();
      for (const Move& move : row.moves) PlayMove(play, move);
      EXPECT_EQ(play.verdict(), Verdict::kClose);
      EXPECT_EQ(play.reply(), row.code);
    }
  }
}

TEST(SmtpLegEnds, Ends) {
  SmtpSetting setting = LegSetting();
  for (bool greeted : {false, true}) {
    SmtpPlay play(setting.options, false);
    play.Raise(EventKind::kStart);
    play.Client("VRFY a\r\n");
    play.Raise(EventKind::kLegUp);
    if (greeted) play.Backend("220 b\r\n");
    play.TakeToClient();
    play.Raise(EventKind::kBackendEnd);
    EXPECT_EQ(play.TakeToClient(), kBroken);
    EXPECT_EQ(play.reason(), greeted ? EndReason::kBackendClosed : EndReason::kBackendProtocol);
  }
  RunCases(
      {
          {"the client's end", OnLeg({ClientEnds()}), Verdict::kClose, EndReason::kClientClosed,
           kNotTaken},
          {"replies that are due still come",
           OnLeg(
               {C("NOOP\r\nQUI"), ClientEnds(), ToB("NOOP\r\n"), B("250 a\r\n"), ToC("250 a\r\n")}),
           Verdict::kClose, EndReason::kClientClosed, kNotTaken},
          {"commands that wait still pass",
           {C("MAIL FROM:<>\r\nQUIT\r\n"), ClientEnds(), Opens(), B("220 b\r\n"),
            ToB("MAIL FROM:<>\r\nQUIT\r\n"), B("250 a\r\n221 b\r\n"), ToC("250 a\r\n221 b\r\n")},
           Verdict::kClose,
           EndReason::kClientClosed},
          {"in the middle of data", InData({C("half a mess"), ToB("half a mess"), ClientEnds()}),
           Verdict::kClose, EndReason::kClientClosed, kNotTaken},
      },
      LegSetting());
}

TEST(SmtpLegEnds, LmtpRepliesOnceForEachRecipient) {
  const std::string hello = "LHLO x\r\n";
  RunCases(
      {
          {"two of three",
           {C(hello), ToC(kHelloReply), C(kMail + kRcpt + kRcpt + kRcpt + "DATA\r\n"), Opens(),
            B("220 b\r\n"), ToB(hello), B("250 b\r\n"),
            ToB(kMail + kRcpt + kRcpt + kRcpt + "DATA\r\n"),
            B("250 m\r\n250 1\r\n550 2\r\n250 3\r\n354 go\r\n"),
            ToC("250 m\r\n250 1\r\n550 2\r\n250 3\r\n354 go\r\n"), C("x\r\n.\r\nSTARTTLS\r\n"),
            ToB("x\r\n.\r\n"), B("250-one\r\n250 1\r\n"), ToC("250-one\r\n250 1\r\n"),
            B("452 3\r\n"), ToC("452 3\r\n" + kReady)},
           Verdict::kUpgrade,
           EndReason::kNone,
           kNotTaken},
          {"data without a recipient",
           {C(kMail + kRcpt + "DATA\r\n"), Opens(), B("220 b\r\n"), ToB(kMail + kRcpt + "DATA\r\n"),
            B("250 m\r\n550 1\r\n354 go\r\n"), ToC("250 m\r\n550 1\r\n" + kBroken)},
           Verdict::kClose,
           EndReason::kBackendProtocol,
           {},
           kInjected},
          {"recipients of a transaction given up do not count",
           {C(kMail + kRcpt + "RSET\r\n" + kMail + kRcpt + "DATA\r\n"), Opens(), B("220 b\r\n"),
            ToB(kMail + kRcpt + "RSET\r\n" + kMail + kRcpt + "DATA\r\n"),
            B("250 m\r\n250 1\r\n250 r\r\n250 m\r\n250 1\r\n354 go\r\n"),
            ToC("250 m\r\n250 1\r\n250 r\r\n250 m\r\n250 1\r\n354 go\r\n"), C(".\r\n"),
            ToB(".\r\n"), B("250 1\r\n250 injected\r\n"), ToC("250 1\r\n" + kBroken)},
           Verdict::kClose,
           EndReason::kBackendProtocol,
           {},
           {Attack::kBackendInjection}},
      },
      LegSetting(true));
}

TEST(SmtpLegEnds, LogInWhereTheListenerAllowsIt) {
  SmtpSetting setting = LegSetting();
  setting.options.plaintext_auth = true;
  const std::string secret(4000, 'A');
  const std::string too_long = "500 5.5.2 Line too long, goodbye\r\n";
  // The client has a part of this line, and its end is missing.
  const std::string going = "421 " + std::string(kSmtpMaxReplyLine, 'g');
  RunCases(
      {
          {"in several steps",
           {C("AUTH LOGIN\r\n"), Opens(), B("220 b\r\n"), ToB("AUTH LOGIN\r\n"),
            B("334 VXNlcg==\r\n"), ToC("334 VXNlcg==\r\n"), C("STARTTLS\r\n"), ToB("STARTTLS\r\n"),
            B("334 \r\n"), ToC("334 \r\n"), C(secret + "\r\nNOOP\r\n"), ToB(secret + "\r\n"),
            B("235 ok\r\n"), ToC("235 ok\r\n"), ToB("NOOP\r\n")}},
          {"refused",
           {C("AUTH PLAIN x\r\nAUTH PLAIN y\r\n"), Opens(), B("220 b\r\n"), ToB("AUTH PLAIN x\r\n"),
            B("535 no\r\n"), ToC("535 no\r\n"), ToB("AUTH PLAIN y\r\n")}},
          {"overlong line",
           {C("AUTH LOGIN\r\n"), Opens(), B("220 b\r\n"), B("334 \r\n"), ToC("334 \r\n"),
            ToB("AUTH LOGIN\r\n"), C(std::string(kSmtpMaxAuthLine - 2, 'A')),
            ToB(std::string(kSmtpMaxAuthLine - 2, 'A')), C("A"), ToC(too_long)},
           Verdict::kClose,
           EndReason::kLineTooLong,
           {},
           {Attack::kOverlongLine}},
          {"amid a line of the server's",
           {C("AUTH LOGIN\r\n"), Opens(), B("220 b\r\n"), B("334 \r\n"), ToC("334 \r\n"),
            ToB("AUTH LOGIN\r\n"), B(going), C(std::string(kSmtpMaxAuthLine - 1, 'A')),
            ToB(std::string(kSmtpMaxAuthLine - 2, 'A')),
            ToC(going.substr(0, going.size() - LongLines::kTail) + "\r\n" + too_long)},
           Verdict::kClose,
           EndReason::kLineTooLong,
           {},
           {Attack::kOverlongLine}},
          {"bare lf",
           {C("AUTH LOGIN\r\n"), Opens(), B("220 b\r\n"), B("334 \r\n"), ToC("334 \r\n"),
            ToB("AUTH LOGIN\r\n"), C("\n"), ToC("500 5.5.2 Bare <LF> received, goodbye\r\n")},
           Verdict::kClose,
           EndReason::kBadOctet,
           {},
           {Attack::kBadOctet}},
      },
      setting);
}

}  // namespace
}  // namespace starling
