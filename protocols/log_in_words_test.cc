// Every way to write a log-in before TLS, in every line protocol. The gateway refuses it in
// the words that say what is missing, and counts it, whatever the form of its arguments. It
// reads what the client says next as a command again. Also every way in which a line can
// fail to be a command: the gateway tells the client which.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/acap/acap.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/ftp/ftp.h"
#include "protocols/imap/imap.h"
#include "protocols/irc/irc.h"
#include "protocols/managesieve/managesieve.h"
#include "protocols/nntp/nntp.h"
#include "protocols/pop3/pop3.h"
#include "protocols/smtp/smtp.h"

namespace starling {
namespace {

using namespace std::string_literals;

struct Protocol {
  const char* name;
  DialogueDriver::Create create;
  std::string offer;  // the client's first command, which shows it the offer
  std::string refused;
  std::vector<std::string> log_ins;
  std::string next, answer;  // the command after it
  std::string verb;          // begins a line with a fault
  std::string bye, end;      // around the words of a goodbye
};

const std::vector<Protocol>& Protocols() {
  static const std::vector<Protocol> all = {
      {"smtp",
       CreateSmtp,
       "EHLO x\r\n",
       "538 5.7.11 Encryption required for requested authentication mechanism\r\n",
       {"AUTH PLAIN AHUAcA==\r\n", "AUTH PLAIN\r\n", "AUTH LOGIN\r\n", "AUTH LOGIN dQ==\r\n",
        "AUTH CRAM-MD5\r\n", "AUTH EXTERNAL =\r\n", "AUTH\r\n", "auth plain =\r\n",
        "AUTH  PLAIN  AHUAcA==\r\n"},
       "NOOP\r\n",
       "250 2.0.0 Ok\r\n",
       "NOOP",
       "500 5.5.2 ",
       ", goodbye\r\n"},
      {"lmtp",
       CreateLmtp,
       "LHLO x\r\n",
       "538 5.7.11 Encryption required for requested authentication mechanism\r\n",
       {"AUTH PLAIN AHUAcA==\r\n", "AUTH LOGIN\r\n"},
       "FOO\r\n",
       "530 5.7.0 Must issue a STARTTLS command first\r\n",
       "NOOP",
       "500 5.5.2 ",
       ", goodbye\r\n"},
      {"imap",
       CreateImap,
       "",
       "a NO [PRIVACYREQUIRED] Use STARTTLS first\r\n",
       {"a LOGIN u p\r\n",
        "a login \"u\" \"p\"\r\n",
        "a LOGIN \"u u\" \"p\\\"\"\r\n",
        "a LOGIN\r\n",
        "a LOGIN {1}\r\n",
        "a LOGIN {0}\r\n",
        "a LOGIN {99999}\r\n",
        "a LOGIN u {1}\r\n",
        "a LOGIN \"u\" {1}\r\n",
        "a LOGIN {1+}\r\nu p\r\n",
        "a LOGIN {1+}\r\nu {1+}\r\np\r\n",
        "a LOGIN {1+}\r\nu {1}\r\n",
        "a LOGIN \"u\" {1+}\r\np\r\n",
        "a LOGIN u {0+}\r\n\r\n",
        "a LOGIN {12+}\r\na STARTTLS\r\n p\r\n",
        "a AUTHENTICATE PLAIN\r\n",
        "a AUTHENTICATE PLAIN AHUAcA==\r\n",
        "a AUTHENTICATE PLAIN =\r\n",
        "a authenticate plain {8}\r\n",
        "a AUTHENTICATE PLAIN {8+}\r\nAHUAcA==\r\n",
        "a AUTHENTICATE {5}\r\n",
        "a AUTHENTICATE {5+}\r\nPLAIN\r\n",
        "a AUTHENTICATE \"PLAIN\"\r\n",
        "a AUTHENTICATE SCRAM-SHA-256 {4+}\r\nbiws\r\n"},
       "b NOOP\r\n",
       "b OK NOOP completed\r\n",
       "a NOOP",
       "* BYE ",
       "\r\n"},
      {"pop3",
       CreatePop3,
       "CAPA\r\n",
       "-ERR [SYS/PERM] TLS required, use STLS\r\n",
       {"USER u\r\n", "user u\r\n", "USER\r\n", "PASS p\r\n", "PASS p p\r\n",
        "APOP u 0123456789abcdef0123456789abcdef\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN AHUAcA==\r\n",
        "AUTH PLAIN =\r\n", "auth login\r\n", "AUTH CRAM-MD5\r\n"},
       "FOO\r\n",
       "-ERR Command not accepted before STLS\r\n",
       "NOOP",
       "-ERR ",
       "\r\n"},
      {"managesieve",
       CreateManageSieve,
       "",
       "NO (ENCRYPT-NEEDED) \"Use STARTTLS first.\"\r\n",
       {"AUTHENTICATE \"PLAIN\"\r\n", "AUTHENTICATE \"PLAIN\" \"AHUAcA==\"\r\n",
        "AUTHENTICATE \"PLAIN\" {8+}\r\nAHUAcA==\r\n", "AUTHENTICATE \"PLAIN\" {8}\r\n",
        "AUTHENTICATE {5+}\r\nPLAIN {8+}\r\nAHUAcA==\r\n", "AUTHENTICATE {5+}\r\nPLAIN\r\n",
        "AUTHENTICATE {5}\r\n", "AUTHENTICATE\r\n", "authenticate \"login\"\r\n",
        "AUTHENTICATE \"PLAIN\" {10+}\r\nSTARTTLS\r\n\r\n"},
       "NOOP\r\n",
       "OK \"NOOP completed.\"\r\n",
       "NOOP",
       "BYE \"",
       "\"\r\n"},
      {"acap",
       CreateAcap,
       "",
       "a NO (ENCRYPT-NEEDED) \"Use STARTTLS first\"\r\n",
       {"a AUTHENTICATE \"PLAIN\"\r\n", "a AUTHENTICATE \"PLAIN\" \"AHUAcA==\"\r\n",
        "a AUTHENTICATE \"PLAIN\" {8+}\r\nAHUAcA==\r\n", "a AUTHENTICATE \"PLAIN\" {8}\r\n",
        "a AUTHENTICATE {5+}\r\nPLAIN {8+}\r\nAHUAcA==\r\n", "a AUTHENTICATE {5}\r\n",
        "a authenticate\r\n"},
       "b NOOP\r\n",
       "b OK \"NOOP completed\"\r\n",
       "a NOOP",
       "* BYE \"",
       "\"\r\n"},
      {"nntp",
       CreateNntp,
       "CAPABILITIES\r\n",
       "483 Use STARTTLS first\r\n",
       {"AUTHINFO USER u\r\n", "AUTHINFO PASS p\r\n", "authinfo user u\r\n",
        "AUTHINFO SASL PLAIN\r\n", "AUTHINFO SASL PLAIN AHUAcA==\r\n", "AUTHINFO SASL PLAIN =\r\n",
        "AUTHINFO GENERIC x\r\n", "AUTHINFO SIMPLE\r\n", "AUTHINFO\r\n"},
       "FOO\r\n",
       "500 Unknown command\r\n",
       "HELP",
       "400 ",
       "\r\n"},
      {"irc",
       CreateIrc,
       "CAP LS\r\n",
       ":localhost 451 * :You have not registered, use STARTTLS first\r\n",
       {"PASS p\r\n", "PASS :p p\r\n", "OPER u p\r\n", "AUTHENTICATE PLAIN\r\n",
        "AUTHENTICATE AHUAcA==\r\n", "pass p\r\n"},
       "PING x\r\n",
       ":localhost PONG localhost :x\r\n",
       "PING x",
       "ERROR :",
       "\r\n"},
      {"ftp",
       CreateFtp,
       "FEAT\r\n",
       "530 AUTH TLS first\r\n",
       {"USER u\r\n", "PASS p\r\n", "ACCT a\r\n", "user u\r\n"},
       "NOOP\r\n",
       "200 OK\r\n",
       "NOOP",
       "421 ",
       "\r\n"},
  };
  return all;
}

constexpr size_t kPieces[] = {std::string::npos, 1, 3};

TEST(LogInWords, SayThatTlsIsMissing) {
  for (const Protocol& p : Protocols()) {
    for (Policy policy : {Policy::kRequire, Policy::kOpportunistic}) {
      for (const std::string& log_in : p.log_ins) {
        for (size_t piece : kPieces) {
          SCOPED_TRACE(p.name + ": "s + log_in);
          DialogueOptions options;
          options.policy = policy;
          DialogueDriver play(p.create, options, piece);
          play.Raise(EventKind::kStart);
          play.Client(p.offer);
          play.TakeToClient();
          play.Client(log_in);
          EXPECT_EQ(play.TakeToClient(), p.refused);
          Step noted;
          noted.Note(Attack::kPlaintextAuth);
          noted.Note(Signal::kNotTaken);
          EXPECT_EQ(play.attacks(), noted.attacks);
          EXPECT_EQ(play.signals(), noted.signals);
          EXPECT_EQ(play.verdict(), Verdict::kContinue);
          if (policy == Policy::kOpportunistic) continue;
          play.Client(p.next);
          EXPECT_EQ(play.TakeToClient(), p.answer);
        }
      }
    }
  }
}

TEST(LogInWords, SayWhatIsWrongWithALine) {
  const struct {
    std::string octets;
    const char* said;
    EndReason reason;
  } faults[] = {
      {"\n", "Bare <LF> received", EndReason::kBadOctet},
      {"\rx\r\n", "Bare <CR> received", EndReason::kBadOctet},
      {"\r\r\n", "Bare <CR> received", EndReason::kBadOctet},
      {"\0\r\n"s, "NUL received", EndReason::kBadOctet},
      {std::string(9000, 'x'), "Line too long", EndReason::kLineTooLong},
      {std::string(9000, 'x') + "\r\n", "Line too long", EndReason::kLineTooLong},
  };
  for (const Protocol& p : Protocols()) {
    for (size_t piece : kPieces) {
      auto check = [&](const std::string& octets, const std::string& said, EndReason reason) {
        SCOPED_TRACE(p.name + ": "s + said);
        DialogueOptions options;
        DialogueDriver play(p.create, options, piece);
        play.Raise(EventKind::kStart);
        play.TakeToClient();
        play.Client(octets);
        EXPECT_EQ(play.TakeToClient(), p.bye + said + p.end);
        EXPECT_EQ(Label(play.reason()), Label(reason));
        Step noted;
        noted.Note(reason == EndReason::kBadOctet ? Attack::kBadOctet : Attack::kOverlongLine);
        EXPECT_EQ(play.attacks(), noted.attacks);
      };
      for (const auto& fault : faults) check(p.verb + fault.octets, fault.said, fault.reason);
      check("\xc3\xa4 x\r\n", "8-bit octet in a command", EndReason::kBadOctet);
    }
  }
}

// The same on a plaintext leg, where the gateway does not pass the client's own line on.
TEST(LogInWords, SayWhatIsWrongOnALegToo) {
  const struct {
    DialogueDriver::Create create;
    std::string opens, hello, no, bye, end;
  } legs[] = {
      {CreateSmtp, "VRFY a\r\n", "220 b\r\n", "550 no\r\n", "500 5.5.2 ", ", goodbye\r\n"},
      {CreateLmtp, "VRFY a\r\n", "220 b\r\n", "550 no\r\n", "500 5.5.2 ", ", goodbye\r\n"},
      {CreateImap, "a X\r\n", "* OK\r\n", "a BAD no\r\n", "* BYE ", "\r\n"},
      {CreatePop3, "STAT\r\n", "+OK\r\n", "-ERR no\r\n", "-ERR ", "\r\n"},
      {CreateManageSieve, "LISTSCRIPTS\r\n", "OK\r\n", "NO\r\n", "BYE \"", "\"\r\n"},
  };
  for (const auto& leg : legs) {
    for (const auto& [octets, said] : {std::pair{"NOOP\n"s, "Bare <LF> received"s},
                                       {"NO\rOP\r\n"s, "Bare <CR> received"s},
                                       {"NO\0OP\r\n"s, "NUL received"s},
                                       {std::string(9000, 'x'), "Line too long"s},
                                       {"\xc3\xa4\r\n"s, "8-bit octet in a command"s}}) {
      for (size_t piece : kPieces) {
        SCOPED_TRACE(leg.opens + said);
        DialogueOptions options;
        options.policy = Policy::kOpportunistic;
        DialogueDriver play(leg.create, options, piece);
        play.Raise(EventKind::kStart);
        play.Client(leg.opens);
        play.Raise(EventKind::kLegUp);
        play.Backend(leg.hello);
        play.Backend(leg.no);
        play.TakeToClient();
        play.TakeToBackend();
        play.Client(octets);
        EXPECT_EQ(play.TakeToClient(), leg.bye + said + leg.end);
        EXPECT_EQ(play.TakeToBackend(), "");
      }
    }
  }
}

}  // namespace
}  // namespace starling
