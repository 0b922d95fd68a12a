// The deadlines before the relay, in every protocol: which commands give a client more
// time, and what the gateway tells it when that time is over.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/registry.h"

namespace starling {
namespace {

using namespace std::string_literals;

// Each protocol has a row with what its reply must contain. The reply may have other octets
// too.
struct Words {
  std::string protocol;
  std::string no_command, silence, total, crowded, idle;
};

const std::string kNoCommand = "No command received in time";
const std::string kSilence = "Disconnected for inactivity";
const std::string kTotal = "TLS was not started in time";
const std::string kCrowded = "Server busy and TLS not started in time, try again later";

Words Coded(const std::string& protocol, const std::string& begin, const std::string& busy,
            const std::string& end = "\r\n") {
  return {protocol,
          begin + kNoCommand + end,
          begin + kSilence + end,
          begin + kTotal + end,
          busy + kCrowded + end,
          begin + kSilence + end};
}

std::vector<Words> Table() {
  std::vector<Words> table = {
      Coded("imap", "* BYE ", "* BYE [UNAVAILABLE] "),
      Coded("pop3", "-ERR ", "-ERR [SYS/TEMP] "),
      Coded("managesieve", "BYE \"", "BYE (TRYLATER) \"", ".\"\r\n"),
      Coded("nntp", "400 ", "400 "),
      Coded("acap", "* BYE \"", "* BYE (TRYLATER) \"", "\"\r\n"),
      Coded("telnet", "\r\n", "\r\n"),
      Coded("ftp", "421 ", "421 "),
      Coded("ldap", "\x0a\x01\x34\x04\x00\x04\x1b"s, "\x0a\x01\x34\x04\x00\x04\x38"s, "\x8a"),
      Coded("xmpp-client", "<connection-timeout ", "<resource-constraint ", ""),
      Coded("xmpp-server", "<connection-timeout ", "<resource-constraint ", ""),
      {"postgresql", "C57P05\0Mno request received in time"s,
       "C57P05\0Mterminating connection due to inactivity"s,
       "C57P05\0MTLS was not started in time"s,
       "C53300\0Mserver busy and TLS not started in time, try again later"s,
       "C57P05\0Mterminating connection due to inactivity"s},
      {"irc", "ERROR :Closing link: no command received in time\r\n",
       "ERROR :Closing link: registration timed out\r\n",
       "ERROR :Closing link: TLS was not started in time\r\n",
       "ERROR :Closing link: server busy and TLS not started in time, try again later\r\n",
       "ERROR :Closing link: registration timed out\r\n"},
  };
  for (const char* mail : {"smtp", "lmtp"}) {
    Words words = Coded(mail, "421 4.4.2 localhost ", "421 4.3.2 localhost ");
    words.silence = words.idle = "421 4.4.2 localhost Timeout, closing connection\r\n";
    table.push_back(words);
  }
  return table;
}

// XMPP has the text in its own element. LDAP has the length of a text before it.
bool Holds(const std::string& said, const Words& words, const std::string& expected) {
  if (words.protocol.starts_with("xmpp")) {
    const size_t space = expected.find(' ') + 1;
    return said.find(expected.substr(0, space)) != std::string::npos &&
           said.find(">" + expected.substr(space) + "</text>") != std::string::npos;
  }
  if (words.protocol == "ldap") return said.find(expected.substr(7)) != std::string::npos;
  return said.find(expected) != std::string::npos;
}

TEST(DeadlineWords, SayWhichDeadlineItWas) {
  // HTTP only answers requests, and tcp says nothing. See below.
  std::set<std::string_view> tried = {"http", "tcp"};
  for (Words words : Table()) {
    if (words.protocol == "ftp") {
      words.silence = words.idle = "421 Timeout, closing control connection\r\n";
    }
    const ProtocolRow& row = *FindProtocol(words.protocol);
    const std::pair<EndReason, std::string> cases[] = {
        {EndReason::kPreRelayDeadline, words.no_command},
        {EndReason::kPreRelaySilence, words.silence},
        {EndReason::kPreRelayTotal, words.total},
        {EndReason::kPreRelayCrowded, words.crowded},
        {EndReason::kIdleDeadline, words.idle}};
    for (const auto& [reason, expected] : cases) {
      SCOPED_TRACE(words.protocol + ", " + std::string(Label(reason)));
      const DialogueOptions options;
      DialogueDriver driver(row.create, options);
      driver.Raise(EventKind::kStart);
      driver.TakeToClient();
      Event event;
      event.kind = EventKind::kDeadline;
      event.deadline = reason;
      driver.Raise(event);
      const std::string said = driver.TakeToClient();
      EXPECT_TRUE(Holds(said, words, expected)) << said;
      EXPECT_EQ(driver.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(driver.reason()), Label(reason));
    }
    tried.insert(row.name);
  }
  for (const ProtocolRow& row : AllProtocols()) {
    EXPECT_TRUE(tried.contains(row.name)) << "the table has no row for " << row.name;
  }
}

TEST(DeadlineWords, OfHttpAreAnAnswer) {
  const struct {
    EndReason reason;
    std::string status;
  } table[] = {{EndReason::kPreRelayDeadline, "408 Request Timeout"},
               {EndReason::kPreRelaySilence, "408 Request Timeout"},
               {EndReason::kPreRelayTotal, "408 Request Timeout"},
               {EndReason::kPreRelayCrowded, "503 Service Unavailable"}};
  for (const auto& row : table) {
    const DialogueOptions options;
    DialogueDriver driver(FindProtocol("http")->create, options);
    driver.Raise(EventKind::kStart);
    driver.Client("GET / HT");
    Event event;
    event.kind = EventKind::kDeadline;
    event.deadline = row.reason;
    driver.Raise(event);
    EXPECT_TRUE(driver.TakeToClient().starts_with("HTTP/1.1 " + row.status));
    EXPECT_EQ(Label(driver.reason()), Label(row.reason));
  }
}

// A client that has given a known command gets more time. Noise gives it none.
TEST(Commands, AreUnderstoodOrNoise) {
  const std::string ldap_abandon = "\x30\x06\x02\x01\x01\x50\x01\x07"s;
  const std::string naws = "\xff\xfb\x1f";
  const std::string gss = "\0\0\0\x08\x04\xd2\x16\x30"s;
  const std::string header =
      "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
      "version='1.0'>";
  const struct {
    std::string protocol;
    std::vector<std::string> commands, noise;
  } table[] = {
      {"smtp",
       {"EHLO a\r\n", "HELO a\r\n", "NOOP\r\n", "RSET\r\n", "MAIL FROM:<>\r\n", "AUTH PLAIN\r\n"},
       {"", "NO", "\r\n", "XYZZY\r\n", "EHLOA\r\n"}},
      {"lmtp", {"LHLO a\r\n", "NOOP\r\n"}, {"FOO\r\n"}},
      {"imap",
       {"a NOOP\r\n", "a CAPABILITY\r\n", "a LOGIN u p\r\n", "a ID NIL\r\n"},
       {"a", "\r\n", "a XYZZY\r\n", "( NOOP\r\n"}},
      {"pop3", {"CAPA\r\n", "USER u\r\n", "STAT\r\n", "NOOP\r\n"}, {"CAPA", "\r\n", "XYZZY\r\n"}},
      {"managesieve",
       {"CAPABILITY\r\n", "NOOP\r\n", "AUTHENTICATE \"PLAIN\"\r\n"},
       {"NOOP", "\r\n", "XYZZY\r\n"}},
      {"nntp",
       {"CAPABILITIES\r\n", "MODE READER\r\n", "HELP\r\n", "GROUP a\r\n"},
       {"HELP", "\r\n", "XYZZY\r\n"}},
      {"acap",
       {"a NOOP\r\n", "a AUTHENTICATE \"PLAIN\"\r\n"},
       {"a", "\r\n", "a XYZZY\r\n", "( NOOP\r\n"}},
      {"irc",
       {"CAP LS\r\n", "NICK a\r\n", "USER a 0 * :a\r\n", "PING a\r\n"},
       {"NICK a", "\r\n", "XYZZY\r\n"}},
      {"ftp",
       {"FEAT\r\n", "NOOP\r\n", "USER u\r\n", "PBSZ 0\r\n", "SYST\r\n"},
       {"FEAT", "\r\n", "XYZZY\r\n"}},
      {"ldap", {ldap_abandon}, {ldap_abandon.substr(0, 7)}},
      {"telnet", {naws}, {"", "root\r\n", naws.substr(0, 2), "\xff\xf1"}},
      {"postgresql", {gss}, {gss.substr(0, 7)}},
      {"xmpp-client", {header}, {"", " \r\n", header.substr(0, 30)}},
  };
  for (const auto& row : table) {
    for (const size_t piece : {std::string::npos, size_t{1}}) {
      const auto understood = [&](const std::string& octets) {
        const DialogueOptions options;
        DialogueDriver driver(FindProtocol(row.protocol)->create, options);
        driver.Start(/*random=*/1);
        EXPECT_FALSE(driver.TakeUnderstood());
        driver.Client(octets, piece);
        return driver.TakeUnderstood();
      };
      for (const std::string& command : row.commands) {
        EXPECT_TRUE(understood(command)) << row.protocol << ": " << command;
      }
      for (const std::string& noise : row.noise) {
        EXPECT_FALSE(understood(noise)) << row.protocol << ": " << noise;
      }
    }
  }
}

// A command counts, even if noise follows it.
TEST(Commands, AreUnderstoodWhateverStandsBesideThem) {
  const DialogueOptions options;
  DialogueDriver driver(FindProtocol("imap")->create, options);
  driver.Raise(EventKind::kStart);
  driver.Client("a XYZZY\r\nb NOOP\r\nc XYZZY\r\n");
  EXPECT_TRUE(driver.TakeUnderstood());
  driver.Client("d XYZZY\r\n");
  EXPECT_FALSE(driver.TakeUnderstood());
}

// No line of an article counts as a command, whatever it says.
TEST(Commands, AreNotUnderstoodInAnArticle) {
  const DialogueOptions options;
  DialogueDriver driver(FindProtocol("nntp")->create, options);
  driver.Raise(EventKind::kStart);
  driver.Client("TAKETHIS <a@b>\r\n");
  EXPECT_TRUE(driver.TakeUnderstood());
  driver.Client("HELP\r\n");
  EXPECT_FALSE(driver.TakeUnderstood());
  driver.Client(".\r\nHELP\r\n");
  EXPECT_TRUE(driver.TakeUnderstood());
}

}  // namespace
}  // namespace starling
