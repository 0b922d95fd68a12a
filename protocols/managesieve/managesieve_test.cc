#include "protocols/managesieve/managesieve.h"

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

const std::string kList =
    "\"IMPLEMENTATION\" \"Starling\"\r\n\"SIEVE\" \"\"\r\n\"SASL\" \"\"\r\n"
    "\"VERSION\" \"1.0\"\r\n\"STARTTLS\"\r\n";
const char kBegin[] = "OK \"Begin TLS negotiation now.\"\r\n";
const char kNotHere[] = "NO \"Command not accepted before STARTTLS.\"\r\n";
const char kNoLiterals[] = "NO \"Literals are not accepted before STARTTLS.\"\r\n";
const char kEncrypt[] = "NO (ENCRYPT-NEEDED) \"Use STARTTLS first.\"\r\n";
const char kBadNoop[] = "NO \"NOOP takes one short quoted string.\"\r\n";
const std::string kWentOn = "OK \"NOOP completed.\"\r\n";

TEST(ManageSieve, Greeting) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateManageSieve, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), kList + "OK \"mail.example.org ManageSieve ready\"\r\n");
}

TEST(ManageSieve, Answers) {
  RunCases(
      {
          {"capability",
           {"CAPABILITY\r\n"},
           kList + "OK \"mail.example.org Capability completed\"\r\n"},
          {"noop", {"NOOP\r\n"}, kWentOn},
          {"noop with a tag",
           {"noop \"STARTTLS-SYNC-42\"\r\n"},
           "OK (TAG \"STARTTLS-SYNC-42\") \"NOOP completed.\"\r\n"},
          {"noop with an empty tag", {"NOOP \"\"\r\n"}, "OK (TAG \"\") \"NOOP completed.\"\r\n"},
          {"noop with escapes",
           {"NOOP \"a\\\"b\\\\\"\r\n"},
           "OK (TAG \"a\\\"b\\\\\") \"NOOP completed.\"\r\n"},
          {"tag that ends early", {"NOOP \"a\" \"b\"\r\n"}, kBadNoop},
          {"tag with an open escape", {"NOOP \"a\\\"\r\n"}, kBadNoop},
          {"tag with a bad escape", {"NOOP \"\\a\"\r\n"}, kBadNoop},
          {"tag with an escape sequence", {"NOOP \"\x1b[2J\"\r\n"}, kBadNoop},
          {"tag without quotes", {"NOOP x\r\n"}, kBadNoop},
          {"half a quote", {"NOOP \"\r\n"}, kBadNoop},
          {"longest tag",
           {"NOOP \"" + std::string(510, 't') + "\"\r\n"},
           "OK (TAG \"" + std::string(510, 't') + "\") \"NOOP completed.\"\r\n"},
          {"longer tag", {"NOOP \"" + std::string(511, 't') + "\"\r\n"}, kBadNoop},
          {"logout",
           {"LOGOUT\r\n"},
           "OK \"Logout completed.\"\r\n",
           Verdict::kClose,
           EndReason::kGoodbye},
          {"other command", {"LISTSCRIPTS\r\n"}, kNotHere},
          {"empty line", {"\r\n"}, kNotHere},
          {"xclient",
           {"XCLIENT ADDR=127.0.0.1\r\n"},
           kNotHere,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {},
           {Attack::kIdentityClaim}},
      },
      CreateManageSieve, Options());
}

TEST(ManageSieve, PointOfUpgrade) {
  RunCases(
      {
          {"alone", {"STARTTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"any case", {"StartTls\r\n"}, kBegin, Verdict::kUpgrade},
          {"after a query", {"NOOP\r\nSTARTTLS\r\n"}, kWentOn + kBegin, Verdict::kUpgrade},
          {"a command behind it",
           {"STARTTLS\r\nNOOP\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "NOOP\r\n"},
          {"a second segment behind it",
           {"STARTTLS\r\n", "LOGOUT\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "LOGOUT\r\n"},
          {"argument", {"STARTTLS x\r\n"}, "NO \"STARTTLS takes no argument.\"\r\n"},
          {"literal", {"STARTTLS {2+}\r\nxx\r\n"}, kNoLiterals},
      },
      CreateManageSieve, Options());
}

TEST(ManageSieve, NoLogInInPlaintext) {
  const std::vector<Signal> not_taken = {Signal::kNotTaken};
  const std::vector<Attack> attack = {Attack::kPlaintextAuth};
  RunCases(
      {
          {"authenticate",
           {"AUTHENTICATE \"PLAIN\"\r\n"},
           kEncrypt,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           not_taken,
           attack},
          {"with a response",
           {"authenticate \"PLAIN\" \"dGVzdA==\"\r\n"},
           kEncrypt,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           not_taken,
           attack},
          {"with a literal",
           {"AUTHENTICATE \"PLAIN\" {8+}\r\ndGVzdA==\r\nNOOP\r\n"},
           kEncrypt + kWentOn,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           not_taken,
           attack},
      },
      CreateManageSieve, Options());
}

TEST(ManageSieve, Literals) {
  const std::string full(8192, 'x');
  const std::string no = kNoLiterals;
  RunCases(
      {
          {"dropped", {"PUTSCRIPT \"x\" {5+}\r\nkeep;\r\nNOOP\r\n"}, no + kWentOn},
          {"what looks like a command is data",
           {"PUTSCRIPT \"x\" {10+}\r\nSTARTTLS\r\n\r\nNOOP\r\n"},
           no + kWentOn},
          {"two", {"X {1+}\r\na {1+}\r\nb\r\nNOOP\r\n"}, no + kWentOn},
          {"one that waits", {"X {1}\r\nNOOP\r\n"}, no + kWentOn},
          {"as the tag of noop", {"NOOP {1+}\r\na\r\nNOOP\r\n"}, no + kWentOn},
          {"at the limit", {"X {8192+}\r\n" + full + "\r\nNOOP\r\n"}, no + kWentOn},
          {"over the limit",
           {"X {8193+}\r\n"},
           "BYE \"Literal too long\"\r\n",
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
      },
      CreateManageSieve, Options());
}

TEST(ManageSieve, WhatIsNoCommand) {
  auto refused = [&](std::string name, std::string octets, std::string what) {
    return DialogueCase{
        name, {octets}, "BYE \"" + what + "\"\r\n", Verdict::kClose, EndReason::kBadOctet,
        "",   {},       {Attack::kBadOctet}};
  };
  RunCases(
      {
          refused("bare LF", "STARTTLS\n", "Bare <LF> received"),
          refused("bare CR", "STAR\rTTLS\r\n", "Bare <CR> received"),
          refused("NUL", std::string("STAR\0TTLS\r\n", 11), "NUL received"),
          refused("8-bit verb", "\xc3\xa4\r\n", "8-bit octet in a command"),
          {"8-bit tag", {"NOOP \"\xc3\xa4\"\r\n"}, "OK (TAG \"\xc3\xa4\") \"NOOP completed.\"\r\n"},
          {"bare LF where allowed",
           {"STARTTLS\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           {},
           {},
           true},
          {"no end",
           {std::string(8193, 'A')},
           "BYE \"Line too long\"\r\n",
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
           {"POST / HTTP/1.1\r\nHost: x\r\n\r\n"},
           "BYE \"Another protocol is spoken here\"\r\n",
           Verdict::kClose,
           EndReason::kCrossProtocol,
           "",
           {},
           {Attack::kCrossProtocol}},
          {"mangled",
           {"XXXXXXXX\r\n"},
           kNotHere,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kMangledCommand}},
      },
      CreateManageSieve, Options());
}

TEST(ManageSieve, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  for (const Case& c : {Case{"", true}, Case{"CAPABILITY\r\n", true}, Case{"NOOP\r\n", false}}) {
    SCOPED_TRACE(c.sent);
    DialogueOptions options = Options();
    DialogueDriver driver(CreateManageSieve, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal);
  }
}

TEST(ManageSieve, RefusalsOfAFullTable) {
  std::vector<uint8_t> memory(kMinOutputRoom);
  Writer out(memory);
  RefuseManageSieve(Refusal::kTooBusy, Options(), out);
  EXPECT_EQ(AsText(out.written()), "BYE (TRYLATER) \"Too many connections, try again later.\"\r\n");
}

}  // namespace
}  // namespace starling
