#include "protocols/imap/imap.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

DialogueOptions Options() {
  DialogueOptions options;
  options.hostname = "mail.example.org";
  return options;
}

const char kBegin[] = "a OK Begin TLS negotiation now\r\n";
const char kNotHere[] = " BAD Command not accepted before STARTTLS\r\n";
const char kPrivacy[] = " NO [PRIVACYREQUIRED] Use STARTTLS first\r\n";
const char kNoLiterals[] = " BAD Literals are not accepted before STARTTLS\r\n";
const std::string kGoOn = "b NOOP\r\n";
const std::string kWentOn = "b OK NOOP completed\r\n";

TEST(Imap, Greeting) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateImap, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(
      driver.TakeToClient(),
      "* OK [CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED] mail.example.org IMAP ready\r\n");
  EXPECT_EQ(driver.verdict(), Verdict::kContinue);
}

TEST(Imap, Answers) {
  RunCases(
      {
          {"capability",
           {"a001 CAPABILITY\r\n"},
           "* CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED\r\na001 OK Capability completed\r\n"},
          {"the tag of s_client",
           {". capability\r\n"},
           "* CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED\r\n. OK Capability completed\r\n"},
          {"noop", {"a NoOp\r\n"}, "a OK NOOP completed\r\n"},
          {"id", {"a ID NIL\r\n"}, "* ID NIL\r\na OK ID completed\r\n"},
          {"id of a client", {"a ID (\"name\" \"x\")\r\n"}, "* ID NIL\r\na OK ID completed\r\n"},
          {"logout",
           {"a LOGOUT\r\n"},
           "* BYE Logging out\r\na OK Logout completed\r\n",
           Verdict::kClose,
           EndReason::kGoodbye},
          {"pipelined queries",
           {"a NOOP\r\nb NOOP\r\nc NOOP\r\n"},
           "a OK NOOP completed\r\nb OK NOOP completed\r\nc OK NOOP completed\r\n"},
          {"other command", {"a SELECT INBOX\r\n"}, std::string("a") + kNotHere},
          {"capability with an argument", {"a CAPABILITY x\r\n"}, std::string("a") + kNotHere},
          {"only a tag", {"a\r\n"}, std::string("a") + kNotHere},
          {"empty line", {"\r\n"}, "* BAD Invalid tag\r\n"},
      },
      CreateImap, Options());
}

TEST(Imap, TagsAreCheckedBeforeTheyAreEchoed) {
  const std::string longest(64, 't');
  const std::string bad = "* BAD Invalid tag\r\n";
  RunCases(
      {
          {"longest", {longest + " NOOP\r\n"}, longest + " OK NOOP completed\r\n"},
          {"longer", {longest + "t NOOP\r\n"}, bad},
          {"plus", {"a+ NOOP\r\n"}, bad},
          {"star", {"* NOOP\r\n"}, bad},
          {"brace", {"a{1 NOOP\r\n"}, bad},
          {"quote", {"a\"b NOOP\r\n"}, bad},
          {"escape sequence", {"\x1b[2J NOOP\r\n"}, bad},
          {"empty", {" NOOP\r\n"}, bad},
          {"bracket", {"a] NOOP\r\n"}, "a] OK NOOP completed\r\n"},
          {"upgrade without a good tag", {"* STARTTLS\r\n" + kGoOn}, bad + kWentOn},
      },
      CreateImap, Options());
}

TEST(Imap, PointOfUpgrade) {
  RunCases(
      {
          {"alone", {"a STARTTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"any case", {"a sTaRtTlS\r\n"}, kBegin, Verdict::kUpgrade},
          {"after a query", {"b NOOP\r\na STARTTLS\r\n"}, kWentOn + kBegin, Verdict::kUpgrade},
          {"a command behind it",
           {"a STARTTLS\r\na NOOP\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "a NOOP\r\n"},
          {"a second segment behind it",
           {"a STARTTLS\r\n", "a LOGIN x y\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "a LOGIN x y\r\n"},
          {"one octet behind it",
           {"a STARTTLS\r\n\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "\n"},
          {"argument", {"a STARTTLS x\r\n"}, "a BAD STARTTLS takes no argument\r\n"},
          {"literal", {"a STARTTLS {2+}\r\nxx\r\n"}, std::string("a") + kNoLiterals},
      },
      CreateImap, Options());
}

TEST(Imap, NoLogInInPlaintext) {
  RunCases(
      {
          {"login",
           {"a LOGIN user secret\r\n"},
           std::string("a") + kPrivacy,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kNotTaken},
           {Attack::kPlaintextAuth}},
          {"authenticate, twice",
           {"a AUTHENTICATE PLAIN\r\n", "b authenticate PLAIN dGVzdA==\r\n"},
           std::string("a") + kPrivacy + "b" + kPrivacy,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kNotTaken},
           {Attack::kPlaintextAuth}},
          {"login by literals",
           {"a LOGIN {4+}\r\nuser {6+}\r\nsecret\r\n" + kGoOn},
           std::string("a") + kPrivacy + kWentOn,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kNotTaken},
           {Attack::kPlaintextAuth}},
      },
      CreateImap, Options());
}

TEST(Imap, Literals) {
  const std::string full(8192, 'x');
  const std::string bye = "* BYE Literal too long\r\n";
  const std::string no = std::string("a") + kNoLiterals;
  RunCases(
      {
          {"synchronizing", {"a X {5}\r\n" + kGoOn}, no + kWentOn},
          {"its size does not matter", {"a X {99999999}\r\n" + kGoOn}, no + kWentOn},
          {"not synchronizing", {"a X {5+}\r\nhello\r\n" + kGoOn}, no + kWentOn},
          {"what looks like a command is data",
           {"a X {12+}\r\na STARTTLS\r\n\r\n" + kGoOn},
           no + kWentOn},
          {"empty", {"a X {0+}\r\n\r\n" + kGoOn}, no + kWentOn},
          {"then one that waits", {"a X {1+}\r\ny {5}\r\n" + kGoOn}, no + kWentOn},
          {"at the limit", {"a X {8192+}\r\n" + full + "\r\n" + kGoOn}, no + kWentOn},
          {"the limit is for all of a command",
           {"a X {8192+}\r\n" + full + " {1+}\r\nx\r\n"},
           bye,
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"and begins anew with the next",
           {"a X {8192+}\r\n" + full + "\r\na X {8192+}\r\n" + full + "\r\n"},
           no + no},
          {"over the limit",
           {"a X {8193+}\r\n"},
           bye,
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"over every number",
           {"a X {99999999999999999999999+}\r\n"},
           bye,
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"bad tag", {"* X {2+}\r\nxy\r\n" + kGoOn}, std::string("*") + kNoLiterals + kWentOn},
          {"not a number", {"a X {y+}\r\n" + kGoOn}, std::string("a") + kNotHere + kWentOn},
          {"NUL within",
           {std::string("a X {2+}\r\nx\0", 12)},
           "* BYE NUL received\r\n",
           Verdict::kClose,
           EndReason::kBadOctet,
           "",
           {},
           {Attack::kBadOctet}},
      },
      CreateImap, Options());
}

TEST(Imap, WhatIsNoCommand) {
  const std::vector<Attack> bad_octet = {Attack::kBadOctet};
  auto refused = [&](std::string name, std::string octets, std::string what) {
    return DialogueCase{
        name, {octets}, "* BYE " + what + "\r\n", Verdict::kClose, EndReason::kBadOctet, "",
        {},   bad_octet};
  };
  RunCases(
      {
          refused("bare LF", "a STARTTLS\n", "Bare <LF> received"),
          refused("NUL", std::string("a STAR\0TTLS\r\n", 13), "NUL received"),
          refused("stray CR", "a NO\rOP\r\n", "Bare <CR> received"),
          refused("8-bit verb", "a \xc3\xa4\r\n", "8-bit octet in a command"),
          refused("8-bit tag", "\xc3\xa4 NOOP\r\n", "8-bit octet in a command"),
          {"8-bit argument", {"a ID (\"\xc3\xa4\" \"\")\r\n"}, "* ID NIL\r\na OK ID completed\r\n"},
          {"bare LF where allowed",
           {"a STARTTLS\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           {},
           {},
           true},
          {"line of the longest",
           {"a " + std::string(2044, 'x') + "\r\n"},
           std::string("a") + kNotHere,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kMangledCommand}},
          {"longer",
           {"a " + std::string(2045, 'x') + "\r\n"},
           "* BYE Line too long\r\n",
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"no end",
           {std::string(8193, 'A')},
           "* BYE Line too long\r\n",
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"TLS",
           {std::string("\x16\x03\x01\x02\x00", 5)},
           "",
           Verdict::kClose,
           EndReason::kTlsOnPlainPort,
           "",
           {},
           {Attack::kTlsOnPlainPort}},
          {"SSLv2-style hello",
           {"\x80\x2e\x01\x03\x01"},
           "",
           Verdict::kClose,
           EndReason::kTlsOnPlainPort,
           "",
           {},
           {Attack::kTlsOnPlainPort}},
          {"TLS later",
           {kGoOn + "\x16"},
           kWentOn,
           Verdict::kClose,
           EndReason::kTlsOnPlainPort,
           "",
           {},
           {Attack::kTlsOnPlainPort}},
          {"HTTP",
           {"POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN x y\r\n"},
           "* BYE Another protocol is spoken here\r\n",
           Verdict::kClose,
           EndReason::kCrossProtocol,
           "",
           {},
           {Attack::kCrossProtocol}},
          {"a tag like a method", {"GET NOOP\r\n"}, "GET OK NOOP completed\r\n"},
      },
      CreateImap, Options());
}

TEST(Imap, MangledCommands) {
  auto seen = [](std::string line, bool mangled) {
    DialogueCase c{line, {"a " + line + "\r\n"}, std::string("a") + kNotHere};
    if (mangled) c.signals = {Signal::kMangledCommand};
    return c;
  };
  RunCases({seen("XXXXXXXX", true), seen("XXXXXXXA", true), seen("STARTTLX", true),
            seen("XTXRTTLS", true), seen("XTXRTXLS", false), seen("SELECT x", false),
            seen("COMPRESS DEFLATE", false), seen("XXX", false)},
           CreateImap, Options());
}

TEST(Imap, TooManyCommands) {
  DialogueOptions options = Options();
  options.max_commands = 3;
  RunCases({{"at the limit",
             {"b NOOP\r\nb NOOP\r\na STARTTLS\r\n"},
             kWentOn + kWentOn + kBegin,
             Verdict::kUpgrade},
            {"over it",
             {"b NOOP\r\nb NOOP\r\nb NOOP\r\na STARTTLS\r\n"},
             kWentOn + kWentOn + kWentOn + "* BYE Too many commands without TLS\r\n",
             Verdict::kClose,
             EndReason::kTooManyErrors}},
           CreateImap, options);
}

TEST(Imap, RepliesNeverOutgrowTheirRoom) {
  DialogueOptions options = Options();
  options.max_commands = 1000;
  std::string commands, replies;
  for (int i = 0; i < 500; ++i) {
    commands += kGoOn;
    replies += kWentOn;
  }
  RunCases({{"many at once", {commands}, replies}}, CreateImap, options);
}

TEST(Imap, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  for (const Case& c : {Case{"", true}, Case{"a NO", true}, Case{"a CAPABILITY\r\n", true},
                        Case{"a CAPABILITY\r\nb NOOP\r\n", false}, Case{"a STARTTLS\r\n", false}}) {
    SCOPED_TRACE(c.sent);
    DialogueOptions options = Options();
    DialogueDriver driver(CreateImap, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal);
    EXPECT_EQ(driver.reason(), EndReason::kClientLeftEarly);
  }
}

TEST(Imap, NothingOfABackendPassesBeforeTls) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateImap, options);
  driver.Raise(EventKind::kStart);
  driver.TakeToClient();
  driver.BackendWithoutLeg("* PREAUTH\r\n* 1 FETCH\r\n");
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(), "* BYE Server broken, try again later\r\n");
}

TEST(Imap, NothingIsAnsweredBetweenUpgradeAndLeg) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateImap, options);
  driver.Raise(EventKind::kStart);
  driver.Client("a STARTTLS\r\n");
  driver.TakeToClient();
  driver.Raise(EventKind::kUpgraded);
  driver.Client("a CAPABILITY\r\n");
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.client_left(), "a CAPABILITY\r\n");
}

TEST(Imap, HalfALineIsForgottenAtTheUpgrade) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateImap, options);
  driver.Raise(EventKind::kStart);
  driver.Client("a STARTTLS\r\nb LOGIN x {5+}\r\nab");
  driver.EnterTls();
  EXPECT_EQ(driver.client_left(), "");
  driver.Backend("* OK\r\n");
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_FALSE(driver.Saw(Attack::kPlaintextAuth));
}

}  // namespace
}  // namespace starling
