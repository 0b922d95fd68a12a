// The preamble on the fresh leg: what the backend says first, behind the upgrade, and what
// the client gets of it. One table of the protocols whose backends greet.
//
// Not for: what follows the greeting where a dialogue stays (FTP, IRC), or backends that say
// nothing first (HTTP, LDAP, PostgreSQL, Telnet, XMPP).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/registry.h"

namespace starling {
namespace {

struct Case {
  std::string name;
  std::string backend;  // its first octets on the fresh leg
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::string said = {};  // to the client
  std::string left = {};  // of the backend's octets
  std::vector<Attack> attacks = {};
};

Case Refused(const std::string& name, const std::string& refusal) {
  return {name, refusal, Verdict::kClose, EndReason::kBackendRefused, refusal};
}

struct Protocol {
  std::string name;
  std::string upgrade;   // all that the client sends before TLS
  std::string greeting;  // whole
  std::string half;      // of one, of which nothing can be said yet
  std::string next;      // what a backend may say behind it
  std::string refusal;
  std::string foreign;         // another protocol's greeting
  std::string broken;          // what the client is told then
  bool passes = false;         // the client gets the greeting, for it is the second one
  char endless = 0;            // a line of this without end is no greeting; 0: it may be one
  std::string asked = {};      // of the backend, by a command that is said again
  std::vector<Case> own = {};  // what this protocol alone has

  Case Foreign(const std::string& what, const std::string& octets) const {
    return {what, octets, Verdict::kClose, EndReason::kBackendProtocol, broken};
  }
  std::vector<Case> Cases() const {
    const std::string passed = passes ? greeting : "";
    std::vector<Case> cases = {
        {"greeting", greeting, Verdict::kRelay, EndReason::kNone, "", passed},
        {"and no more than that", greeting + next, Verdict::kRelay, EndReason::kNone, "",
         passed + next},
        {"half of one", half, Verdict::kHold, EndReason::kNone, "", half},
        Refused("refusal", refusal),
        Foreign("another protocol", foreign)};
    if (endless != 0) cases.push_back(Foreign("endless", std::string(5000, endless)));
    cases.insert(cases.end(), own.begin(), own.end());
    return cases;
  }
};

Protocol Mail(const std::string& name, const std::string& hello) {
  Protocol mail{.name = name,
                .upgrade = hello + " x\r\nSTARTTLS\r\n",
                .greeting = "220 postfix\r\n",
                .half = "220 postfix\r",
                .next = "250 x\r\n",
                .refusal = "554 no\r\n",
                .foreign = "SSH-2.0-x\r\n",
                .broken = "421 4.3.2 mail.example Service not available, try again later\r\n",
                .endless = '2'};
  mail.own = {
      {"many lines", "220-one\r\n220-two\r\n220 three\r\n", Verdict::kRelay},
      {"without text", "220\r\n", Verdict::kRelay},
      Refused("refusal of many lines", "421-a\r\n421 b\r\n"),
      {"teaser, then refusal", "220-wait\r\n521 no\r\n", Verdict::kClose,
       EndReason::kBackendRefused, "521 no\r\n"},
      {"bare LF", "220 x\n", Verdict::kRelay},
      {"refusal with a bare LF", "554 no\n", Verdict::kClose, EndReason::kBackendRefused,
       "554 no\r\n"},
      mail.Foreign("bare CR", "220 x\ry\r\n"),
      {"long line", "220 " + std::string(1024, 'x') + "\r\n", Verdict::kRelay},
  };
  return mail;
}

Protocol Pop3() {
  return {
      .name = "pop3",
      .upgrade = "STLS\r\n",
      .greeting = "+OK Dovecot ready.\r\n",
      .half = "+OK Dovecot",
      .next = "+OK\r\n",
      .refusal = "-ERR [SYS/TEMP] busy\r\n",
      .foreign = "* OK IMAP\r\n",
      .broken = "-ERR Server broken, try again later\r\n",
      .endless = '+',
      .own = {{"without text", "+OK\r\n", Verdict::kRelay},
              {"longest refusal, bare LF", "-ERR " + std::string(2041, 'x') + "\n", Verdict::kClose,
               EndReason::kBackendRefused, "-ERR " + std::string(2041, 'x') + "\r\n"}}};
}

Protocol Imap() {
  Protocol imap{.name = "imap",
                .upgrade = "a STARTTLS\r\n",
                .greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] Dovecot ready.\r\n",
                .half = "* OK Dovecot",
                .next = "* 1 EXISTS\r\n",
                .refusal = "* BYE Too many users\r\n",
                .foreign = "220 mx ESMTP\r\n",
                .broken = "* BYE Server broken, try again later\r\n",
                .endless = '*'};
  imap.own = {{"in small letters", "* ok\r\n", Verdict::kRelay},
              {"already authenticated",
               "* PREAUTH hello\r\n",
               Verdict::kClose,
               EndReason::kBackendPreauth,
               imap.broken,
               "",
               {Attack::kPreauth}},
              imap.Foreign("NUL", std::string("* OK \0\r\n", 8))};
  return imap;
}

Protocol ManageSieve() {
  const std::string literal = "BYE {4}\r\nbusy\r\n";
  const std::string long_line = "\"X\" \"" + std::string(5000, 'y');
  return {.name = "managesieve",
          .upgrade = "STARTTLS\r\n",
          .greeting = "\"IMPLEMENTATION\" \"Dovecot\"\r\n\"SASL\" \"PLAIN\"\r\nOK \"x\"\r\n",
          .half = "\"IMPLEM",
          .next = "OK\r\n",
          .refusal = "BYE \"busy\"\r\n",
          .foreign = "* OK IMAP\r\n",
          .broken = "BYE \"Server broken, try again later\"\r\n",
          .passes = true,
          .own = {{"refusal by a literal", literal, Verdict::kRelay, EndReason::kNone, "", literal},
                  {"long line", long_line, Verdict::kRelay, EndReason::kNone, "", long_line}}};
}

Protocol Acap() {
  const std::string literal = "* BYE {4}\r\nbusy\r\n";
  return {
      .name = "acap",
      .upgrade = "a STARTTLS\r\n",
      .greeting = "* ACAP (IMPLEMENTATION \"x\") (SASL \"CRAM-MD5\")\r\n",
      .half = "* ACAP (IMPL",
      .next = "* ALERT \"x\"\r\n",
      .refusal = "* BYE (TRYLATER) \"busy\"\r\n",
      .foreign = "220 mx ESMTP\r\n",
      .broken = "* BYE \"Server broken, try again later\"\r\n",
      .passes = true,
      .endless = '*',
      .own = {{"refusal by a literal", literal, Verdict::kRelay, EndReason::kNone, "", literal}}};
}

Protocol Nntp() {
  return {.name = "nntp",
          .upgrade = "STARTTLS\r\n",
          .greeting = "200 news InterNetNews ready\r\n",
          .half = "200 Inter",
          .next = "111 20261128101010\r\n",
          .refusal = "502 You have no permission to talk\r\n",
          .foreign = "2000 x\r\n",
          .broken = "400 Server broken, try again later\r\n",
          .endless = '2',
          .own = {{"no posting", "201 news ready\r\n", Verdict::kRelay},
                  {"without text", "200\r\n", Verdict::kRelay},
                  Refused("busy", "400 load\r\n")}};
}

// Such a backend says a second greeting when it has switched.
Protocol NntpAfterModeReader() {
  Protocol nntp = Nntp();
  nntp.upgrade = "MODE READER\r\nSTARTTLS\r\n";
  nntp.greeting = "200 innd ready\r\n200 nnrpd ready\r\n";
  nntp.asked = "MODE READER\r\n";
  nntp.own = {{"no posting", "201 innd ready\r\n201 nnrpd ready\r\n", Verdict::kRelay},
              {"not answered yet", "200 innd ready\r\n", Verdict::kHold},
              {"refused", "200 innd ready\r\n502 Transit only\r\n", Verdict::kClose,
               EndReason::kBackendRefused, "502 Transit only\r\n"},
              {"endless answer",
               "200 a\r\n" + std::string(5000, '2'),
               Verdict::kClose,
               EndReason::kBackendProtocol,
               nntp.broken,
               "",
               {Attack::kBackendInjection}}};
  return nntp;
}

class Preamble : public testing::TestWithParam<Protocol> {};

TEST_P(Preamble, GivesTheClientOneGreeting) {
  const Protocol& protocol = GetParam();
  DialogueOptions options;
  options.hostname = "mail.example";
  for (const Case& c : protocol.Cases()) {
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{3}, size_t{5}}) {
      SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
      DialogueDriver driver(FindProtocol(protocol.name)->create, options);
      driver.Raise(EventKind::kStart);
      driver.Client(protocol.upgrade);
      ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
      driver.TakeToClient();
      driver.EnterTls();
      driver.Client("octets inside TLS");
      EXPECT_EQ(driver.verdict(), Verdict::kHold);
      driver.Backend(c.backend, piece);
      EXPECT_EQ(driver.verdict(), c.verdict);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      EXPECT_EQ(driver.TakeToClient(), c.said);
      EXPECT_EQ(driver.client_left(), "octets inside TLS");
      if (c.verdict != Verdict::kClose) {
        EXPECT_EQ(driver.backend_left(), c.left);
      }
      // Nothing of the dialogue before TLS reaches the fresh leg but what must be said again.
      const std::string asked = driver.TakeToBackend();
      EXPECT_EQ(asked, c.verdict == Verdict::kRelay || !asked.empty() ? protocol.asked : "");
      Step expected;
      for (const Attack attack : c.attacks) expected.Note(attack);
      EXPECT_EQ(driver.attacks(), expected.attacks);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, Preamble,
                         testing::Values(Mail("smtp", "EHLO"), Mail("lmtp", "LHLO"), Pop3(), Imap(),
                                         ManageSieve(), Acap(), Nntp(), NntpAfterModeReader()),
                         [](const auto& info) {
                           return info.param.name + (info.param.asked.empty() ? "" : "_switched");
                         });

}  // namespace
}  // namespace starling
