#include "protocols/nntp/nntp.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

DialogueOptions Options() {
  DialogueOptions options;
  options.hostname = "news.example.org";
  return options;
}

const char kBegin[] = "382 Begin TLS negotiation\r\n";
const char kUseTls[] = "483 Use STARTTLS first\r\n";
const char kUnknown[] = "500 Unknown command\r\n";
const char kMode[] = "200 Reader mode\r\n";

std::string Capabilities(const std::string& mode) {
  return "101 Capability list follows\r\nVERSION 2\r\nIMPLEMENTATION Starling\r\n" + mode +
         "\r\nSTARTTLS\r\n.\r\n";
}
const std::string kSwitches = Capabilities("MODE-READER");
const std::string kReads = Capabilities("READER");

TEST(Nntp, Greeting) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateNntp, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "200 news.example.org NNTP ready\r\n");
}

TEST(Nntp, Answers) {
  RunCases(
      {
          {"capabilities", {"CAPABILITIES\r\n"}, kSwitches},
          {"any case", {"cApAbilities\r\n"}, kSwitches},
          {"with a keyword", {"CAPABILITIES AUTOUPDATE\r\n"}, kSwitches},
          {"with two", {"CAPABILITIES A B\r\n"}, "501 CAPABILITIES takes one keyword\r\n"},
          {"mode reader", {"MODE READER\r\nCAPABILITIES\r\n"}, kMode + kReads},
          {"mode, any case", {"mode reader\r\nCAPABILITIES\r\n"}, kMode + kReads},
          {"other modes",
           {"MODE STREAM\r\nMODE\r\nMODE READER x\r\nMODE OTHER\r\n"},
           std::string(kUseTls) + "501 Unknown mode\r\n501 Unknown mode\r\n501 Unknown mode\r\n"},
          {"help",
           {"HELP\r\n"},
           "100 Before TLS\r\nCAPABILITIES\r\nHELP\r\nMODE READER\r\nQUIT\r\nSTARTTLS\r\n.\r\n"},
          {"quit", {"QUIT\r\n"}, "205 Goodbye\r\n", Verdict::kClose, EndReason::kGoodbye},
          {"quit with an argument", {"QUIT x\r\n"}, "501 QUIT takes no argument\r\n"},
          {"reading and posting",
           {"DATE\r\nGROUP a.b\r\nARTICLE 1\r\npost\r\nIHAVE <a@b>\r\nCHECK <a@b>\r\n"},
           std::string(kUseTls) + kUseTls + kUseTls + kUseTls + kUseTls + kUseTls},
          {"unknown", {"EHLO x\r\n"}, kUnknown},
          {"empty line", {"\r\n"}, kUnknown},
      },
      CreateNntp, Options());
}

TEST(Nntp, OffersWhatTheBackendIs) {
  for (uint64_t known : {uint64_t{0}, kNntpKnown, kNntpKnown | kNntpReader}) {
    SCOPED_TRACE(known);
    DialogueOptions options = Options();
    DialogueDriver driver(CreateNntp, options);
    driver.Raise(EventKind::kStart, false, known);
    driver.TakeToClient();
    driver.Client("CAPABILITIES\r\n");
    EXPECT_EQ(driver.TakeToClient(), (known & kNntpReader) != 0 ? kReads : kSwitches);
  }
}

TEST(Nntp, PointOfUpgrade) {
  RunCases(
      {
          {"alone", {"STARTTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"any case", {"startTLS\r\n"}, kBegin, Verdict::kUpgrade},
          {"after a query",
           {"CAPABILITIES\r\nSTARTTLS\r\n"},
           kSwitches + kBegin,
           Verdict::kUpgrade},
          {"a command behind it",
           {"STARTTLS\r\nMODE READER\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "MODE READER\r\n"},
          {"a second segment behind it",
           {"STARTTLS\r\n", "AUTHINFO USER x\r\n"},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           "AUTHINFO USER x\r\n"},
          {"one octet behind it",
           {std::string("STARTTLS\r\n\0", 11)},
           kBegin,
           Verdict::kUpgrade,
           EndReason::kNone,
           std::string("\0", 1)},
          {"argument", {"STARTTLS x\r\n"}, "501 STARTTLS takes no argument\r\n"},
      },
      CreateNntp, Options());
}

// The article comes at once (RFC 4644 section 2.5), and all of it is data.
TEST(Nntp, AnArticleIsNotMadeOfCommands) {
  RunCases({{"refused at its end",
             {"TAKETHIS <a@b>\r\nSubject: x\r\n\r\nSTARTTLS\r\n..\r\nAUTHINFO USER x\r\n.\r\n"},
             kUseTls},
            {"and then a command",
             {"TAKETHIS <a@b>\r\nQUIT\r\n.\r\nSTARTTLS\r\n"},
             std::string(kUseTls) + kBegin,
             Verdict::kUpgrade}},
           CreateNntp, Options());
}

TEST(Nntp, NoLogInInPlaintext) {
  for (std::string line :
       {"AUTHINFO USER x", "authinfo pass secret", "AUTHINFO SASL PLAIN dGVzdA==", "AUTHINFO"}) {
    RunCases({{line + " after the offer",
               {"CAPABILITIES\r\n", line + "\r\n"},
               kSwitches + kUseTls,
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
             CreateNntp, Options());
  }
}

TEST(Nntp, WhatIsNoCommand) {
  auto refused = [&](std::string name, std::string octets, std::string what) {
    return DialogueCase{
        name, {octets}, "400 " + what + "\r\n", Verdict::kClose, EndReason::kBadOctet,
        "",   {},       {Attack::kBadOctet}};
  };
  RunCases(
      {
          refused("bare LF", "STARTTLS\n", "Bare <LF> received"),
          refused("bare CR", "STAR\rTTLS\r\n", "Bare <CR> received"),
          refused("NUL", std::string("STAR\0TTLS\r\n", 11), "NUL received"),
          refused("8-bit verb", "\xc3\xa4\r\n", "8-bit octet in a command"),
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
           "400 Line too long\r\n",
           Verdict::kClose,
           EndReason::kLineTooLong,
           "",
           {},
           {Attack::kOverlongLine}},
          {"no end of an article's line",
           {"TAKETHIS <a@b>\r\n" + std::string(8193, 'A')},
           "400 Line too long\r\n",
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
           "400 Another protocol is spoken here\r\n",
           Verdict::kClose,
           EndReason::kCrossProtocol,
           "",
           {},
           {Attack::kCrossProtocol}},
          {"a literal is no literal here",
           {"X {5+}\r\nSTARTTLS\r\n"},
           std::string(kUnknown) + kBegin,
           Verdict::kUpgrade},
      },
      CreateNntp, Options());
}

TEST(Nntp, MangledCommands) {
  auto seen = [](std::string line, std::string said, bool mangled) {
    DialogueCase c{line, {line + "\r\n"}, said};
    if (mangled) c.signals = {Signal::kMangledCommand};
    return c;
  };
  RunCases({seen("XXXXXXXX", kUnknown, true), seen("XXXXA", kUnknown, true),
            seen("STARTTLX", kUnknown, true), seen("STAT", kUseTls, false),
            seen("XOVER", kUseTls, false), seen("STARTTL", kUnknown, false)},
           CreateNntp, Options());
}

TEST(Nntp, TooManyCommands) {
  DialogueOptions options = Options();
  options.max_commands = 2;
  const std::string goodbye = "400 Too many commands without TLS\r\n";
  RunCases({{"commands",
             {"DATE\r\nDATE\r\nSTARTTLS\r\n"},
             std::string(kUseTls) + kUseTls + goodbye,
             Verdict::kClose,
             EndReason::kTooManyErrors},
            {"lines of an article",
             {"TAKETHIS <a@b>\r\na\r\nb\r\n.\r\n"},
             goodbye,
             Verdict::kClose,
             EndReason::kTooManyErrors}},
           CreateNntp, options);
}

TEST(Nntp, OnlyModeReaderReachesTheFreshLeg) {
  for (bool mode_reader : {false, true}) {
    SCOPED_TRACE(mode_reader);
    DialogueOptions options = Options();
    DialogueDriver driver(CreateNntp, options);
    driver.Raise(EventKind::kStart);
    driver.Client(mode_reader ? "HELP\r\nmode READER\r\nGROUP a\r\nSTARTTLS\r\n"
                              : "HELP\r\nGROUP MODE READER\r\nSTARTTLS\r\n");
    driver.EnterTls();
    EXPECT_EQ(driver.TakeToBackend(), "");
    driver.Backend("200 a\r\n");
    EXPECT_EQ(driver.TakeToBackend(), mode_reader ? "MODE READER\r\n" : "");
    EXPECT_EQ(driver.verdict(), mode_reader ? Verdict::kContinue : Verdict::kRelay);
    if (!mode_reader) continue;
    driver.Backend("200 b\r\n");
    EXPECT_EQ(driver.TakeToBackend(), "");
    EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  }
}

TEST(Nntp, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  for (const Case& c :
       {Case{"", false}, Case{"CAPABILITIES\r\n", true}, Case{"CAPABILITIES\r\nDATE\r\n", false}}) {
    SCOPED_TRACE(c.sent);
    DialogueOptions options = Options();
    DialogueDriver driver(CreateNntp, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal);
  }
}

struct ProbeOutcome {
  ProbeResult::Status status = ProbeResult::Status::kNeedMore;
  uint64_t capabilities = 0;
  std::string asked;
};

ProbeOutcome Ask(const std::string& backend, size_t piece) {
  alignas(std::max_align_t) unsigned char storage[kNegotiatorSize];
  DialogueOptions options;
  Probe* probe = CreateNntpProbe(storage, options);
  ProbeOutcome outcome;
  std::string held;
  for (size_t at = 0; at < backend.size() && outcome.status == ProbeResult::Status::kNeedMore;
       at += piece) {
    held += backend.substr(at, piece);
    std::vector<uint8_t> client(kMinOutputRoom), server(kMinOutputRoom);
    Output out{Writer(client), Writer(server)};
    ProbeResult result = probe->OnBackend(AsBytes(held), out);
    held.erase(0, result.consumed);
    outcome.status = result.status;
    outcome.capabilities = result.capabilities;
    outcome.asked += AsText(out.backend.written());
  }
  probe->~Probe();
  return outcome;
}

TEST(NntpProbe, TellsReadersFromThoseThatSwitch) {
  using enum ProbeResult::Status;
  struct Case {
    std::string backend;
    ProbeResult::Status status;
    uint64_t capabilities;
    std::string asked;
  };
  const std::string ask = "CAPABILITIES\r\n", all = "CAPABILITIES\r\nQUIT\r\n";
  std::string endless = "200 x\r\n101 x\r\n";
  for (int i = 0; i < 300; ++i) endless += "X\r\n";
  for (const Case& c : {
           Case{"200 nnrpd\r\n101 list\r\nVERSION 2\r\nREADER\r\nLIST ACTIVE\r\n.\r\n", kDone,
                kNntpKnown | kNntpReader, all},
           Case{"201 innd\r\n101 list\r\nVERSION 2\r\nIHAVE\r\nMODE-READER\r\n.\r\n", kDone,
                kNntpKnown, all},
           Case{"200\tnnrpd\r\n101\tlist\r\nREADER\t\r\n. \r\n", kDone, kNntpKnown | kNntpReader,
                all},
           Case{"200 old\r\n500 What?\r\n", kDone, kNntpKnown, all},
           Case{"200 slow\r\n101 list\r\nREADER\r\n", kNeedMore, 0, ask},
           Case{"502 no permission\r\n", kBad, 0, ""},
           Case{"200 " + std::string(5000, 'x') + "\r\n500 What?\r\n", kDone, kNntpKnown, all},
           Case{"200 x\r\n101 x\r\nREADER " + std::string(5000, 'x') + "\r\n.\r\n", kDone,
                kNntpKnown, all},
           Case{std::string("\xff\0\n", 3), kBad, 0, ""},
           Case{endless, kDone, kNntpKnown, all},
       }) {
    for (size_t piece : {std::string::npos / 2, size_t{1}}) {
      SCOPED_TRACE(c.backend.substr(0, 20));
      ProbeOutcome outcome = Ask(c.backend, piece);
      EXPECT_EQ(outcome.status, c.status);
      EXPECT_EQ(outcome.capabilities, c.capabilities);
      EXPECT_EQ(outcome.asked, c.asked);
    }
  }
}

}  // namespace
}  // namespace starling
