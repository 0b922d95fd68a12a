// What a server says where it must not, in every protocol: the session ends, the client sees
// nothing of it, and it counts as an injection by one rule (protocols/README.md).
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

constexpr size_t kPieces[] = {std::string::npos, 1};

// --- no leg is open ---

struct Upgrade {
  std::string protocol;
  std::string octets;  // what a client sends for it
};

std::vector<Upgrade> Upgrades() {
  const auto xmpp = [](const std::string& space) {
    return "<stream:stream xmlns='jabber:" + space +
           "' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
           "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
  };
  const std::string oid = "1.3.6.1.4.1.1466.20037";
  return {
      {"smtp", "STARTTLS\r\n"},
      {"lmtp", "STARTTLS\r\n"},
      {"imap", "a STARTTLS\r\n"},
      {"pop3", "STLS\r\n"},
      {"managesieve", "STARTTLS\r\n"},
      {"nntp", "STARTTLS\r\n"},
      {"acap", "a STARTTLS\r\n"},
      {"irc", "STARTTLS\r\n"},
      {"ftp", "AUTH TLS\r\n"},
      {"ldap", "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + oid},
      {"http", "OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"},
      {"telnet", "\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0"},
      {"postgresql", "\0\0\0\x08\x04\xd2\x16\x2f"s},
      {"xmpp-client", xmpp("client")},
      {"xmpp-server", xmpp("server")},
  };
}

TEST(Misplaced, WithoutALegAllOctetsCount) {
  std::set<std::string_view> tried;
  for (const Upgrade& upgrade : Upgrades()) {
    const ProtocolRow& row = *FindProtocol(upgrade.protocol);
    tried.insert(row.name);
    for (const bool upgraded : {false, true}) {
      for (const std::string& said : {"x"s, "\0"s, "250 ok\r\n"s, "* OK\r\n"s}) {
        SCOPED_TRACE(upgrade.protocol + (upgraded ? ", behind the go-ahead" : ", before it"));
        const DialogueOptions options;
        DialogueDriver driver(row.create, options);
        driver.Start(/*random=*/1);
        if (upgraded) {
          driver.Client(upgrade.octets);
          ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
          driver.Raise(EventKind::kUpgraded);
        }
        driver.TakeToClient();
        driver.BackendWithoutLeg(said);
        EXPECT_EQ(driver.verdict(), Verdict::kClose);
        EXPECT_EQ(Label(driver.reason()), Label(EndReason::kBackendProtocol));
        EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
        EXPECT_EQ(driver.TakeToClient().find("250 ok"), std::string::npos);
      }
    }
  }
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.create != nullptr) {
      EXPECT_TRUE(tried.contains(row.name)) << "the table has no row for " << row.name;
    }
  }
}

// --- on a leg ---

// A server with which the dialogue speaks: in plaintext, or FTP's inside TLS.
struct Leg {
  std::string protocol;
  std::string opens;     // the client's command at which the leg opens
  std::string greeting;  // a good one
  std::string reply;     // to that command
  // Wrong in place of the greeting; what may not come unasked; what is no reply to the command.
  std::vector<std::string> greetings, unasked, replies;
  // What may come unasked, and does not end the session.
  std::vector<std::string> words = {};
};

std::vector<Leg> Legs() {
  const std::string mail = "MAIL FROM:<>\r\n";
  return {
      {"smtp",
       mail,
       "220 b\r\n",
       "250 ok\r\n",
       {"* OK\r\n", "250 b\r\n", "x\r\n"},
       {"250 ok\r\n", "220 b\r\n", "x\r\n", "\0"s, "\rx"},
       {"354 go\r\n", "25x\r\n", "x\r\n", "334 \r\n", "250-a\r\n550 b\r\n"}},
      {"lmtp",
       mail,
       "220 b\r\n",
       "250 ok\r\n",
       {"* OK\r\n", "250 b\r\n"},
       {"250 ok\r\n", "x\r\n", "\0"s},
       {"354 go\r\n", "x\r\n"}},
      {"imap",
       "a X\r\n",
       "* OK hi\r\n",
       "a OK\r\n",
       {"220 b\r\n", "+OK\r\n", "x\r\n"},
       {"* 1 EXISTS\r\n", "a OK\r\n", "x\r\n", "\0"s, "\rx"},
       {"* 1 EXISTS\r\n", "b OK\r\n", "+ go\r\n", "x\r\n"},
       {"* OK still here\r\n"}},
      {"pop3",
       "XTND\r\n",
       "+OK hi\r\n",
       "+OK\r\n",
       {"* OK\r\n", "x\r\n"},
       {"+OK\r\n", "x\r\n", "\0"s},
       {"x\r\n", "+ \r\n"}},
      {"managesieve",
       "X\r\n",
       "OK\r\n",
       "OK\r\n",
       {"* OK\r\n", "x\r\n"},
       {"OK\r\n", "x\r\n", "\"A\"\r\n", "\0"s},
       {"x\r\n", "\"A\"\r\n", "{1}\r\n"}},
      {"ftp",
       "NOOP\r\n",
       "220 b\r\n",
       "200 ok\r\n",
       {"* OK\r\n", "x\r\n"},
       {"200 ok\r\n", "x\r\n", "\0"s},
       {"x\r\n", "20\r\n"}},
  };
}

class OnLeg {
 public:
  OnLeg(const Leg& leg, size_t piece)
      : leg_(leg), play_(FindProtocol(leg.protocol)->create, Options(), piece) {
    const bool inside = leg.protocol == "ftp";
    play_.Raise(EventKind::kStart);
    if (leg.protocol == "lmtp") play_.Client("LHLO a\r\n");
    play_.Client(inside ? "AUTH TLS\r\n" : leg.opens);
    inside ? play_.EnterTls() : play_.Raise(EventKind::kLegUp);
  }
  void Greet() {
    play_.Backend(leg_.greeting);
    if (leg_.protocol == "lmtp") play_.Backend("250 b\r\n");
    if (leg_.protocol == "ftp") play_.Client(leg_.opens);
    EXPECT_FALSE(play_.over());
  }
  void Say(const std::string& octets) { play_.Backend(octets); }
  bool ended() const { return play_.over(); }
  void ExpectEnd(const std::string& said, bool counted) {
    SCOPED_TRACE(leg_.protocol + ": " + said);
    EXPECT_EQ(play_.verdict(), Verdict::kClose);
    EXPECT_EQ(Label(play_.reason()), Label(EndReason::kBackendProtocol));
    EXPECT_EQ(play_.Saw(Attack::kBackendInjection), counted);
  }

 private:
  static const DialogueOptions& Options() {
    static const DialogueOptions options{.policy = Policy::kOpportunistic};
    return options;
  }
  const Leg& leg_;
  DialogueDriver play_;
};

TEST(Misplaced, AWrongGreetingDoesNotCount) {
  for (const Leg& leg : Legs()) {
    for (const size_t piece : kPieces) {
      for (const std::string& said : leg.greetings) {
        OnLeg session(leg, piece);
        session.Say(said);
        session.ExpectEnd(said, /*counted=*/false);
      }
      for (const std::string& said : {"\0"s, "\rx"s}) {
        OnLeg session(leg, piece);
        session.Say(said);
        session.ExpectEnd(said, /*counted=*/false);
      }
    }
  }
}

TEST(Misplaced, WhatNothingAskedForCounts) {
  for (const Leg& leg : Legs()) {
    for (const size_t piece : kPieces) {
      for (const std::string& said : leg.unasked) {
        OnLeg session(leg, piece);
        session.Greet();
        session.Say(leg.reply + said);
        session.ExpectEnd(said, /*counted=*/true);
      }
      for (const std::string& said : leg.words) {
        OnLeg session(leg, piece);
        session.Greet();
        session.Say(leg.reply + said);
        EXPECT_FALSE(session.ended()) << leg.protocol << ": " << said;
      }
    }
  }
}

TEST(Misplaced, ALineThatIsNotTheReplyCounts) {
  for (const Leg& leg : Legs()) {
    for (const size_t piece : kPieces) {
      for (const std::string& said : leg.replies) {
        OnLeg session(leg, piece);
        session.Greet();
        session.Say(said);
        session.ExpectEnd(said, /*counted=*/true);
      }
      // A reply is due, and these octets are in it.
      for (const std::string& said : {"\0"s, "\rx"s}) {
        OnLeg session(leg, piece);
        session.Greet();
        session.Say(said);
        session.ExpectEnd(said, /*counted=*/false);
      }
    }
  }
}

// Every protocol whose server is read has its row.
TEST(Misplaced, AllLegsAreTried) {
  std::set<std::string> tried;
  for (const Leg& leg : Legs()) tried.insert(leg.protocol);
  for (const ProtocolRow& row : AllProtocols()) {
    // HTTP relays at once. IRC's servers may say any message inside TLS.
    const bool reads = (row.opportunistic && row.name != "http") || row.name == "ftp";
    if (reads && row.create != nullptr) EXPECT_TRUE(tried.contains(std::string(row.name)));
  }
}

}  // namespace
}  // namespace starling
