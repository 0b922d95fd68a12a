#include "protocols/acap/acap.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

const char kBegin[] = "a OK \"Begin TLS negotiation now\"\r\n";
const char kNotHere[] = "a BAD \"Not accepted before STARTTLS\"\r\n";
const char kUseTls[] = "a NO (ENCRYPT-NEEDED) \"Use STARTTLS first\"\r\n";
const char kLiteral[] = "a BAD \"Literals are not accepted before STARTTLS\"\r\n";
const char kNoTag[] = "* BAD \"Invalid tag\"\r\n";

TEST(Acap, Greeting) {
  DialogueOptions options;
  DialogueDriver driver(CreateAcap, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "* ACAP (IMPLEMENTATION \"Starling\") (STARTTLS)\r\n");
}

TEST(Acap, Answers) {
  RunCases(
      {
          {"noop", {"a NOOP\r\n"}, "a OK \"NOOP completed\"\r\n"},
          {"any case", {"a noop\r\n"}, "a OK \"NOOP completed\"\r\n"},
          {"logout",
           {"a LOGOUT\r\n"},
           "* BYE \"Logging out\"\r\na OK \"Logout completed\"\r\n",
           Verdict::kClose,
           EndReason::kGoodbye},
          {"data", {"a SEARCH \"/\"\r\na LANG \"en\"\r\n"}, std::string(kNotHere) + kNotHere},
          {"no command", {"a\r\n"}, kNotHere},
          {"empty line", {"\r\n"}, kNoTag},
          {"no tag", {"* NOOP\r\n+ NOOP\r\n"}, std::string(kNoTag) + kNoTag},
          {"tag of the longest",
           {std::string(32, 't') + " NOOP\r\n"},
           std::string(32, 't') + " OK \"NOOP completed\"\r\n"},
          {"a longer one", {std::string(33, 't') + " NOOP\r\n"}, kNoTag},
          {"{5}", {"a STORE {5}\r\n"}, kLiteral},
          {"{5+}", {"a STORE {5+}\r\nxx\r\nx\r\n"}, kLiteral},
          {"its octets are no command", {"a STORE {12+}\r\na STARTTLS\r\n\r\n"}, kLiteral},
          {"too large",
           {"a STORE {8193+}\r\n"},
           "* BYE \"Literal too long\"\r\n",
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
      },
      CreateAcap, DialogueOptions());
}

TEST(Acap, PointOfUpgrade) {
  const std::string argument = "a BAD \"STARTTLS takes no argument\"\r\n";
  RunCases(
      {
          {"alone", {"a STARTTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"any case", {"a startTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"a command behind it",
           {"a STARTTLS\r\na NOOP\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "a NOOP\r\n"},
          {"a second segment behind it",
           {"a STARTTLS\r\n", "a AUTHENTICATE\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "a AUTHENTICATE\r\n"},
          {"one octet behind it",
           {std::string("a STARTTLS\r\n\0", 13)},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           std::string("\0", 1)},
          {"argument", {"a STARTTLS x\r\n"}, argument},
          {"no tag", {"* STARTTLS\r\n"}, kNoTag},
      },
      CreateAcap, DialogueOptions());
}

// The offer is in the greeting, which every client has seen.
TEST(Acap, NoLogInInPlaintext) {
  for (std::string rest : {"AUTHENTICATE \"PLAIN\" \"x\"", "authenticate \"PLAIN\" {4}",
                           "AUTHENTICATE \"PLAIN\" {4+}\r\nabcd"}) {
    RunCases({{rest,
               {"a " + rest + "\r\n"},
               kUseTls,
               Verdict::kContinue,
               EndReason::kNone,
               "",
               {Signal::kNotTaken},
               {Attack::kPlaintextAuth}}},
             CreateAcap, DialogueOptions());
  }
}

TEST(Acap, WhatIsNoCommand) {
  auto refused = [&](std::string name, std::string octets, std::string what) {
    return DialogueCase{
        name, {octets}, "* BYE \"" + what + "\"\r\n", Verdict::kClose, EndReason::kBadOctet,
        "",   {},       {Attack::kBadOctet}};
  };
  RunCases(
      {
          refused("bare LF", "a STARTTLS\n", "Bare <LF> received"),
          refused("bare CR", "STAR\rTTLS\r\n", "Bare <CR> received"),
          refused("NUL", std::string("a STAR\0TTLS\r\n", 13), "NUL received"),
          refused("8-bit verb", "a \xc3\xa4\r\n", "8-bit octet in a command"),
          refused("8-bit tag", "\xc3\xa4 NOOP\r\n", "8-bit octet in a command"),
          {"bare LF where allowed",
           {"a STARTTLS\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           {},
           {},
           true},
          {"no end",
           {std::string(8193, 'A')},
           "* BYE \"Line too long\"\r\n",
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
          {"HTTP",
           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
           "* BYE \"Another protocol is spoken here\"\r\n",
           Verdict::kClose,
           EndReason::kCrossProtocol,
           "",
           {},
           {Attack::kCrossProtocol}},
          {"mangled",
           {"a XXXXXXXX\r\n"},
           kNotHere,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kMangledCommand}},
      },
      CreateAcap, DialogueOptions());
}

TEST(Acap, TooManyCommands) {
  DialogueOptions options;
  options.max_commands = 1;
  RunCases({{"over it",
             {"a LIST\r\na STARTTLS\r\n"},
             std::string(kNotHere) + "* BYE \"Too many commands without TLS\"\r\n",
             Verdict::kClose,
             EndReason::kTooManyErrors}},
           CreateAcap, options);
}

}  // namespace
}  // namespace starling
