// POP3 under `policy: opportunistic`.
#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/leg_testing.h"
#include "protocols/pop3/pop3.h"

namespace starling {
namespace {

DialogueOptions Options(bool plaintext_auth) {
  DialogueOptions options;
  options.hostname = "mail.example.org";
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = plaintext_auth;
  return options;
}

const std::string kHello = "+OK Dovecot ready <1.2@x>.\r\n";
const std::string kNo = "-ERR Unknown command\r\n";
const Move kOpen = {'c', "UTF8\r\n"};
const std::string kOpened = "UTF8\r\n";
const char kTls[] = "-ERR [SYS/PERM] TLS required, use STLS\r\n";
const char kBroken[] = "-ERR Server broken, try again later\r\n";

LegCase OnLeg(std::string name, std::string client, std::string backend, std::string to_client,
              Verdict verdict = Verdict::kContinue, EndReason reason = EndReason::kNone,
              std::vector<Attack> attacks = {}) {
  return {name,
          {kOpen, {'b', kHello + kNo}, {'c', client}, {'b', backend}},
          kNo + to_client,
          kOpened + client,
          verdict,
          reason,
          attacks};
}

TEST(Pop3Leg, OpensAtTheFirstCommandThatIsNotAnsweredHere) {
  RunLegCases(
      {
          {"none for queries",
           {{'c', "CAPA\r\nAUTH\r\nLANG\r\n"}},
           std::string("+OK Capability list follows\r\nRESP-CODES\r\nSTLS\r\n.\r\n") + kTls +
               "-ERR Command not accepted before STLS\r\n",
           ""},
          {"none for a claim",
           {{'c', "XCLIENT ADDR=127.0.0.1\r\n"}},
           "-ERR Command not accepted before STLS\r\n",
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kIdentityClaim}},
          {"none for a refused log-in",
           {{'c', "USER u\r\nPASS p\r\nAPOP u 0\r\nAUTH PLAIN AHUAcA==\r\n"}},
           std::string(kTls) + kTls + kTls + kTls,
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kPlaintextAuth}},
          {"greeting swallowed", {kOpen, {'b', kHello}}, "", kOpened, Verdict::kHold},
          {"busy",
           {kOpen, {'b', "-ERR busy\r\n"}},
           "-ERR busy\r\n",
           "",
           Verdict::kClose,
           EndReason::kBackendRefused},
          {"each in its turn",
           {{'c', "UTF8\r\nSTAT\r\nCAPA\r\n"}, {'b', kHello + kNo + kNo + "+OK\r\nUIDL\r\n.\r\n"}},
           kNo + kNo + "+OK\r\nUIDL\r\nSTLS\r\n.\r\n",
           "UTF8\r\nSTAT\r\nCAPA\r\n"},
      },
      CreatePop3, Options(false));
}

TEST(Pop3Leg, CapabilitiesAreEdited) {
  const std::string list =
      "+OK\r\nCAPA\r\nUSER\r\nSASL PLAIN SCRAM-SHA-1-PLUS "
      "LOGIN\r\nstls\r\nXCLIENT\r\nUIDL\r\n.\r\n";
  RunLegCases(
      {OnLeg("refused", "CAPA\r\n", list, "+OK\r\nCAPA\r\nUIDL\r\nSTLS\r\n.\r\n"),
       OnLeg("tabs and spaces", "CAPA\r\n",
             "+OK\tlist\r\nSASL\tPLAIN\r\nUSER\t\r\n USER\r\n\tSASL X\r\nUSER\v\r\n"
             "STLS \r\nXCLIENT\tADDR\r\nTOP\t \r\n\t.\r\n",
             "+OK\tlist\r\nTOP\r\nSTLS\r\n.\r\n"),
       OnLeg("the list ends once", "CAPA\r\n", "+OK\r\nTOP\r\n. \r\n",
             "+OK\r\nTOP\r\nSTLS\r\n.\r\n"),
       OnLeg("and not behind the client's back", "CAPA\r\n",
             "+OK\r\nTOP\r\n. " + std::string(3000, 'x') + "\r\n", "+OK\r\nTOP\r\nSTLS\r\n.\r\n"),
       OnLeg("a cut word behind a tab", "CAPA\r\n",
             "+OK\r\nEXPIRE\t1" + std::string(3000, '0') + "\r\n.\r\n",
             "+OK\r\nEXPIRE\r\nSTLS\r\n.\r\n"),
       OnLeg("a tab in a refusal", "STAT\r\n", "-ERR\tno\r\n", "-ERR\tno\r\n"),
       OnLeg("no list", "CAPA\r\n", "-ERR none\r\n", "-ERR none\r\n")},
      CreatePop3, Options(false));
  RunLegCases(
      {OnLeg("allowed", "CAPA\r\n", list,
             "+OK\r\nCAPA\r\nUSER\r\nSASL PLAIN LOGIN\r\nUIDL\r\nSTLS\r\n.\r\n"),
       OnLeg("tabs and spaces", "CAPA\r\n", "+OK\r\nUSER\t\r\nSASL\tA\tB-PLUS  C\t\r\n.\r\n",
             "+OK\r\nUSER\r\nSASL A C\r\nSTLS\r\n.\r\n")},
      CreatePop3, Options(true));
}

TEST(Pop3Leg, LogInWhereAllowed) {
  RunLegCases(
      {
          {"the gateway's list has it",
           {{'c', "CAPA\r\n"}},
           "+OK Capability list follows\r\nUSER\r\nRESP-CODES\r\nSTLS\r\n.\r\n",
           ""},
          {"user and pass",
           {{'c', "USER u\r\nPASS p\r\nSTAT\r\n"}, {'b', kHello + "+OK\r\n+OK Logged in.\r\n"}},
           "+OK\r\n+OK Logged in.\r\n",
           "USER u\r\nPASS p\r\n",
           Verdict::kRelay,
           EndReason::kNone,
           {},
           "STAT\r\n"},
          {"wrong password",
           {{'c', "USER u\r\nPASS p\r\n"},
            {'b', kHello + "+OK\r\n-ERR [AUTH] no\r\n"},
            {'c', "QUIT\r\n"}},
           "+OK\r\n-ERR [AUTH] no\r\n+OK Goodbye\r\n",
           "USER u\r\nPASS p\r\n",
           Verdict::kClose,
           EndReason::kGoodbye},
          {"sasl",
           {{'c', "AUTH PLAIN\r\n"},
            {'b', kHello + "+ \r\n"},
            {'c', "AHUAcA==\r\n"},
            {'b', "+OK in\r\n"}},
           "+ \r\n+OK in\r\n",
           "AUTH PLAIN\r\nAHUAcA==\r\n",
           Verdict::kRelay},
          {"sasl refused amid",
           {{'c', "AUTH PLAIN\r\n"}, {'b', kHello + "+ \r\n-ERR too slow\r\n"}, {'c', "STAT\r\n"}},
           "+ \r\n-ERR too slow\r\n",
           "AUTH PLAIN\r\nSTAT\r\n",
           Verdict::kHold},
          {"no literals", {{'c', "USER u{5+}\r\n"}, {'b', kHello + kNo}}, kNo, "USER u{5+}\r\n"},
          {"never apop",
           {{'c', "APOP u 0\r\n"}},
           kTls,
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kPlaintextAuth}},
          {"pass has no challenge",
           {{'c', "PASS p\r\n"}, {'b', kHello + "+ \r\n"}},
           kBroken,
           "PASS p\r\n",
           Verdict::kClose,
           EndReason::kBackendProtocol,
           {Attack::kBackendInjection}},
      },
      CreatePop3, Options(true));
}

TEST(Pop3Leg, WhatABackendMayNotSay) {
  const Verdict close = Verdict::kClose;
  const EndReason bad = EndReason::kBackendProtocol;
  const std::vector<Attack> attack = {Attack::kBackendInjection};
  RunLegCases(
      {
          OnLeg("two replies", "STAT\r\n", "-ERR\r\n+OK Begin TLS\r\n",
                std::string("-ERR\r\n") + kBroken, close, bad, attack),
          OnLeg("white space first", "STAT\r\n", " +OK\r\n", kBroken, close, bad, attack),
          OnLeg("a mailbox", "STAT\r\n", "1 120\r\n", kBroken, close, bad, attack),
          OnLeg("its goodbye", "", "-ERR idle\r\n", "-ERR idle\r\n", close,
                EndReason::kBackendClosed),
          OnLeg("NUL", "STAT\r\n", std::string("+O\0K\r\n", 6), kBroken, close, bad),
          OnLeg("overlong", "STAT\r\n", std::string(3000, '+'), kBroken, close, bad, attack),
      },
      CreatePop3, Options(false));
}

TEST(Pop3Leg, LogInIsRefusedAtEveryPoint) {
  RunLegCases({{"on the leg",
                {kOpen, {'b', kHello + kNo}, {'c', "USER u\r\nPASS p\r\nAUTH PLAIN x\r\n"}},
                kNo + kTls + kTls + kTls,
                kOpened,
                Verdict::kContinue,
                EndReason::kNone,
                {Attack::kPlaintextAuth}}},
              CreatePop3, Options(false));
}

TEST(Pop3Leg, NothingPassesInWhichALenientBackendMightFindALogIn) {
  for (const char* line : {" USER u", "USER\tu", "\tUSER u", "\"USER\" u", ""}) {
    RunLegCases({{line,
                  {{'c', line + std::string("\r\n")}},
                  "-ERR Command not accepted before STLS\r\n",
                  ""}},
                CreatePop3, Options(false));
  }
}

TEST(Pop3Leg, Upgrade) {
  const std::string go = "+OK Begin TLS negotiation\r\n";
  RunLegUpgrade(CreatePop3, Options(false), {kOpen, {'b', kHello + kNo}}, "STLS\r\n", go);
  RunLegUpgrade(CreatePop3, Options(true), {{'c', "USER u\r\n"}, {'b', kHello + "+OK\r\n"}},
                "STLS\r\n", go);
}

}  // namespace
}  // namespace starling
