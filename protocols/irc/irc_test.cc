#include "protocols/irc/irc.h"

#include <gtest/gtest.h>

#include <string>

#include "protocols/contract/endpoint.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/frames/testing/dialogue_testing.h"
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
  driver.Raise(EventKind::kStart);
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
  in_one_segment.Raise(EventKind::kStart);
  in_one_segment.Client("CAP LS 302\r\nNICK demo\r\n");
  EXPECT_FALSE(in_one_segment.Saw(Signal::kNotTaken));
  for (const char* last : {"CAP LS\r\n", "CAP END\r\n"}) {
    DialogueDriver leaves(CreateIrc, options);
    leaves.Raise(EventKind::kStart);
    leaves.Client("CAP LS\r\n");
    leaves.Client(last);
    leaves.Raise(EventKind::kClientEnd);
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

}  // namespace
}  // namespace starling
