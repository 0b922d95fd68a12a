#include "protocols/irc/irc.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/contract/endpoint.h"
#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/frames/testing/session_play.h"
#include "protocols/irc/irc_options.h"

namespace starling {
namespace {

const std::string kHost = ":localhost ";
const std::string kGoAhead = kHost + "670 * :STARTTLS successful, proceed with TLS handshake\r\n";
const std::string kNotYet = kHost + "451 * :You have not registered, use STARTTLS first\r\n";
const std::string kOffer = kHost + "CAP * LS :tls\r\n";
const std::string kWelcome = ":irc.example.org 001 demo :Welcome\r\n";

DialogueCase Closes(std::string name, std::string octets, std::string said, EndReason reason,
                    std::vector<Attack> attacks = {}) {
  return {name, {octets}, said, Verdict::kClose, reason, "", {}, attacks};
}

TEST(Irc, TheClientSpeaksFirst) {
  DialogueOptions options;
  DialogueDriver driver(CreateIrc, options);
  driver.Event(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "");
}

TEST(Irc, Answers) {
  const std::string pong = kHost + "PONG localhost :";
  const std::string unknown = kHost + "410 * CAP :Invalid CAP subcommand\r\n";
  const std::string nak = kHost + "CAP * NAK :";
  const std::string no_origin = kHost + "409 * :No origin specified\r\n";
  RunCases(
      {
          {"CAP LS", {"CAP LS\r\n"}, kOffer},
          {"CAP LS 302", {"CAP LS 302\r\n"}, kOffer},
          {"any case, more spaces", {"cap  ls  302 \r\n"}, kOffer},
          {"CAP REQ", {"CAP REQ :tls\r\n"}, kHost + "CAP * ACK :tls\r\n"},
          {"CAP REQ without a colon", {"CAP REQ tls\r\n"}, kHost + "CAP * ACK :tls\r\n"},
          {"CAP REQ with a space behind", {"CAP REQ :tls \r\n"}, kHost + "CAP * ACK :tls\r\n"},
          {"CAP REQ of more", {"CAP REQ :tls sasl\r\n"}, nak + "tls sasl\r\n"},
          {"CAP REQ without it", {"CAP REQ :-tls\r\n"}, nak + "-tls\r\n"},
          {"CAP REQ of nothing", {"CAP REQ\r\n"}, nak + "\r\n"},
          {"CAP REQ of the longest",
           {"CAP REQ :" + std::string(400, 'a') + "\r\n"},
           nak + std::string(400, 'a') + "\r\n"},
          {"a longer one", {"CAP REQ :" + std::string(401, 'a') + "\r\n"}, nak + "\r\n"},
          {"CAP REQ, 8-bit", {"CAP REQ :\xc3\xa4\r\n"}, nak + "\r\n"},
          {"CAP REQ, control", {"CAP REQ :\x1b[2J\r\n"}, nak + "\r\n"},
          {"CAP LIST", {"CAP LIST\r\n"}, kHost + "CAP * LIST :\r\n"},
          {"CAP END", {"CAP END\r\n"}, ""},
          {"CAP CLEAR", {"CAP CLEAR\r\n"}, unknown},
          {"CAP", {"CAP\r\n"}, unknown},
          {"PING", {"PING x\r\n"}, pong + "x\r\n"},
          {"PING :", {"PING :x y\r\n"}, pong + "x y\r\n"},
          {"PING of nothing", {"PING\r\n"}, no_origin},
          {"PING, 8-bit", {"PING \xc3\xa4\r\n"}, no_origin},
          {"PING, too long", {"PING " + std::string(401, 'a') + "\r\n"}, no_origin},
          {"empty lines", {"\r\n\r\n"}, ""},
          {"what needs registration",
           {"NICK demo\r\nUSER demo 0 * :Demo\r\nJOIN :\r\nPRIVMSG NickServ :IDENTIFY x\r\n"},
           kNotYet + kNotYet + kNotYet + kNotYet},
          {"with a source", {":demo NICK demo\r\n"}, kNotYet},
          Closes("QUIT", "QUIT :bye\r\n", "ERROR :Closing link: goodbye\r\n", EndReason::kGoodbye),
      },
      CreateIrc, DialogueOptions());
}

TEST(Irc, ThePortForTlsIsToldToThoseWhoKnowValues) {
  DialogueOptions options;
  SetStsPort(6697, options);
  const std::string told = kHost + "CAP * LS :tls sts=port=6697\r\n";
  RunCases(
      {
          {"302", {"CAP LS 302\r\n"}, told},
          {"later", {"CAP LS 307\r\n"}, told},
          {"earlier", {"CAP LS 301\r\n"}, kOffer},
          {"none", {"CAP LS\r\n"}, kOffer},
          {"no number", {"CAP LS x302\r\n"}, kOffer},
          {"too large", {"CAP LS 65838\r\n"}, kOffer},
          {"not by request",
           {"CAP REQ :sts=port=6697\r\n"},
           kHost + "CAP * NAK :sts=port=6697\r\n"},
      },
      CreateIrc, options);
}

TEST(Irc, PointOfUpgrade) {
  const std::string parameter = kHost + "691 * :STARTTLS takes no parameter\r\n";
  const EndReason none = EndReason::kNone;
  RunCases(
      {
          {"alone", {"STARTTLS\r\n"}, kGoAhead, Verdict::kUpgrade},
          {"any case", {"startTLS\r\n"}, kGoAhead, Verdict::kUpgrade},
          {"as irssi does",
           {"CAP LS 302\r\nJOIN :\r\nSTARTTLS\r\n"},
           kOffer + kNotYet + kGoAhead,
           Verdict::kUpgrade},
          {"after NICK and USER",
           {"NICK demo\r\nUSER demo 0 * :Demo\r\nSTARTTLS\r\n"},
           kNotYet + kNotYet + kGoAhead,
           Verdict::kUpgrade},
          {"a command behind it",
           {"STARTTLS\r\nNICK demo\r\n"},
           kGoAhead,
           Verdict::kUpgrade,
           none,
           "NICK demo\r\n"},
          {"a second segment behind it",
           {"STARTTLS\r\n", "OPER demo x\r\n"},
           kGoAhead,
           Verdict::kUpgrade,
           none,
           "OPER demo x\r\n"},
          {"one octet behind it",
           {std::string("STARTTLS\r\n\0", 11)},
           kGoAhead,
           Verdict::kUpgrade,
           none,
           std::string("\0", 1)},
          {"parameter", {"STARTTLS x\r\n"}, parameter},
      },
      CreateIrc, DialogueOptions());
}

TEST(Irc, NoLogInAndNoClaimInPlaintext) {
  for (std::string line : {"PASS secret", "OPER demo secret", "authenticate PLAIN"}) {
    RunCases({{line,
               {"CAP LS 302\r\n", line + "\r\n"},
               kOffer + kNotYet,
               Verdict::kContinue,
               EndReason::kNone,
               "",
               {Signal::kNotTaken},
               {Attack::kPlaintextAuth}}},
             CreateIrc, DialogueOptions());
  }
  RunCases({{"WEBIRC",
             {"WEBIRC secret x 127.0.0.1 127.0.0.1\r\n"},
             kNotYet,
             Verdict::kContinue,
             EndReason::kNone,
             "",
             {},
             {Attack::kIdentityClaim}}},
           CreateIrc, DialogueOptions());
}

TEST(Irc, SignsOfADowngrade) {
  const EndReason none = EndReason::kNone;
  RunCases(
      {
          {"offered, and on in plaintext",
           {"CAP LS\r\n", "NICK demo\r\n"},
           kOffer + kNotYet,
           Verdict::kContinue,
           none,
           "",
           {Signal::kNotTaken}},
          {"never offered", {"NICK demo\r\n"}, kNotYet},
          {"other commands", {"CAP LS\r\n", "JOIN :\r\n"}, kOffer + kNotYet},
          {"mangled",
           {"XXXXXXXX\r\nSTARTTLX\r\n"},
           kNotYet + kNotYet,
           Verdict::kContinue,
           none,
           "",
           {Signal::kMangledCommand}},
      },
      CreateIrc, DialogueOptions());
  DialogueOptions options;
  DialogueDriver in_one_segment(CreateIrc, options);
  in_one_segment.Event(EventKind::kStart);
  in_one_segment.Client("CAP LS 302\r\nNICK demo\r\n");
  EXPECT_FALSE(in_one_segment.Saw(Signal::kNotTaken));
  for (const char* last : {"CAP LS\r\n", "CAP END\r\n"}) {
    DialogueDriver leaves(CreateIrc, options);
    leaves.Event(EventKind::kStart);
    leaves.Client("CAP LS\r\n");
    leaves.Client(last);
    leaves.Event(EventKind::kClientEnd);
    EXPECT_EQ(leaves.Saw(Signal::kOfferThenClose), std::string(last) == "CAP LS\r\n");
  }
}

TEST(Irc, WhatIsNoCommand) {
  auto bad = [&](std::string name, std::string octets, std::string what) {
    return Closes(name, octets, "ERROR :" + what + "\r\n", EndReason::kBadOctet,
                  {Attack::kBadOctet});
  };
  RunCases(
      {
          bad("bare LF", "STARTTLS\n", "Bare <LF> received"),
          bad("bare CR", "STARTTLS\rx\r\n", "Bare <CR> received"),
          bad("NUL", std::string("STAR\0TTLS\r\n", 11), "NUL received"),
          bad("8-bit verb", "\xc3\xa4\r\n", "8-bit octet in a command"),
          bad("binary junk", std::string("\x01\xff\xfe\n\x03", 5), "Bare <LF> received"),
          {"bare LF where allowed",
           {"STARTTLS\n"},
           kGoAhead,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           {},
           {},
           true},
          Closes("no end", std::string(8193, 'A'), "ERROR :Line too long\r\n",
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
          Closes("TLS", std::string("\x16\x03\x01\x02\x00", 5), "", EndReason::kTlsOnPlainPort,
                 {Attack::kTlsOnPlainPort}),
          Closes("HTTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
                 "ERROR :Another protocol is spoken here\r\n", EndReason::kCrossProtocol,
                 {Attack::kCrossProtocol}),
      },
      CreateIrc, DialogueOptions());
}

TEST(Irc, TooManyCommands) {
  DialogueOptions options;
  options.max_commands = 2;
  RunCases(
      {Closes("over it", "NICK a\r\n\r\nSTARTTLS\r\n",
              kNotYet + "ERROR :Too many commands without TLS\r\n", EndReason::kTooManyErrors)},
      CreateIrc, options);
}

TEST(Irc, EventsEndTheSessionInItsWords) {
  const std::string closing = "ERROR :Closing link: ";
  const std::string down = closing + "server not available, try again later\r\n";
  RunEvents(
      {
          {EventKind::kLegFailed, EndReason::kBackendUnavailable, down},
          {EventKind::kBackendEnd, EndReason::kBackendProtocol, down},
          {EventKind::kDrain, EndReason::kDrainDeadline, closing + "server shutting down\r\n"},
          {EventKind::kClientEnd, EndReason::kClientLeftEarly, ""},
      },
      "STARTTLS\r\n", CreateIrc, DialogueOptions());
}

// Whole, octet by octet, and with little room.
template <typename Test>
void InPieces(const DialogueOptions& options, Test test) {
  for (const size_t piece : {std::string::npos, size_t{1}, size_t{7}}) {
    SCOPED_TRACE("in pieces of " + std::to_string(piece));
    SessionPlay play(CreateIrc, options, piece);
    play.Raise(EventKind::kStart);
    test(play);
  }
}

// To the fresh leg inside TLS; what the gateway said to the server by itself.
std::string EnterTls(SessionPlay& play, const std::string& before = "STARTTLS\r\n",
                     const Endpoint* client = nullptr) {
  play.Client(before);
  EXPECT_EQ(play.verdict(), Verdict::kUpgrade);
  play.TakeToClient();
  EXPECT_EQ(play.TakeToBackend(), "");
  play.EnterTls(client);
  return play.TakeToBackend();
}

TEST(Irc, AnOpenCapLsIsSaidAgainAndNothingElse) {
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
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
      EXPECT_EQ(EnterTls(play, c.before + "STARTTLS\r\n"), c.said);
    });
  }
}

TEST(Irc, TheServerIsToldWhoTheClientIs) {
  DialogueOptions options;
  SetWebircPassword("secret", options);
  Endpoint v4{.family = Endpoint::Family::kV4, .port = 1, .ip = {192, 0, 2, 1}};
  Endpoint v6{.family = Endpoint::Family::kV6, .port = 1, .ip = {0x20, 1, 0x0d, 0xb8}};
  v6.ip[15] = 1;
  Endpoint loopback{.family = Endpoint::Family::kV6, .port = 1, .ip = {}};
  loopback.ip[15] = 1;
  const std::string begin = "WEBIRC secret starling ";
  InPieces(options, [&](SessionPlay& play) {
    EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", &v4), begin + "192.0.2.1 192.0.2.1\r\n");
  });
  InPieces(options, [&](SessionPlay& play) {
    EXPECT_EQ(EnterTls(play, "CAP LS 302\r\nSTARTTLS\r\n", &v6),
              begin + "2001:db8::1 2001:db8::1\r\nCAP LS 302\r\n");
  });
  InPieces(options, [&](SessionPlay& play) {
    EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", &loopback), begin + "0::1 0::1\r\n");
  });
  // It would be the gateway's own address that the server sees.
  const Endpoint unknown;
  for (const Endpoint* nobody : {static_cast<const Endpoint*>(nullptr), &unknown}) {
    InPieces(options, [&](SessionPlay& play) {
      EXPECT_EQ(EnterTls(play, "STARTTLS\r\n", nobody), "");
      EXPECT_EQ(play.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendUnavailable));
    });
  }
}

TEST(Irc, WhatAPasswordMayBe) {
  for (std::string good : {"x", "a:b!\x7e", "0123456789"}) EXPECT_TRUE(IsWebircPassword(good));
  EXPECT_TRUE(IsWebircPassword(std::string(128, 'a')));
  for (std::string bad : {"", "a b", ":a", "a\r\nOPER x", "\xc3\xa4", "\x7f"}) {
    EXPECT_FALSE(IsWebircPassword(bad)) << bad;
  }
  EXPECT_FALSE(IsWebircPassword(std::string(129, 'a')));
}

TEST(Irc, BothSidesPassUntilTheClientIsRegistered) {
  const std::string notice = ":irc.example.org NOTICE * :001 is near\r\nPING :001\r\n";
  for (const std::string& welcome :
       {kWelcome, "@time=2026-01-01T00:00:00Z;x=y " + kWelcome, std::string("001 demo :Hi\r\n")}) {
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
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

TEST(Irc, MuchFromTheClientWaitsForRoom) {
  const std::string much(10'000, 'x');
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EnterTls(play);
    play.Client(much);
    EXPECT_EQ(play.TakeToBackend(), much);
  });
}

TEST(Irc, AServerThatWillNotHaveTheClientHasSaidWhy) {
  const std::string error = "ERROR :Closing link: (demo@192.0.2.1) [Access denied]\r\n";
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EnterTls(play);
    play.Backend(error);
    EXPECT_EQ(play.TakeToClient(), error);
    play.Raise(EventKind::kBackendEnd);
    EXPECT_EQ(play.TakeToClient(), "");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendRefused));
  });
}

TEST(Irc, AServerThatDoesNotTakeTheGatewaysWordForTheClient) {
  const std::string refusal = ":irc.example.org 464 * :Invalid password\r\n";
  const Endpoint v4{.family = Endpoint::Family::kV4, .port = 1, .ip = {192, 0, 2, 1}};
  for (const char* password : {"", "wrong"}) {
    DialogueOptions options;
    SetWebircPassword(password, options);
    InPieces(options, [&](SessionPlay& play) {
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

TEST(Irc, AServerThatBreaksTheProtocol) {
  for (const std::string& octets :
       {std::string(3000, 'x'), std::string("* OK IMAP\r\n"),
        std::string("HTTP/1.1 400 Bad Request\r\n"), std::string(":x NOTICE * :\0\r\n", 16),
        std::string("a\rb\r\n")}) {
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
      EnterTls(play);
      play.Backend(octets);
      EXPECT_EQ(play.TakeToClient(), "ERROR :Server broken, try again later\r\n");
      EXPECT_EQ(Label(play.reason()), Label(EndReason::kBackendProtocol));
    });
  }
}

// With tags a message has up to 8,191 octets (IRCv3 message tags); it passes whole.
TEST(Irc, LongLinesOfAServerPass) {
  const std::string lines = "@t=" + std::string(8000, 'x') +
                            " :x NOTICE * :hello\r\n:x NOTICE * :" + std::string(3000, 'y') +
                            "\r\n";
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EnterTls(play);
    play.Backend(lines);
    EXPECT_TRUE(play.TakeToClient() == lines);
    EXPECT_FALSE(play.over());
    play.Backend(":x 001 demo :" + std::string(3000, 'z') + "\r\n");
    EXPECT_EQ(play.verdict(), Verdict::kRelay);
  });
}

// NICK and USER of before are gone. What bounds a registration that goes on is told in
// words for that.
TEST(Irc, ARegistrationThatTakesTooLong) {
  for (const EndReason reason : {EndReason::kPreRelayDeadline, EndReason::kPreRelaySilence,
                                 EndReason::kPreRelayTotal, EndReason::kPreRelayCrowded}) {
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
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

// After USER a server would welcome the client, unless it negotiates capabilities; one that
// says nothing more waits for that.
TEST(Irc, PatienceIsShortWithWhoWaitsForAWelcome) {
  const struct {
    std::string said;
    Patience patience;
  } table[] = {
      {"NICK demo\r\n", Patience::kUsual},
      {"USER demo 0 * :Demo\r\n", Patience::kShort},
      {"NICK demo\r\nUSER demo 0 * :Demo\r\n", Patience::kShort},
      {"USER demo 0 * :Demo\r\nNICK demo\r\n", Patience::kShort},
      {"PASS x\r\nNICK demo\r\nuser demo 0 * :Demo\r\nPING x\r\n", Patience::kShort},
      {"NICK demo\r\nUSER demo 0 * :Demo", Patience::kUsual},  // the line has no end yet
      {"CAP LS 302\r\nNICK demo\r\nUSER demo 0 * :Demo\r\n", Patience::kUsual},
      {"NICK demo\r\nUSER demo 0 * :Demo\r\nCAP LS\r\n", Patience::kUsual},
      {"CAP LS 302\r\nNICK demo\r\nUSER demo 0 * :Demo\r\nCAP END\r\n", Patience::kShort},
      {"CAP LS\r\nUSER demo 0 * :Demo\r\nCAP REQ :sasl\r\n", Patience::kUsual},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.said);
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
      play.Client(row.said);
      EXPECT_EQ(play.patience(), row.patience);
    });
  }
}

TEST(Irc, WhoWaitsInVainIsToldWhatToDo) {
  for (const uint16_t port : {uint16_t{0}, uint16_t{6697}}) {
    DialogueOptions options;
    SetStsPort(port, options);
    InPieces(options, [&](SessionPlay& play) {
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

// Inside TLS the same holds of a client that has said before who it is, until it speaks.
TEST(Irc, WhoDoesNotRepeatWhoItIsInsideTlsIsTold) {
  const std::string user = "NICK demo\r\nUSER demo 0 * :Demo\r\n";
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EXPECT_EQ(EnterTls(play, user + "STARTTLS\r\n"), "");
    EXPECT_EQ(play.patience(), Patience::kShort);
    play.Backend(":irc.example.org NOTICE * :hello\r\n");
    EXPECT_EQ(play.patience(), Patience::kShort);
    play.TakeToClient();
    play.Raise(EventKind::kPatienceOver, true);
    EXPECT_EQ(play.TakeToClient(), "ERROR :Closing link: send NICK and USER again inside TLS\r\n");
    EXPECT_EQ(Label(play.reason()), Label(EndReason::kPreRelaySilence));
  });
  // Amid a line of the server's that line is ended first.
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EnterTls(play, user + "STARTTLS\r\n");
    play.Backend(":irc.example.org NOTICE * :" + std::string(8'000, 'x'));
    play.Raise(EventKind::kPatienceOver, true);
    EXPECT_TRUE(play.TakeToClient().ends_with(
        "xxx\r\nERROR :Closing link: send NICK and USER again inside TLS\r\n"));
  });
  InPieces(DialogueOptions(), [&](SessionPlay& play) {
    EnterTls(play, user + "STARTTLS\r\n");
    play.Client("NICK demo\r\n");
    EXPECT_EQ(play.patience(), Patience::kUsual);
  });
  for (const std::string& before : {std::string(), "CAP LS 302\r\n" + user}) {
    InPieces(DialogueOptions(), [&](SessionPlay& play) {
      EnterTls(play, before + "STARTTLS\r\n");
      EXPECT_EQ(play.patience(), Patience::kUsual);
    });
  }
}

}  // namespace
}  // namespace starling
