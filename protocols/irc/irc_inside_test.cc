// IRC inside TLS, until the server has registered the client: what the gateway says again,
// what it tells the server, and which clients it tells that they wait in vain.
#include <gtest/gtest.h>

#include <string>

#include "protocols/contract/endpoint.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/irc/irc.h"
#include "protocols/irc/irc_options.h"

namespace starling {
namespace {

const std::string kWelcome = ":irc.example.org 001 demo :Welcome\r\n";

// Runs a test whole, octet by octet, and with little room.
template <typename Test>
void InPieces(const DialogueOptions& options, Test test) {
  for (const size_t piece : {std::string::npos, size_t{1}, size_t{7}}) {
    SCOPED_TRACE("in pieces of " + std::to_string(piece));
    DialogueDriver play(CreateIrc, options, piece);
    play.Raise(EventKind::kStart);
    test(play);
  }
}

// Goes on to the fresh leg inside TLS. Returns what the gateway itself has said to the
// server.
std::string EnterTls(DialogueDriver& play, const std::string& before = "STARTTLS\r\n",
                     const Endpoint* client = nullptr) {
  play.Client(before);
  EXPECT_EQ(play.verdict(), Verdict::kUpgrade);
  play.TakeToClient();
  EXPECT_EQ(play.TakeToBackend(), "");
  play.EnterTls(client);
  return play.TakeToBackend();
}

TEST(IrcInside, AnOpenCapLsIsSaidAgainAndNothingElse) {
  struct Case {
    std::string before, said;
  };
  for (const Case& c : {
           Case{"CAP LS 302\r\n", "CAP LS 302\r\n"},
           Case{"CAP LS\r\n", "CAP LS\r\n"},
           Case{"CAP LS 302x\r\n", "CAP LS 302\r\n"},
           Case{"CAP LS 99999\r\n", "CAP LS\r\n"},
           Case{"CAP LS 302\r\nCAP LS\r\n", "CAP LS\r\n"},
           Case{"CAP LS 302\r\nCAP REQ :tls\r\n", "CAP LS 302\r\n"},
           Case{"CAP LS 302\r\nCAP END\r\n", ""},
           Case{"CAP REQ :tls\r\nNICK a\r\nUSER a 0 * :a\r\nPASS x\r\n", ""},
       }) {
    SCOPED_TRACE(c.before);
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EXPECT_EQ(EnterTls(play, c.before + "STARTTLS\r\n"), c.said);
    });
  }
}

TEST(IrcInside, TheServerIsToldWhoTheClientIs) {
  DialogueOptions options;
  SetWebircPassword("secret", options);
  Endpoint v4{.family = Endpoint::Family::kV4, .port = 1, .ip = {192, 0, 2, 1}};
  Endpoint v6{.family = Endpoint::Family::kV6, .port = 1, .ip = {0x20, 1, 0x0d, 0xb8}};
  v6.ip[15] = 1;
  Endpoint loopback{.family = Endpoint::Family::kV6, .port = 1, .ip = {}};
  loopback.ip[15] = 1;
  const std::string begin = "WEBIRC secret starling ";
  InPieces(options, [&](DialogueDriver& play) {
    EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", &v4), begin + "192.0.2.1 192.0.2.1\r\n");
  });
  InPieces(options, [&](DialogueDriver& play) {
    EXPECT_EQ(EnterTls(play, "CAP LS 302\r\nSTARTTLS\r\n", &v6),
              begin + "2001:db8::1 2001:db8::1\r\nCAP LS 302\r\n");
  });
  InPieces(options, [&](DialogueDriver& play) {
    EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", &loopback), begin + "0::1 0::1\r\n");
  });
  // The server would see the gateway's own address.
  const Endpoint unknown;
  for (const Endpoint* nobody : {static_cast<const Endpoint*>(nullptr), &unknown}) {
    InPieces(options, [&](DialogueDriver& play) {
      EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", nobody), "");
      EXPECT_EQ(play.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendUnavailable));
    });
  }
}

TEST(IrcInside, WhatAPasswordMayBe) {
  for (std::string good : {"x", "a:b!\x7e", "0123456789"}) EXPECT_TRUE(IsWebircPassword(good));
  EXPECT_TRUE(IsWebircPassword(std::string(128, 'a')));
  for (std::string bad : {"", "a b", ":a", "a\r\nOPER x", "\xc3\xa4", "\x7f"}) {
    EXPECT_FALSE(IsWebircPassword(bad)) << bad;
  }
  EXPECT_FALSE(IsWebircPassword(std::string(129, 'a')));
}

TEST(IrcInside, BothSidesPassUntilTheClientIsRegistered) {
  const std::string notice = ":irc.example.org NOTICE * :001 is near\r\nPING :001\r\n";
  for (const std::string& welcome :
       {kWelcome, "@time=2026-01-01T00:00:00Z;x=y " + kWelcome, std::string("001 demo :Hi\r\n")}) {
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EnterTls(play);
      play.Client("NICK demo\r\nUSER de");
      EXPECT_EQ(play.TakeToBackend(), "NICK demo\r\nUSER de");
      play.Backend(notice);
      EXPECT_EQ(play.TakeToClient(), notice);
      EXPECT_FALSE(play.over());
      play.Client(std::string("mo 0 * :\xc3\xa4\0\n", 11));
      EXPECT_EQ(play.TakeToBackend(), std::string("mo 0 * :\xc3\xa4\0\n", 11));
      play.Backend(welcome);
      EXPECT_EQ(play.verdict(), Verdict::kRelay);
      EXPECT_EQ(play.TakeToClient() + play.backend_left(), welcome);
    });
  }
}

TEST(IrcInside, MuchFromTheClientWaitsForRoom) {
  const std::string much(10'000, 'x');
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play);
    play.Client(much);
    EXPECT_EQ(play.TakeToBackend(), much);
  });
}

TEST(IrcInside, AServerThatWillNotHaveTheClientHasSaidWhy) {
  const std::string error = "ERROR :Closing link: (demo@192.0.2.1) [Access denied]\r\n";
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play);
    play.Backend(error);
    EXPECT_EQ(play.TakeToClient(), error);
    play.Raise(EventKind::kBackendEnd);
    EXPECT_EQ(play.TakeToClient(), "");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendRefused));
  });
}

TEST(IrcInside, AServerThatDoesNotTakeTheGatewaysWordForTheClient) {
  const std::string refusal = ":irc.example.org 464 * :Invalid password\r\n";
  const Endpoint v4{.family = Endpoint::Family::kV4, .port = 1, .ip = {192, 0, 2, 1}};
  for (const char* password : {"", "wrong"}) {
    DialogueOptions options;
    SetWebircPassword(password, options);
    InPieces(options, [&](DialogueDriver& play) {
      EnterTls(play, "STARTTLS\r\n", &v4);
      play.Backend(refusal);
      EXPECT_EQ(play.over(), !IrcOptionsOf(options).webirc_password.empty());
      if (!play.over()) return;
      EXPECT_EQ(play.TakeToClient(),
                "ERROR :Closing link: server not available, try again later\r\n");
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendRefused));
    });
  }
}

TEST(IrcInside, AServerThatBreaksTheProtocol) {
  for (const std::string& octets :
       {std::string(3000, 'x'), std::string("* OK IMAP\r\n"),
        std::string("HTTP/1.1 400 Bad Request\r\n"), std::string(":x NOTICE * :\0\r\n", 16),
        std::string("a\rb\r\n")}) {
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EnterTls(play);
      play.Backend(octets);
      EXPECT_EQ(play.TakeToClient(), "ERROR :Server broken, try again later\r\n");
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendProtocol));
    });
  }
}

// With tags, a message has up to 8,191 octets (IRCv3 message tags). It passes whole.
TEST(IrcInside, LongLinesOfAServerPass) {
  const std::string lines = "@t=" + std::string(8000, 'x') +
                            " :x NOTICE * :hello\r\n:x NOTICE * :" + std::string(3000, 'y') +
                            "\r\n";
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play);
    play.Backend(lines);
    EXPECT_TRUE(play.TakeToClient() == lines);
    EXPECT_FALSE(play.over());
    play.Backend(":x 001 demo :" + std::string(3000, 'z') + "\r\n");
    EXPECT_EQ(play.verdict(), Verdict::kRelay);
  });
}

// Who is silent: a server that owes the client something, or a client that has more to say.
TEST(IrcInside, WhatTheServerOwes) {
  struct Case {
    std::string client, server;
    bool owes;
    std::string then = "";  // said by the client after that
  };
  const std::string registers = "NICK x\r\nUSER x 0 * :x\r\n";
  for (const Case& c : {
           Case{"", "", false},
           Case{"NICK x\r\n", "", false},
           Case{"USER x 0 * :x\r\n", "", false},
           Case{"PASS x\r\nNICK x\r\n", "", false},
           Case{registers, "", true},
           Case{"user x 0 * :x\n:x nick x\n", "", true},
           Case{"NICK x\r\nUSER x 0 * :" + std::string(600, 'x'), "", false},
           Case{registers, ":s NOTICE * :Looking up your hostname\r\n", true},
           Case{"CAP LS 302\r\n", "", true},
           Case{"CAP LS 302\r\n", ":s CAP * LS :sasl\r\n", false},
           Case{"CAP LS 302\r\n" + registers, ":s CAP * LS :sasl\r\n", false},
           Case{"CAP LS 302\r\n" + registers, ":s CAP * LS :sasl\r\n", true, "CAP END\r\n"},
           Case{"CAP LS 302\r\n" + registers, ":s CAP * LS :sasl\r\n", true, "CAP REQ :sasl\r\n"},
           Case{"CAP :LS\r\n", "", true},
           Case{"CAP FOO\r\n", "", false},
           Case{"AUTHENTICATE PLAIN\r\n", "", true},
           Case{"PING 1\r\n", "", true},
           Case{"PING 1\r\n", ":s PONG s :1\r\n", false},
           Case{"QUIT\r\n", "", true},
           Case{registers, "PING :cookie\r\n", false},
           Case{registers, "PING :cookie\r\n", true, "PONG :cookie\r\n"},
           Case{registers, ":s 433 * x :Nickname is already in use\r\n", false},
           Case{registers, ":s 433 * x :Nickname is already in use\r\n", true, "NICK y\r\n"},
           Case{registers, ":s 461 * USER :Not enough parameters\r\n", false},
           Case{registers, ":s 461 * USER :Not enough parameters\r\n", true, "USER x 0 * :x\r\n"},
       }) {
    SCOPED_TRACE(c.client + c.server + c.then);
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EXPECT_FALSE(play.IsOwedAnswer());
      EnterTls(play);
      play.Client(c.client);
      play.Backend(c.server);
      play.Client(c.then);
      EXPECT_EQ(play.IsOwedAnswer(), c.owes);
    });
  }
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play, "CAP LS\r\nSTARTTLS\r\n");
    EXPECT_TRUE(play.IsOwedAnswer()) << "the gateway asks again";
  });
}

TEST(IrcInside, AServerThatOwesAnAnswerForTooLong) {
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play);
    play.Client("NICK x\r\nUSER x 0 * :x\r\n");
    play.Raise(EventKind::kGreetingDeadline, /*inside_tls=*/true);
    EXPECT_EQ(play.TakeToClient(),
              "ERROR :Closing link: server not available, try again later\r\n");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kGreetingDeadline));
  });
}

TEST(IrcInside, WhatAProbeTakesForAnAnswer) {
  for (const char* good : {"ERROR :Closing link\r\n", ":s NOTICE * :Looking up\r\n", "\r\nERROR\n",
                           "@t=1 :s 451 * :Register first\r\nHTTP/1.1 400 no\r\n"}) {
    EXPECT_EQ(ReadIrcAnswer(AsBytes(good)), GreetingStatus::kWelcome) << good;
  }
  for (const char* bad : {"\x16\x03\x01zz\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "* OK\r\n"}) {
    EXPECT_EQ(ReadIrcAnswer(AsBytes(bad)), GreetingStatus::kOther) << bad;
  }
  for (const char* half : {"", "\r\n", ":s NOTICE * :Look", "\x16\x03"}) {
    EXPECT_EQ(ReadIrcAnswer(AsBytes(half)), GreetingStatus::kNeedMore) << half;
  }
}

// NICK and USER from before TLS do not count. The deadline of a registration that goes on
// has its own words.
TEST(IrcInside, ARegistrationThatTakesTooLong) {
  for (const EndReason reason : {EndReason::kPreRelayDeadline, EndReason::kPreRelaySilence,
                                 EndReason::kPreRelayTotal, EndReason::kPreRelayCrowded}) {
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EXPECT_EQ(EnterTls(play), "");
      play.Client("NICK demo\r\n");
      EXPECT_TRUE(play.TakeUnderstood());
      play.Backend(":irc.example.org NOTICE * :hello\r\n");
      play.TakeToClient();
      play.Raise({.kind = EventKind::kDeadline, .inside_tls = true, .deadline = reason});
      EXPECT_EQ(play.TakeToClient(),
                reason == EndReason::kPreRelayCrowded
                    ? "ERROR :Closing link: too many connections, try again later\r\n"
                    : "ERROR :Closing link: registration timed out\r\n");
      EXPECT_EQ(Label(play.reason()), Label(reason));
    });
  }
}

// After USER a server would welcome the client, unless it negotiates capabilities. A client
// that says nothing more waits for that welcome.
TEST(IrcInside, PatienceIsShortWithWhoWaitsForAWelcome) {
  const struct {
    std::string said;
    Patience patience;
  } table[] = {
      {"NICK demo\r\n", Patience::kUsual},
      {"USER demo 0 * :Demo\r\n", Patience::kShort},
      {"NICK demo\r\nUSER demo 0 * :Demo\r\n", Patience::kShort},
      {"USER demo 0 * :Demo\r\nNICK demo\r\n", Patience::kShort},
      {"PASS x\r\nNICK demo\r\nuser demo 0 * :Demo\r\nPING x\r\n", Patience::kShort},
      {"NICK demo\r\nUSER demo 0 * :Demo", Patience::kUsual},  // the line is incomplete
      {"CAP LS 302\r\nNICK demo\r\nUSER demo 0 * :Demo\r\n", Patience::kUsual},
      {"NICK demo\r\nUSER demo 0 * :Demo\r\nCAP LS\r\n", Patience::kUsual},
      {"CAP LS 302\r\nNICK demo\r\nUSER demo 0 * :Demo\r\nCAP END\r\n", Patience::kShort},
      {"CAP LS\r\nUSER demo 0 * :Demo\r\nCAP REQ :sasl\r\n", Patience::kUsual},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.said);
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      play.Client(row.said);
      EXPECT_EQ(play.patience(), row.patience);
    });
  }
}

TEST(IrcInside, WhoWaitsInVainIsToldWhatToDo) {
  for (const uint16_t port : {uint16_t{0}, uint16_t{6697}}) {
    DialogueOptions options;
    SetStsPort(port, options);
    InPieces(options, [&](DialogueDriver& play) {
      play.Client("NICK demo\r\nUSER demo 0 * :Demo\r\n");
      play.TakeToClient();
      play.Raise(EventKind::kPatienceOver);
      EXPECT_EQ(play.TakeToClient(),
                port == 0
                    ? "ERROR :TLS required: send STARTTLS, or connect with TLS from the start\r\n"
                    : "ERROR :TLS required: send STARTTLS, or connect with TLS to port 6697\r\n");
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kTlsRequired));
    });
  }
}

// Inside TLS the same holds for a client that has sent NICK and USER before, until it
// speaks.
TEST(IrcInside, WhoDoesNotRepeatWhoItIsInsideTlsIsTold) {
  const std::string user = "NICK demo\r\nUSER demo 0 * :Demo\r\n";
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EXPECT_EQ(EnterTls(play, user + "STARTTLS\r\n"), "");
    EXPECT_EQ(play.patience(), Patience::kShort);
    play.Backend(":irc.example.org NOTICE * :hello\r\n");
    EXPECT_EQ(play.patience(), Patience::kShort);
    play.TakeToClient();
    play.Raise(EventKind::kPatienceOver, true);
    EXPECT_EQ(play.TakeToClient(), "ERROR :Closing link: send NICK and USER again inside TLS\r\n");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kPreRelaySilence));
  });
  // In the middle of a server's line, the gateway ends that line first.
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play, user + "STARTTLS\r\n");
    play.Backend(":irc.example.org NOTICE * :" + std::string(8'000, 'x'));
    play.Raise(EventKind::kPatienceOver, true);
    EXPECT_TRUE(play.TakeToClient().ends_with(
        "xxx\r\nERROR :Closing link: send NICK and USER again inside TLS\r\n"));
  });
  InPieces(DialogueOptions(), [&](DialogueDriver& play) {
    EnterTls(play, user + "STARTTLS\r\n");
    play.Client("NICK demo\r\n");
    EXPECT_EQ(play.patience(), Patience::kUsual);
  });
  for (const std::string& before : {std::string(), "CAP LS 302\r\n" + user}) {
    InPieces(DialogueOptions(), [&](DialogueDriver& play) {
      EnterTls(play, before + "STARTTLS\r\n");
      EXPECT_EQ(play.patience(), Patience::kUsual);
    });
  }
}

}  // namespace
}  // namespace starling
