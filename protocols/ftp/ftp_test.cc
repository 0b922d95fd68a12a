// FTP before TLS. ftp_control_test.cc tests what comes inside.
#include "protocols/ftp/ftp.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

DialogueOptions Options() {
  DialogueOptions options;
  options.hostname = "ftp.example.org";
  return options;
}

const char kBegin[] = "234 Begin TLS negotiation\r\n";
const char kFeatures[] = "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n";
const char kUseTls[] = "530 AUTH TLS first\r\n";
const char kUnknown[] = "500 Unknown command\r\n";
const char kOneArgument[] = "501 AUTH takes one argument\r\n";

TEST(Ftp, Greeting) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateFtp, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "220 ftp.example.org FTP ready\r\n");
}

TEST(Ftp, Answers) {
  RunCases(
      {{"features", {"FEAT\r\n"}, kFeatures},
       {"any case", {"feat\r\n"}, kFeatures},
       {"noop", {"NOOP\r\n"}, "200 OK\r\n"},
       {"blanks behind", {"NOOP \r\nFEAT\t\r\n"}, std::string("200 OK\r\n") + kFeatures},
       {"goodbye with one", {"QUIT \r\n"}, "221 Goodbye\r\n", Verdict::kClose, EndReason::kGoodbye},
       {"quit", {"QUIT\r\n"}, "221 Goodbye\r\n", Verdict::kClose, EndReason::kGoodbye},
       {"work",
        {"SYST\r\nPASV\r\nEPSV\r\nPORT 1,2,3,4,5,6\r\nRETR x\r\nlist\r\nSITE x\r\nCCC\r\n"},
        std::string(kUseTls) + kUseTls + kUseTls + kUseTls + kUseTls + kUseTls + kUseTls + kUseTls},
       {"protection",
        {"PBSZ 0\r\nPROT P\r\n"},
        std::string(kUseTls).replace(0, 3, "503") + std::string(kUseTls).replace(0, 3, "503")},
       {"unknown", {"EHLO x\r\n"}, kUnknown},
       {"empty line", {"\r\n"}, kUnknown}},
      CreateFtp, Options());
}

TEST(Ftp, PointOfUpgrade) {
  RunCases({{"TLS", {"AUTH TLS\r\n"}, kBegin, Verdict::kUpgrade},
            {"TLS-C", {"auth tls-c\r\n"}, kBegin, Verdict::kUpgrade},
            {"SSL", {"AUTH SSL\r\n"}, kBegin, Verdict::kUpgrade},
            {"after a query",
             {"FEAT\r\nAUTH TLS\r\n"},
             std::string(kFeatures) + kBegin,
             Verdict::kUpgrade},
            {"a command behind it",
             {"AUTH TLS\r\nUSER x\r\n"},
             kBegin,
             Verdict::kUpgrade,
             EndReason::kNone,
             "USER x\r\n"},
            {"a second segment behind it",
             {"AUTH TLS\r\n", "USER x\r\n"},
             kBegin,
             Verdict::kUpgrade,
             EndReason::kNone,
             "USER x\r\n"},
            {"one octet behind it",
             {std::string("AUTH TLS\r\n\0", 11)},
             kBegin,
             Verdict::kUpgrade,
             EndReason::kNone,
             std::string("\0", 1)},
            {"another mechanism", {"AUTH GSSAPI\r\n"}, "504 Unknown mechanism, use TLS\r\n"},
            {"blanks", {"AUTH  TLS \r\n"}, kBegin, Verdict::kUpgrade},
            {"tabs", {"AUTH\tTLS\t\r\n"}, kBegin, Verdict::kUpgrade},
            {"blanks before the word", {" AUTH TLS\r\n"}, kUnknown},
            {"none", {"AUTH\r\nAUTH \t\r\n"}, std::string(kOneArgument) + kOneArgument},
            {"two", {"AUTH TLS x\r\nAUTH TLS\tx\r\n"}, std::string(kOneArgument) + kOneArgument}},
           CreateFtp, Options());
}

TEST(Ftp, NoLogInInPlaintext) {
  RunCases({{"without an offer",
             {"USER joe\r\n"},
             kUseTls,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {},
             {Attack::kPlaintextAuth}},
            {"with one",
             {"FEAT\r\n", "USER joe\r\nPASS x\r\nACCT y\r\n"},
             std::string(kFeatures) + kUseTls + kUseTls + kUseTls,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {Signal::kNotTaken},
             {Attack::kPlaintextAuth}},
            {"anonymous",
             {"USER anonymous\r\n"},
             kUseTls,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {},
             {Attack::kPlaintextAuth}},
            {"behind a tab",
             {"USER\tjoe\r\n"},
             kUseTls,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {},
             {Attack::kPlaintextAuth}}},
           CreateFtp, Options());
}

TEST(Ftp, DamagedUpgrade) {
  RunCases({{"crossed out",
             {"XXXX TLS\r\n"},
             kUnknown,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {Signal::kMangledCommand}},
            {"one letter",
             {"AUTQ TLS\r\n"},
             kUnknown,
             Verdict::kContinue,
             EndReason::kNone,
             {},
             {Signal::kMangledCommand}},
            {"a verb of the protocol", {"ALLO 1\r\n"}, kUseTls}},
           CreateFtp, Options());
}

TEST(Ftp, OfferThenClose) {
  DialogueOptions options = Options();
  DialogueDriver driver(CreateFtp, options);
  driver.Raise(EventKind::kStart);
  driver.Client("FEAT\r\n");
  driver.Raise(EventKind::kClientEnd);
  EXPECT_TRUE(driver.Saw(Signal::kOfferThenClose));
}

TEST(Ftp, Strangers) {
  RunCases({{"TLS",
             {"\x16\x03\x01"},
             "",
             Verdict::kClose,
             EndReason::kTlsOnPlainPort,
             {},
             {},
             {Attack::kTlsOnPlainPort}},
            {"SSLv2",
             {"\x80\x2e"},
             "",
             Verdict::kClose,
             EndReason::kTlsOnPlainPort,
             {},
             {},
             {Attack::kTlsOnPlainPort}},
            {"HTTP",
             {"GET / HTTP/1.1\r\n"},
             "421 Another protocol is spoken here\r\n",
             Verdict::kClose,
             EndReason::kCrossProtocol,
             {},
             {},
             {Attack::kCrossProtocol}}},
           CreateFtp, Options());
}

TEST(Ftp, BadOctetsAndLongLines) {
  struct {
    std::string line;
    const char* said;
  } const bad[] = {
      {"AUTH TLS\n", "421 Bare <LF> received\r\n"},
      {std::string("AU\0TH TLS\r\n", 11), "421 NUL received\r\n"},
      {"\xc3\xa9 x\r\n", "421 8-bit octet in a command\r\n"},
      {"AUTH\rTLS\r\n", "421 Bare <CR> received\r\n"},
  };
  for (const auto& c : bad) {
    RunCases({{"refused",
               {c.line},
               c.said,
               Verdict::kClose,
               EndReason::kBadOctet,
               {},
               {},
               {Attack::kBadOctet}}},
             CreateFtp, Options());
  }
  RunCases({{"too long",
             {std::string(8193, 'x')},
             "421 Line too long\r\n",
             Verdict::kClose,
             EndReason::kLineTooLong,
             {},
             {},
             {Attack::kOverlongLine}},
            {"a bare LF where it is allowed",
             {"AUTH TLS\n"},
             kBegin,
             Verdict::kUpgrade,
             EndReason::kNone,
             {},
             {},
             {},
             true}},
           CreateFtp, Options());
}

TEST(Ftp, TooManyCommands) {
  DialogueOptions options = Options();
  options.max_commands = 2;
  RunCases({{"noop",
             {"NOOP\r\nNOOP\r\nNOOP\r\n"},
             "200 OK\r\n200 OK\r\n421 Too many commands without TLS\r\n",
             Verdict::kClose,
             EndReason::kTooManyErrors}},
           CreateFtp, options);
}

TEST(Ftp, BinaryJunkEndsBounded) {
  std::string junk;
  for (int i = 0; i < 4096; ++i) junk += static_cast<char>(i * 37 + 1);
  DialogueOptions options = Options();
  DialogueDriver driver(CreateFtp, options);
  driver.Raise(EventKind::kStart);
  driver.Client(junk);
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
}

}  // namespace
}  // namespace starling
