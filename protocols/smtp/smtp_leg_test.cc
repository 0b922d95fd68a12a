// The plaintext leg under `opportunistic`: from the command that opens it to its
// end, and nothing that slips through on the way.
#include "protocols/smtp/smtp_leg.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/smtp/smtp_testing.h"

namespace starling {
namespace {

using namespace std::string_literals;

const std::string kHelloReply =
    "250-mx.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n";
const std::string kNoAuth =
    "538 5.7.11 Encryption required for requested authentication mechanism\r\n";
const std::string kNotImplemented = "502 5.5.1 Command not implemented\r\n";
const std::string kNotPermitted = "550 5.7.0 Not permitted\r\n";
const std::string kUnknown = "500 5.5.2 Command not recognized\r\n";
const std::string kReady = "220 2.0.0 Ready to start TLS\r\n";
const std::string kBroken = "421 4.3.2 mx.example Service not available, try again later\r\n";
const std::string kMail = "MAIL FROM:<a@b>\r\n";
const std::string kRcpt = "RCPT TO:<c@d>\r\n";

SmtpSetting Setting(bool lmtp = false) {
  SmtpSetting setting;
  setting.options.hostname = "mx.example";
  setting.options.policy = Policy::kOpportunistic;
  setting.lmtp = lmtp;
  return setting;
}

// The script after EHLO and MAIL have opened the leg and MAIL was accepted.
std::vector<Move> InTransaction(std::vector<Move> rest) {
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
std::vector<Move> OnLeg(std::vector<Move> rest) {
  std::vector<Move> moves =
      InTransaction({C("RSET\r\n"), ToB("RSET\r\n"), B("250 Ok\r\n"), ToC("250 Ok\r\n")});
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

// InTransaction() and the go-ahead for the data.
std::vector<Move> InData(std::vector<Move> rest) {
  std::vector<Move> moves =
      InTransaction({C(kRcpt + "DATA\r\n"), ToB(kRcpt + "DATA\r\n"), B("250 Ok\r\n354 go on\r\n"),
                     ToC("250 Ok\r\n354 go on\r\n")});
  for (Move& move : rest) moves.push_back(std::move(move));
  return moves;
}

const std::vector<Signal> kNotTaken = {Signal::kNotTaken};
const std::vector<Attack> kInjected = {Attack::kBackendInjection};

TEST(SmtpLeg, Opens) {
  RunCases(
      {
          {"mail after ehlo", InTransaction({}), Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"helo is replayed as such",
           {C("HELO h.example\r\nMAIL FROM:<>\r\n"), ToC("250 mx.example\r\n"), Opens(),
            B("220-a\r\n220 b\r\n"), ToB("HELO h.example\r\n"), B("250 b\r\n"),
            ToB("MAIL FROM:<>\r\n"), ToC("")}},
          {"the last hello counts",
           {C("EHLO a\r\nHELO b\r\nMAIL FROM:<>\r\n"), ToC(kHelloReply + "250 mx.example\r\n"),
            Opens(), B("220 b\r\n"), ToB("HELO b\r\n")},
           Verdict::kHold,
           EndReason::kNone,
           {Signal::kEhloRefused, Signal::kNotTaken},
           {},
           "MAIL FROM:<>\r\n"},
          {"without hello nothing is replayed",
           {C("MAIL FROM:<>\r\n"), Opens(), B("220 b\r\n"), ToB("MAIL FROM:<>\r\n")}},
          {"vrfy", {C("VRFY a\r\n"), Opens(), B("220 b\r\n"), ToB("VRFY a\r\n")}},
          {"expn", {C("expn a\r\n"), Opens(), B("220 b\r\n"), ToB("expn a\r\n")}},
          {"etrn", {C("ETRN a\r\n"), Opens(), B("220 b\r\n"), ToB("ETRN a\r\n")}},
          {"all at once",
           {C("MAIL FROM:<>\r\n" + kRcpt + "DATA\r\nx\r\n.\r\nQUIT\r\n"), Opens(), B("220 b\r\n"),
            ToB("MAIL FROM:<>\r\n" + kRcpt + "DATA\r\n"), B("250 a\r\n250 b\r\n354 c\r\n"),
            ToB("x\r\n.\r\nQUIT\r\n"), B("250 d\r\n221 e\r\n"),
            ToC("250 a\r\n250 b\r\n354 c\r\n250 d\r\n221 e\r\n")},
           Verdict::kClose,
           EndReason::kClientClosed},
      },
      Setting());
}

TEST(SmtpLeg, RefusalsWhileOpening) {
  RunCases(
      {
          {"greeting",
           {C("MAIL FROM:<>\r\n"), Opens(), B("554-no\r\n554 service\r\n"),
            ToC("554-no\r\n554 service\r\n")},
           Verdict::kClose,
           EndReason::kBackendRefused},
          {"no greeting",
           {C("MAIL FROM:<>\r\n"), Opens(), B("hello\r\n"), ToC(kBroken)},
           Verdict::kClose,
           EndReason::kBackendProtocol},
          {"the replayed hello: its refusal answers the command that waits",
           {C("EHLO x\r\n"), ToC(kHelloReply), C(kMail + kRcpt), Opens(), B("220 b\r\n"),
            ToB("EHLO x\r\n"), B("501 bad name\r\n"), ToC("501 bad name\r\n"), ToB(kRcpt),
            B("503 hello first\r\n"), ToC("503 hello first\r\n")},
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken},
          {"the replayed hello, with 421",
           {C("EHLO x\r\n"), ToC(kHelloReply), C(kMail), Opens(), B("220 b\r\n"), ToB("EHLO x\r\n"),
            B("421 busy\r\n"), ToC("421 busy\r\n")},
           Verdict::kClose,
           EndReason::kBackendRefused,
           kNotTaken},
      },
      Setting());
}

TEST(SmtpLeg, FailsToOpen) {
  SmtpSetting setting = Setting();
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client(kMail);
  EXPECT_EQ(play.verdict(), Verdict::kOpenLeg);
  play.TakeToClient();
  play.Raise(EventKind::kLegFailed);
  EXPECT_EQ(play.TakeToClient(), kBroken);
  EXPECT_EQ(play.reason(), EndReason::kBackendUnavailable);
}

TEST(SmtpLeg, WhatNeverPasses) {
  const std::vector<Attack> auth = {Attack::kPlaintextAuth};
  const std::vector<Attack> claim = {Attack::kIdentityClaim};
  struct {
    std::string command, reply;
    std::vector<Attack> attacks;
  } const kinds[] = {
      {"AUTH PLAIN AGEAYg==\r\n", kNoAuth, auth},
      {"auth login\r\n", kNoAuth, auth},
      {"XCLIENT ADDR=127.0.0.1\r\n", kNotPermitted, claim},
      {"XFORWARD ADDR=127.0.0.1\r\n", kNotPermitted, claim},
      {"BURL imap:x\r\n", kNotImplemented, {}},
      {"BDAT 6 LAST\r\nAUTH\r\n", kNotImplemented, {}},
      {"STARTTLS x\r\n", "501 5.5.4 STARTTLS takes no argument\r\n", {}},
      {"LHLO x\r\n", kUnknown, {}},
      {"XEXCH50 1 2\r\n", kUnknown, {}},
  };
  for (const auto& kind : kinds) {
    const std::vector<Move> refused = {C(kind.command), ToB(""), ToC(kind.reply)};
    RunCases({{"in a transaction: " + kind.command, InTransaction(refused), Verdict::kContinue,
               EndReason::kNone, kNotTaken, kind.attacks},
              {"after RSET: " + kind.command, OnLeg(refused), Verdict::kContinue, EndReason::kNone,
               kNotTaken, kind.attacks},
              {"behind MAIL in one group: " + kind.command,
               {C(kMail + kind.command + "NOOP\r\n"), Opens(), B("220 b\r\n"),
                ToB(kMail + "NOOP\r\n"), ToC(""), B("250 mail\r\n"),
                ToC("250 mail\r\n" + kind.reply), B("250 noop\r\n"), ToC("250 noop\r\n")},
               Verdict::kContinue,
               EndReason::kNone,
               {},
               kind.attacks}},
             Setting());
  }
}

TEST(SmtpLeg, RepliesComeInOrder) {
  RunCases(
      {
          {"own replies wait",
           OnLeg({C("NOOP\r\nBURL x\r\nNOOP\r\nFOO\r\nBURL x\r\n"), ToB("NOOP\r\nNOOP\r\n"),
                  ToC(""), B("250-one\r\n"), ToC("250-one\r\n"), B("250 two\r\n"),
                  ToC("250 two\r\n" + kNotImplemented), B("250 three\r\n"),
                  ToC("250 three\r\n" + kUnknown + kNotImplemented)}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"a last word waits too",
           OnLeg({C("NOOP\r\nGET / HTTP/1.1\r\n"), ToC(""), ToB("NOOP\r\n"), B("250 a\r\n"),
                  ToC("250 a\r\n221 2.7.0 This is a mail server, goodbye\r\n")}),
           Verdict::kClose,
           EndReason::kCrossProtocol,
           kNotTaken,
           {Attack::kCrossProtocol}},
          {"and lets no command pass behind it",
           OnLeg({C("NOOP\r\nNO\0OP\r\nNOOP\r\n"s), ToB("NOOP\r\n"), B("250 a\r\n"),
                  ToC("250 a\r\n500 5.5.2 NUL received, goodbye\r\n")}),
           Verdict::kClose,
           EndReason::kBadOctet,
           kNotTaken,
           {Attack::kBadOctet}},
          {"quit", OnLeg({C("QUIT\r\n"), ToB("QUIT\r\n"), B("221 bye\r\n"), ToC("221 bye\r\n")}),
           Verdict::kClose, EndReason::kClientClosed, kNotTaken},
      },
      Setting());
}

TEST(SmtpLeg, TheQueueIsBounded) {
  SmtpSetting setting = Setting();
  for (size_t piece : {std::string::npos, size_t{1}}) {
    SmtpPlay play(setting.options, false, piece);
    play.Raise(EventKind::kStart);
    play.Client("VRFY a\r\n");
    play.Raise(EventKind::kLegUp);
    play.Backend("220 b\r\n");
    for (size_t i = 0; i < 2 * kSmtpMaxOutstanding; ++i) play.Client("NOOP\r\n");
    std::string passed = play.TakeToBackend();
    EXPECT_EQ(passed.size(), 8 + 6 * (kSmtpMaxOutstanding - 1));
    EXPECT_FALSE(play.client_left().empty());
    // Each reply makes room for one more.
    play.Backend("250 a\r\n250 b\r\n");
    EXPECT_EQ(play.TakeToBackend(), "NOOP\r\nNOOP\r\n");
    for (size_t i = 0; i < 2 * kSmtpMaxOutstanding - 1; ++i) play.Backend("250 a\r\n");
    EXPECT_EQ(play.verdict(), Verdict::kContinue);
    EXPECT_TRUE(play.client_left().empty());
    // And not one reply too few was waited for.
    play.Backend("250 a\r\n");
    EXPECT_EQ(play.reason(), EndReason::kBackendProtocol);
  }
}

TEST(SmtpLeg, OwnRepliesAreBoundedToo) {
  SmtpSetting setting = Setting();
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("VRFY a\r\n");
  play.Raise(EventKind::kLegUp);
  play.Backend("220 b\r\n");
  std::string expected = "250 a\r\n";
  for (size_t i = 0; i < kSmtpMaxOwnOutstanding + 3; ++i) {
    play.Client("BURL x\r\n");
    expected += kNotImplemented;
  }
  EXPECT_EQ(play.client_left(), "BURL x\r\nBURL x\r\nBURL x\r\n");
  play.TakeToClient();
  play.Backend("250 a\r\n");
  EXPECT_EQ(play.TakeToClient(), expected);
  EXPECT_TRUE(play.client_left().empty());
}

TEST(SmtpLeg, Data) {
  RunCases(
      {
          {"opaque to its end",
           InData({C("STARTTLS\r\nAUTH PLAIN x\r\n\x16\x03\0\n..\r\n"s), ToC(""),
                   ToB("STARTTLS\r\nAUTH PLAIN x\r\n\x16\x03\0\n..\r\n"s),
                   C(".\r\nAUTH PLAIN x\r\n"), ToB(".\r\n"), B("250 queued\r\n"),
                   ToC("250 queued\r\n" + kNoAuth)}),
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken,
           {Attack::kPlaintextAuth}},
          {"empty message",
           InData({C(".\r\nNOOP\r\n"), ToB(".\r\nNOOP\r\n"), B("250 a\r\n250 b\r\n"),
                   ToC("250 a\r\n250 b\r\n")}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"what is no end",
           InData({C("\n.\n\r\n.\n\n.\r\nx\r.\r\n\r\n.\rNOOP\r\n.x\r\n"), ToC(""),
                   ToB("\n.\n\r\n.\n\n.\r\nx\r.\r\n\r\n.\rNOOP\r\n.x\r\n")}),
           Verdict::kContinue, EndReason::kNone, kNotTaken},
          {"a reply within ends the session",
           InData({C("text\n.\nMAIL\r\n"), ToB("text\n.\nMAIL\r\n"), B("250 queued\r\n"),
                   ToC(kBroken)}),
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken, kInjected},
          {"a reply behind the go-ahead is within",
           InTransaction({C(kRcpt + "DATA\r\n"), ToB(kRcpt + "DATA\r\n"),
                          B("250 Ok\r\n354 go\r\n250 injected\r\n"),
                          ToC("250 Ok\r\n354 go\r\n" + kBroken)}),
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken, kInjected},
          {"of which no more than the code is awaited",
           InData({C("text\r\n"), ToB("text\r\n"), B("25"), ToC(""), B("0"), ToC(kBroken)}),
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken, kInjected},
          {"what is no reply", InData({C("text\r\n"), ToB("text\r\n"), B("* OK"), ToC(kBroken)}),
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken},
          {"refused data are commands",
           InTransaction({C("DATA\r\nSTARTTLS\r\n"), ToB("DATA\r\n"), B("503 no\r\n"),
                          ToC("503 no\r\n503 5.5.1 MAIL transaction in progress\r\n")}),
           Verdict::kContinue,
           EndReason::kNone,
           kNotTaken,
           {Attack::kUpgradeInTransaction}},
          {"the transaction ends with the data",
           InData({C("x\r\n.\r\nSTARTTLS\r\n"), ToB("x\r\n.\r\n"), ToC(""), B("250 queued\r\n"),
                   ToC("250 queued\r\n" + kReady)}),
           Verdict::kUpgrade, EndReason::kNone, kNotTaken},
      },
      Setting());
}

TEST(SmtpLeg, DataEndAcrossBoundaries) {
  const std::string data = "a\r\n.b\r\n..\r\n\r.\r\n\n.\r\n.\n\r\n.\r\nNOOP\r\n";
  const size_t end = data.size() - 6;
  for (size_t cut = 0; cut <= data.size(); ++cut) {
    SmtpDataEnd scan;
    size_t n = scan.Scan(AsBytes(data).first(cut));
    if (!scan.found()) n += scan.Scan(AsBytes(data).subspan(cut));
    EXPECT_TRUE(scan.found());
    EXPECT_EQ(n, end);
  }
}

TEST(SmtpLeg, DataLargerThanTheRoom) {
  SmtpSetting setting = Setting();
  SmtpPlay play(setting.options, false);
  play.Raise(EventKind::kStart);
  play.Client("MAIL FROM:<>\r\n" + kRcpt + "DATA\r\n");
  play.Raise(EventKind::kLegUp);
  play.Backend("220 b\r\n");
  play.Backend("250 a\r\n250 b\r\n354 c\r\n");
  play.TakeToBackend();
  std::string message;
  for (int i = 0; i < 10'000; ++i) message += "line " + std::to_string(i) + "\r\n";
  message += ".\r\n";
  play.Client(message + "NOOP\r\n");
  EXPECT_TRUE(play.TakeToBackend() == message + "NOOP\r\n");
}

TEST(SmtpLeg, Upgrade) {
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
      Setting());
}

TEST(SmtpLeg, NothingOfTheLegIsLeftAfterTheUpgrade) {
  SmtpSetting setting = Setting();
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
  EXPECT_EQ(play.TakeToBackend(), "");  // no hello is replayed inside TLS
}

TEST(SmtpLeg, EhloOnTheLegIsEdited) {
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
      Setting());
}

TEST(SmtpLeg, BackendsThatBreakTheProtocol) {
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
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken},
          {"a second reply behind a bare LF",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("550 no\n250 yes\n"),
                  ToC("550 no\r\n" + kBroken)}),
           Verdict::kClose,
           EndReason::kBackendProtocol,
           kNotTaken,
           {Attack::kBackendInjection}},
          {"a code of no meaning",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("150 no\r\n"), ToC(kBroken)}), Verdict::kClose,
           EndReason::kBackendProtocol, kNotTaken},
          {"a go-ahead nobody asked for",
           OnLeg({C("NOOP\r\n"), ToB("NOOP\r\n"), B("354 go\r\n"), ToC(kBroken)}), Verdict::kClose,
           EndReason::kBackendProtocol, kNotTaken},
      },
      Setting());
}

// The log has it.
TEST(SmtpLeg, TheCodeOfTheReplyThatEndedTheSession) {
  const SmtpSetting setting = Setting();
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

TEST(SmtpLeg, Ends) {
  SmtpSetting setting = Setting();
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
      Setting());
}

TEST(SmtpLeg, LmtpRepliesOnceForEachRecipient) {
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
           EndReason::kBackendProtocol},
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
      Setting(true));
}

TEST(SmtpLeg, LogInWhereTheListenerAllowsIt) {
  SmtpSetting setting = Setting();
  setting.options.plaintext_auth = true;
  const std::string secret(4000, 'A');
  const std::string too_long = "500 5.5.2 Line too long, goodbye\r\n";
  // Of which the client has a part: the end is not there.
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
            ToC(going.substr(0, going.size() - ServerLines::kTail) + "\r\n" + too_long)},
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
