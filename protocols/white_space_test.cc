// White space between the words of a command and after it. The gateway accepts what the
// servers behind it accept, and sends them one space instead. tests/e2e/test_white_space.py
// asks those servers.
//
// Not for: SMTP and LMTP (smtp_space_test.cc), FTP (ftp_test.cc).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/acap/acap.h"
#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/frames/testing/leg_testing.h"
#include "protocols/imap/imap.h"
#include "protocols/irc/irc.h"
#include "protocols/managesieve/managesieve.h"
#include "protocols/nntp/nntp.h"
#include "protocols/pop3/pop3.h"

namespace starling {
namespace {

using Create = DialogueDriver::Create;

DialogueOptions Options(bool opportunistic = false) {
  DialogueOptions options;
  options.hostname = "h.example";
  if (opportunistic) options.policy = Policy::kOpportunistic;
  options.plaintext_auth = opportunistic;
  return options;
}

// The outcome of some commands. The tests look at the last one.
struct Outcome {
  std::string said;
  Verdict verdict = Verdict::kContinue;
  uint32_t signals = 0;
  uint32_t attacks = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome Ask(Create create, const std::vector<std::string>& commands,
            size_t piece = std::string::npos) {
  const DialogueOptions options = Options();
  DialogueDriver driver(create, options);
  driver.Raise(EventKind::kStart);
  for (const std::string& command : commands) {
    driver.TakeToClient();
    driver.Client(command + "\r\n", piece);
  }
  return {driver.TakeToClient(), driver.verdict(), driver.signals(), driver.attacks()};
}

// The gateway takes each of the lines for `command`, however it is cut.
void ExpectSame(Create create, const std::string& command, const std::vector<std::string>& lines,
                Verdict verdict = Verdict::kContinue, uint32_t attacks = 0) {
  const Outcome wanted = Ask(create, {command});
  EXPECT_NE(wanted.said, "");
  EXPECT_EQ(wanted.verdict, verdict);
  EXPECT_EQ(wanted.attacks, attacks);
  for (const std::string& line : lines) {
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{3}}) {
      const Outcome outcome = Ask(create, {line}, piece);
      EXPECT_TRUE(outcome == wanted)
          << "[" << line << "] in pieces of " << piece << ": " << outcome.said;
    }
  }
}

void ExpectUpgrade(Create create, const std::string& command,
                   const std::vector<std::string>& lines) {
  ExpectSame(create, command, lines, Verdict::kUpgrade);
}

void ExpectClose(Create create, const std::string& command, const std::vector<std::string>& lines) {
  ExpectSame(create, command, lines, Verdict::kClose);
}

void ExpectLogin(Create create, const std::string& command, const std::vector<std::string>& lines) {
  Step step;
  step.Note(Attack::kPlaintextAuth);
  ExpectSame(create, command, lines, Verdict::kContinue, step.attacks);
}

// And it takes none of these for `command`.
void ExpectOther(Create create, const std::string& command, const std::vector<std::string>& lines) {
  const std::string said = Ask(create, {command}).said;
  for (const std::string& line : lines) EXPECT_NE(Ask(create, {line}).said, said) << line;
}

// RFC 3977 sections 9.2 and 9.8.
TEST(WhiteSpace, Nntp) {
  ExpectUpgrade(
      CreateNntp, "STARTTLS",
      {"STARTTLS", "STARTTLS ", "STARTTLS\t", "starttls \t  ", " STARTTLS", "\tSTARTTLS"});
  ExpectClose(CreateNntp, "QUIT", {"QUIT ", "QUIT\t", " QUIT"});
  ExpectSame(CreateNntp, "HELP", {"HELP ", "HELP\t", "\tHELP \t"});
  ExpectSame(CreateNntp, "CAPABILITIES",
             {"CAPABILITIES ", "CAPABILITIES\t", "CAPABILITIES \t X", "CAPABILITIES\tX\t"});
  ExpectSame(CreateNntp, "MODE READER",
             {"MODE  READER", "MODE\tREADER", "MODE \t READER \t", " mode\treader"});
  ExpectSame(CreateNntp, "MODE STREAM", {"MODE\tSTREAM", "MODE  STREAM "});
  ExpectSame(CreateNntp, "DATE", {"DATE ", "DATE\t"});
  ExpectSame(CreateNntp, "GROUP a.b", {"GROUP\ta.b", "GROUP  a.b "});
  ExpectLogin(CreateNntp, "AUTHINFO USER x",
              {"AUTHINFO USER x", "AUTHINFO\tUSER x", "AUTHINFO  USER\tx", " AUTHINFO USER x",
               "\tauthinfo\tpass\tx", "AUTHINFO "});
  ExpectSame(CreateNntp, "STARTTLS x", {"STARTTLS\tx", "STARTTLS  x "});
  // MODE READER with a tab survives the upgrade like any other.
  EXPECT_NE(Ask(CreateNntp, {"MODE\tREADER", "CAPABILITIES\t"}).said.find("\r\nREADER\r\n"),
            std::string::npos);
}

// Only a single dot ends an article.
TEST(WhiteSpace, NntpArticlesAreDropped) {
  const std::string use_tls = "483 Use STARTTLS first\r\n";
  RunCases({{"tab", {"TAKETHIS\t<a@b>\r\nQUIT\r\n.\r\n"}, use_tls},
            {"space before", {" TAKETHIS <a@b> \r\n. \r\n.\t\r\nQUIT\r\n.\r\n"}, use_tls}},
           CreateNntp, Options());
}

// RFC 1459 section 2.3.1. InspIRCd accepts such sources and tags.
TEST(WhiteSpace, Irc) {
  ExpectUpgrade(CreateIrc, "STARTTLS",
                {"STARTTLS", "STARTTLS ", "STARTTLS   ", "STARTTLS\t", " STARTTLS", "\tSTARTTLS",
                 ":demo STARTTLS", ":demo   STARTTLS  ", " :demo STARTTLS", "@a=b STARTTLS",
                 "@a=b  :demo  STARTTLS "});
  ExpectClose(CreateIrc, "QUIT", {"QUIT ", " QUIT", ":demo QUIT  :bye"});
  ExpectSame(
      CreateIrc, "CAP LS 302",
      {"CAP  LS  302 ", " CAP LS   302", "CAP LS ", "CAP LS\t", ":demo CAP LS", "CAP LS 302\t"});
  ExpectSame(CreateIrc, "CAP REQ :tls",
             {"CAP REQ  :tls", "CAP  REQ :tls  ", "CAP REQ tls ", "CAP REQ tls\t"});
  ExpectSame(CreateIrc, "PING x", {"PING  x ", "PING   :x", ":demo PING x"});
  ExpectSame(CreateIrc, "PING :x  ", {"PING  :x  "});  // spaces in the last parameter belong to it
  ExpectLogin(CreateIrc, "PASS secret",
              {"PASS  secret", " PASS secret", ":demo PASS secret ", "@a=b OPER o x"});
  RunCases({{"of nothing else", {"\r\n  \r\n\t\r\n:demo\r\n"}, ""}}, CreateIrc, Options());
  ExpectOther(CreateIrc, "STARTTLS",
              {"STARTTLS x", "STARTTLS :", "STARTTLS \t x", ":demo", "STARTTLS\tx"});
}

// Like Dovecot: any number of spaces after the command, no tab, nothing before the tag, and
// one space after it.
TEST(WhiteSpace, Imap) {
  ExpectUpgrade(CreateImap, "a STARTTLS", {"a STARTTLS", "a STARTTLS ", "a starttls   "});
  ExpectClose(CreateImap, "a LOGOUT", {"a LOGOUT ", "a LOGOUT  "});
  ExpectSame(CreateImap, "a CAPABILITY", {"a CAPABILITY ", "a CAPABILITY   "});
  ExpectSame(CreateImap, "a NOOP", {"a NOOP ", "a NOOP  "});
  ExpectSame(CreateImap, "a ID NIL", {"a ID NIL ", "a ID  NIL", "a ID (\"name\"  \"x\")  "});
  ExpectLogin(CreateImap, "a LOGIN u p", {"a LOGIN u p ", "a LOGIN  u  p"});
  ExpectOther(CreateImap, "a STARTTLS",
              {" a STARTTLS", "\ta STARTTLS", "a  STARTTLS", "a\tSTARTTLS", "a STARTTLS\t",
               "a STARTTLS x ", "a STARTTLS {1}  "});
}

// Dovecot refuses such a literal. If the gateway cut the space off, it would become one.
TEST(WhiteSpace, ImapLiteralsEndALine) {
  const std::string broken = "a BAD Space behind a literal\r\n";
  RunCases({{"not dropped", {"a NOOP {4+} \r\nb NOOP\r\n"}, broken + "b OK NOOP completed\r\n"},
            {"nor called for", {"a NOOP {4}  \r\n"}, broken}},
           CreateImap, Options());
  RunLegCases({{"never passed on",
                {{'c', "a LOGIN u {4+} \r\n"}, {'c', "a LOGIN {4} \r\nb NOOP\r\n"}},
                broken + broken + "b OK NOOP completed\r\n",
                "",
                Verdict::kContinue,
                EndReason::kNone,
                {Attack::kPlaintextAuth}}},
              CreateImap, Options(/*opportunistic=*/true));
}

TEST(WhiteSpace, Acap) {
  ExpectUpgrade(CreateAcap, "a STARTTLS", {"a STARTTLS", "a STARTTLS ", "a starttls   "});
  ExpectClose(CreateAcap, "a LOGOUT", {"a LOGOUT "});
  ExpectSame(CreateAcap, "a NOOP", {"a NOOP ", "a NOOP   "});
  ExpectLogin(CreateAcap, "a AUTHENTICATE \"PLAIN\"", {"a AUTHENTICATE  \"PLAIN\" "});
  ExpectOther(CreateAcap, "a STARTTLS",
              {" a STARTTLS", "a  STARTTLS", "a\tSTARTTLS", "a STARTTLS\t", "a STARTTLS x "});
  RunCases({{"a literal ends a line",
             {"a NOOP {4+} \r\nb NOOP\r\n"},
             "a BAD \"Space behind a literal\"\r\nb OK \"NOOP completed\"\r\n"}},
           CreateAcap, Options());
}

TEST(WhiteSpace, Pop3) {
  ExpectUpgrade(CreatePop3, "STLS", {"STLS", "STLS ", "stls   "});
  ExpectClose(CreatePop3, "QUIT", {"QUIT ", "QUIT  "});
  ExpectSame(CreatePop3, "CAPA", {"CAPA ", "CAPA  "});
  ExpectSame(CreatePop3, "AUTH", {"AUTH ", "AUTH  "});
  ExpectLogin(CreatePop3, "USER u", {"USER  u", "PASS  p ", "AUTH  PLAIN "});
  ExpectOther(CreatePop3, "STLS", {" STLS", "\tSTLS", "STLS\t", "STLS x "});
}

TEST(WhiteSpace, ManageSieve) {
  ExpectUpgrade(CreateManageSieve, "STARTTLS", {"STARTTLS", "STARTTLS ", "starttls   "});
  ExpectClose(CreateManageSieve, "LOGOUT", {"LOGOUT ", "LOGOUT  "});
  ExpectSame(CreateManageSieve, "CAPABILITY", {"CAPABILITY ", "CAPABILITY  "});
  ExpectSame(CreateManageSieve, "NOOP", {"NOOP ", "NOOP   "});
  ExpectSame(CreateManageSieve, "NOOP \"x  y\"", {"NOOP  \"x  y\"", "NOOP \"x  y\" "});
  ExpectLogin(CreateManageSieve, "AUTHENTICATE \"PLAIN\"",
              {"AUTHENTICATE  \"PLAIN\"", "AUTHENTICATE \"PLAIN\" "});
  ExpectOther(CreateManageSieve, "STARTTLS",
              {" STARTTLS", "\tSTARTTLS", "STARTTLS\t", "STARTTLS x "});
  RunCases({{"a literal ends a line",
             {"NOOP {4+} \r\nNOOP\r\n"},
             "NO \"Space behind a literal.\"\r\nOK \"NOOP completed.\"\r\n"}},
           CreateManageSieve, Options());
  RunLegCases({{"which is never passed on",
                {{'c', "AUTHENTICATE \"PLAIN\" {4+} \r\n"}},
                "NO \"Space behind a literal.\"\r\n",
                "",
                Verdict::kContinue,
                EndReason::kNone,
                {Attack::kPlaintextAuth}}},
              CreateManageSieve, Options(/*opportunistic=*/true));
}

// --- on a plaintext leg: one space between words, but data as it is ---

const std::string kImapHello = "* OK ready\r\n";

LegCase Passed(const std::string& line, const std::string& greeting, const std::string& passed) {
  LegCase result{"[" + line + "]", {{'c', line + "\r\n"}, {'b', greeting}}, "", passed + "\r\n"};
  result.verdict = Verdict::kHold;
  return result;
}

TEST(WhiteSpace, ImapLeg) {
  std::vector<LegCase> cases;
  for (const auto& [line, passed] : std::vector<std::pair<std::string, std::string>>{
           {"a LOGIN u p  ", "a LOGIN u p"},
           {"a LOGIN  u   p", "a LOGIN u p"},
           {"a LOGIN  \"u  v\"   \"p \\\"  q \"  ", "a LOGIN \"u  v\" \"p \\\"  q \""},
           {"a AUTHENTICATE  PLAIN ", "a AUTHENTICATE PLAIN"},
           {"a LOGIN  u {4}", "a LOGIN u {4}"},
           {"a ENABLE  X   Y ", "a ENABLE X Y"},
       }) {
    cases.push_back(Passed(line, kImapHello, passed));
  }
  RunLegCases(cases, CreateImap, Options(/*opportunistic=*/true));
  RunLegCases(
      {{"what follows a literal is as sent",
        {{'c', "a LOGIN  {2+}\r\nu   \"p  q\"  \r\n"}, {'b', kImapHello}, {'b', "a NO no\r\n"}},
        "a NO no\r\n",
        "a LOGIN {2+}\r\nu   \"p  q\"  \r\n"},
       {"the list is edited as ever",
        {{'c', "a ENABLE X\r\nb CAPABILITY  \r\n"},
         {'b', kImapHello + "a BAD no\r\n* CAPABILITY A\r\nb OK done\r\n"}},
        "a BAD no\r\n* CAPABILITY A STARTTLS\r\nb OK done\r\n",
        "a ENABLE X\r\nb CAPABILITY\r\n"}},
      CreateImap, Options(/*opportunistic=*/true));
}

// RFC 1939 section 7: a password may have spaces anywhere. Dovecot also allows them in
// names.
TEST(WhiteSpace, Pop3Leg) {
  const std::string hello = "+OK ready\r\n";
  std::vector<LegCase> cases;
  for (const auto& [line, passed] : std::vector<std::pair<std::string, std::string>>{
           {"PASS p  q ", "PASS p  q "},
           {"PASS  p", "PASS  p"},
           {"USER u  v ", "USER u  v "},
           {"AUTH  PLAIN ", "AUTH PLAIN"},
           {"AUTH PLAIN   AHUAcA==  ", "AUTH PLAIN AHUAcA=="},
           {"TOP  1   2 ", "TOP 1 2"},
       }) {
    cases.push_back(Passed(line, hello, passed));
  }
  RunLegCases(cases, CreatePop3, Options(/*opportunistic=*/true));
  RunLegCases({{"the list is edited as ever",
                {{'c', "STAT\r\nCAPA  \r\n"}, {'b', hello + "-ERR no\r\n+OK\r\nUIDL\r\n.\r\n"}},
                "-ERR no\r\n+OK\r\nUIDL\r\nSTLS\r\n.\r\n",
                "STAT\r\nCAPA\r\n"}},
              CreatePop3, Options(/*opportunistic=*/true));
}

TEST(WhiteSpace, ManageSieveLeg) {
  const std::string hello = "\"SIEVE\" \"\"\r\nOK\r\n";
  std::vector<LegCase> cases;
  for (const auto& [line, passed] : std::vector<std::pair<std::string, std::string>>{
           {"LISTSCRIPTS  ", "LISTSCRIPTS"},
           {"GETSCRIPT   \"a  \\\"  b \"  ", "GETSCRIPT \"a  \\\"  b \""},
           {"AUTHENTICATE  \"PLAIN\"   \"AHUAcA==\" ", "AUTHENTICATE \"PLAIN\" \"AHUAcA==\""},
       }) {
    cases.push_back(Passed(line, hello, passed));
  }
  RunLegCases(cases, CreateManageSieve, Options(/*opportunistic=*/true));
}

}  // namespace
}  // namespace starling
