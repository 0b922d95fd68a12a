// The plaintext leg under `opportunistic`: how it opens, what passes in which order, and
// where message data ends.
#include "protocols/smtp/smtp_leg.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/smtp/smtp_leg_testing.h"

namespace starling {
namespace {

using namespace std::string_literals;

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
      LegSetting());
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
      LegSetting());
}

TEST(SmtpLeg, FailsToOpen) {
  SmtpSetting setting = LegSetting();
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
             LegSetting());
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
      LegSetting());
}

TEST(SmtpLeg, TheQueueIsBounded) {
  SmtpSetting setting = LegSetting();
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
    // The leg has not stopped waiting one reply too early.
    play.Backend("250 a\r\n");
    EXPECT_EQ(play.reason(), EndReason::kBackendProtocol);
  }
}

TEST(SmtpLeg, OwnRepliesAreBoundedToo) {
  SmtpSetting setting = LegSetting();
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
           Verdict::kClose, EndReason::kBackendProtocol, kNotTaken, kInjected},
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
      LegSetting());
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
  SmtpSetting setting = LegSetting();
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

}  // namespace
}  // namespace starling
