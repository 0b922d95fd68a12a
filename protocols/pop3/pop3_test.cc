#include "protocols/pop3/pop3.h"

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

const char kBegin[] = "+OK Begin TLS negotiation\r\n";
const char kNotHere[] = "-ERR Command not accepted before STLS\r\n";
const char kUseTls[] = "-ERR [SYS/PERM] TLS required, use STLS\r\n";
const char kCapabilities[] = "+OK Capability list follows\r\nRESP-CODES\r\nSTLS\r\n.\r\n";

TEST(Pop3, GreetingHasNoStamp) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreatePop3, options);
  driver.Raise(EventKind::kStart);
  std::string said = driver.TakeToClient();
  EXPECT_EQ(said, "+OK POP3 ready at mail.example.org\r\n");
  EXPECT_EQ(said.find('<'), std::string::npos);
}

TEST(Pop3, Answers) {
  RunCases(
      {
          {"capa", {"CAPA\r\n"}, kCapabilities},
          {"any case", {"cApA\r\n"}, kCapabilities},
          {"quit", {"QUIT\r\n"}, "+OK Goodbye\r\n", Verdict::kClose, EndReason::kGoodbye},
          {"which mechanisms", {"AUTH\r\n"}, kUseTls},
          {"transaction", {"LIST\r\nRETR 1\r\n"}, std::string(kNotHere) + kNotHere},
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
      CreatePop3, Options());
}

TEST(Pop3, PointOfUpgrade) {
  RunCases(
      {
          {"alone", {"STLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"any case", {"stls\r\n"}, kBegin, Verdict::kUpgrade},
          {"after a query",
           {"CAPA\r\nSTLS\r\n"},
           std::string(kCapabilities) + kBegin,
           Verdict::kUpgrade},
          {"a command behind it",
           {"STLS\r\nCAPA\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "CAPA\r\n"},
          {"a second segment behind it",
           {"STLS\r\n", "USER x\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "USER x\r\n"},
          {"one octet behind it",
           {std::string("STLS\r\n\0", 7)},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           std::string("\0", 1)},
          {"argument", {"STLS x\r\n"}, "-ERR STLS takes no argument\r\n"},
      },
      CreatePop3, Options());
}

TEST(Pop3, NoLogInInPlaintext) {
  for (std::string line : {"USER x", "pass secret", "APOP x 0123", "AUTH PLAIN dGVzdA=="}) {
    RunCases({{line + " after the offer",
               {"CAPA\r\n", line + "\r\n"},
               std::string(kCapabilities) + kUseTls,
               Verdict::kContinue,
               EndReason::kNone,
               "",
               {Signal::kNotTaken},
               {Attack::kPlaintextAuth}},
              {line + " without asking",
               {line + "\r\n"},
               kUseTls,
               Verdict::kContinue,
               EndReason::kNone,
               "",
               {},
               {Attack::kPlaintextAuth}}},
             CreatePop3, Options());
  }
}

TEST(Pop3, AnOfferNotYetSeenIsNotRefused) {
  RunCase({"all in one segment",
           {"CAPA\r\nUSER x\r\n"},
           std::string(kCapabilities) + kUseTls,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {},
           {Attack::kPlaintextAuth}},
          CreatePop3, Options(), std::string::npos);
}

TEST(Pop3, WhatIsNoCommand) {
  auto refused = [&](std::string name, std::string octets, std::string what) {
    return DialogueCase{
        name, {octets}, "-ERR " + what + "\r\n", Verdict::kClose, EndReason::kBadOctet,
        "",   {},       {Attack::kBadOctet}};
  };
  RunCases(
      {
          refused("bare LF", "STLS\n", "Bare <LF> received"),
          refused("bare CR", "ST\rLS\r\n", "Bare <CR> received"),
          refused("NUL", std::string("ST\0LS\r\n", 7), "NUL received"),
          refused("8-bit verb", "\xc3\xa4\r\n", "8-bit octet in a command"),
          {"bare LF where allowed",
           {"STLS\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           {},
           {},
           true},
          {"no end",
           {std::string(8193, 'A')},
           "-ERR Line too long\r\n",
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
           "-ERR Another protocol is spoken here\r\n",
           Verdict::kClose,
           EndReason::kCrossProtocol,
           "",
           {},
           {Attack::kCrossProtocol}},
          {"a literal is no literal here",
           {"X {5+}\r\nSTLS\r\n"},
           std::string(kNotHere) + kBegin,
           Verdict::kUpgrade},
      },
      CreatePop3, Options());
}

TEST(Pop3, MangledCommands) {
  auto seen = [](std::string line, bool mangled) {
    DialogueCase c{line, {line + "\r\n"}, kNotHere};
    if (mangled) c.signals = {Signal::kMangledCommand};
    return c;
  };
  RunCases({seen("XXXX", true), seen("XXXXA", true), seen("STLX", true), seen("STAT", false),
            seen("stat", false), seen("LIST", false), seen("STL", false)},
           CreatePop3, Options());
}

TEST(Pop3, TooManyCommands) {
  DialogueOptions options = Options();
  options.max_commands = 1;
  RunCases({{"over it",
             {"LIST\r\nSTLS\r\n"},
             std::string(kNotHere) + "-ERR Too many commands without TLS\r\n",
             Verdict::kClose,
             EndReason::kTooManyErrors}},
           CreatePop3, options);
}

TEST(Pop3, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  for (const Case& c : {Case{"", false}, Case{"CAPA\r\n", true}, Case{"CAPA\r\nLIST\r\n", false}}) {
    SCOPED_TRACE(c.sent);
    DialogueOptions options = Options();
    DialogueDriver driver(CreatePop3, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal);
  }
}

}  // namespace
}  // namespace starling
