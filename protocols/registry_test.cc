#include "protocols/registry.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace starling {
namespace {

TEST(Registry, FindsEachRowByItsName) {
  std::set<std::string_view> names;
  for (const ProtocolRow& row : AllProtocols()) {
    EXPECT_EQ(FindProtocol(row.name), &row);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
  }
  EXPECT_EQ(FindProtocol(""), nullptr);
  EXPECT_EQ(FindProtocol("SMTP"), nullptr);
}

TEST(Registry, ADialogueIsThereWhereStartTlsIs) {
  for (const ProtocolRow& row : AllProtocols()) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.create != nullptr, row.has_starttls);
    EXPECT_EQ(row.starttls_port != 0, row.has_starttls);
    if (row.opportunistic) {
      EXPECT_TRUE(row.has_starttls);
    }
  }
}

const std::set<std::string_view> kAlpnRegistered = {
    "ftp",  "http", "imap",       "irc",         "managesieve",
    "nntp", "pop3", "postgresql", "xmpp-client", "xmpp-server",
};

// IANA has registered no name for SMTP, LMTP and LDAP. Their own names refuse browsers
// (ALPACA).
TEST(Registry, Alpn) {
  for (const ProtocolRow& row : AllProtocols()) {
    SCOPED_TRACE(row.name);
    const std::string_view alpn = row.name == "http" ? "http/1.1" : row.name;
    EXPECT_EQ(row.alpn, row.name == "tcp" ? "" : alpn);
    EXPECT_EQ(row.alpn_registered, kAlpnRegistered.contains(row.name));
  }
}

// In line protocols, white space after a command belongs to the next one.
TEST(Registry, XmppAloneHasWhiteSpaceBehindTheUpgrade) {
  for (const ProtocolRow& row : AllProtocols()) {
    EXPECT_EQ(row.space_after_upgrade, row.name.starts_with("xmpp-") ? 16 : 0) << row.name;
  }
}

TEST(Registry, EveryDialogueGreetsAndRefuses) {
  DialogueOptions options;
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.create == nullptr) continue;
    SCOPED_TRACE(row.name);
    alignas(std::max_align_t) unsigned char storage[kMaxNegotiatorSize];
    std::vector<uint8_t> client(kMinOutputRoom), backend(kMinOutputRoom);
    Output out{Writer(client), Writer(backend)};
    Negotiator* negotiator = row.create(storage, options);
    Step step = negotiator->OnEvent(Event{}, out);
    EXPECT_EQ(step.verdict, Verdict::kContinue);
    EXPECT_EQ(out.client.size() > 0, row.server_first);
    negotiator->~Negotiator();
    for (Refusal refusal : {Refusal::kTooBusy, Refusal::kUnavailable, Refusal::kTimeout,
                            Refusal::kShutdown, Refusal::kTlsExpected, Refusal::kPregreet}) {
      Writer said(client);
      row.refuse(refusal, options, said);
      std::string_view end = "\r\n";
      if (row.name == "ldap") end = "1.3.6.1.4.1.1466.20036";           // the notice's name
      if (row.name == "postgresql") end = std::string_view("\0\0", 2);  // an empty field
      if (row.name.starts_with("xmpp-")) end = "</stream:stream>";
      EXPECT_TRUE(AsText(said.written()).ends_with(end));
    }
  }
}

// Where the server speaks first, the gateway can tell a greeting from silence. A Telnet server may
// wait for its client's options (RFC 854), so silence proves nothing there.
TEST(Registry, AServerThatGreetsHasAReaderOfGreetings) {
  for (const ProtocolRow& row : AllProtocols()) {
    const bool greets = row.server_first && row.name != "telnet";
    EXPECT_EQ(row.read_greeting != nullptr, greets) << row.name;
  }
}

// A probe has something to say to a server that waits for it; `tcp` is anything.
TEST(Registry, AServerThatWaitsIsAskedSomething) {
  DialogueOptions options;
  for (const ProtocolRow& row : AllProtocols()) {
    SCOPED_TRACE(row.name);
    const bool asked = !row.server_first && row.name != "tcp";
    EXPECT_EQ(row.first_words != nullptr, asked);
    if (!asked) continue;
    std::vector<uint8_t> words(kMinOutputRoom);
    Writer out(words);
    row.first_words(options, out);
    EXPECT_GT(out.size(), 0u);
  }
}

// "| `smtp` | 25, 465 (and 587) | require, opportunistic |", up to the third column.
std::string ReadmeRow(const ProtocolRow& row) {
  const auto port = [](uint16_t number) { return number == 0 ? "-" : std::to_string(number); };
  return "| `" + std::string(row.name) + "` | " + port(row.starttls_port) + ", " +
         port(row.implicit_port) + " | " +
         (row.opportunistic ? "require, opportunistic" : "require") + " |";
}

// The table has other ports in parentheses.
std::string WithoutParentheses(std::string line) {
  const size_t begin = line.find(" (");
  const size_t end = line.find(')');
  if (begin != std::string::npos && end != std::string::npos) line.erase(begin, end + 1 - begin);
  return line;
}

TEST(Registry, TheReadmeHasEachProtocolAsItIs) {
  std::ifstream readme("README.md");
  ASSERT_TRUE(readme);
  std::set<std::string> rows;
  for (std::string line; std::getline(readme, line);) {
    if (!line.starts_with("| `")) continue;
    line = WithoutParentheses(line);
    const size_t policies = line.find(" | ", line.find(" | ") + 3) + 3;
    rows.insert(line.substr(0, line.find(" |", policies) + 2));
  }
  for (const ProtocolRow& row : AllProtocols()) {
    if (!row.has_starttls) continue;
    EXPECT_TRUE(rows.contains(ReadmeRow(row))) << ReadmeRow(row);
  }
}

// The warnings about a configuration come from these.
TEST(Registry, TraitsFitTogether) {
  for (const ProtocolRow& row : AllProtocols()) {
    const bool is_public = row.public_port.number != 0;
    EXPECT_EQ(is_public, !row.public_port.why_not_require.empty()) << row.name;
    EXPECT_TRUE(!is_public || (row.opportunistic && row.has_starttls)) << row.name;
    EXPECT_TRUE(row.server.anyone_can.empty() || row.server.log_in == ServerTraits::LogIn::kNever)
        << row.name;
  }
}

}  // namespace
}  // namespace starling
