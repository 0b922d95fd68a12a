// ManageSieve under `policy: opportunistic`.
#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/limits.h"
#include "protocols/frames/long_lines.h"
#include "protocols/frames/testing/leg_testing.h"
#include "protocols/managesieve/managesieve.h"

namespace starling {
namespace {

using namespace std::string_literals;

DialogueOptions Options(bool plaintext_auth) {
  DialogueOptions options;
  options.hostname = "mail.example.org";
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = plaintext_auth;
  return options;
}

const std::string kList =
    "\"IMPLEMENTATION\" \"Dovecot\"\r\n\"SASL\" \"PLAIN SCRAM-SHA-1-PLUS LOGIN\"\r\n"
    "\"STARTTLS\"\r\n\"XCLIENT\" \"ADDR\"\r\n\"VERSION\" \"1.0\"\r\nOK \"ready.\"\r\n";
const std::string kNo = "NO \"Unknown command.\"\r\n";
const Move kOpen = {'c', "LISTSCRIPTS\r\n"};
const std::string kOpened = "LISTSCRIPTS\r\n";
const char kEncrypt[] = "NO (ENCRYPT-NEEDED) \"Use STARTTLS first.\"\r\n";
const char kBroken[] = "BYE \"Server broken, try again later\"\r\n";

LegCase OnLeg(std::string name, std::string client, std::string backend, std::string to_client,
              Verdict verdict = Verdict::kContinue, EndReason reason = EndReason::kNone,
              std::vector<Attack> attacks = {}) {
  return {name,
          {kOpen, {'b', kList + kNo}, {'c', client}, {'b', backend}},
          kNo + to_client,
          kOpened + client,
          verdict,
          reason,
          attacks};
}

TEST(ManageSieveLeg, OpensAtTheFirstCommandThatIsNotAnsweredHere) {
  RunLegCases(
      {
          {"none for queries and claims",
           {{'c', "NOOP\r\nXCLIENT x\r\n"}},
           "OK \"NOOP completed.\"\r\nNO \"Command not accepted before STARTTLS.\"\r\n",
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kIdentityClaim}},
          {"none for a refused log-in",
           {{'c', "AUTHENTICATE \"PLAIN\" {8+}\r\nAHUAcA==\r\n"}},
           kEncrypt,
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kPlaintextAuth}},
          {"all of the greeting is swallowed", {kOpen, {'b', kList}}, "", kOpened, Verdict::kHold},
          {"with a literal in it",
           {kOpen, {'b', "\"IMPLEMENTATION\" {5}\r\nOK\r\nx\r\n" + kList}},
           "",
           kOpened,
           Verdict::kHold},
          {"not to its end",
           {kOpen, {'b', "\"SASL\" \"\"\r\n"}},
           "",
           "",
           Verdict::kHold,
           EndReason::kNone,
           {},
           kOpened},
          {"busy",
           {kOpen, {'b', "BYE \"busy\"\r\n"}},
           "BYE \"busy\"\r\n",
           "",
           Verdict::kClose,
           EndReason::kBackendRefused},
          {"referral",
           {kOpen, {'b', "BYE (REFERRAL \"sieve://evil\") \"go\"\r\n"}},
           "BYE \"Not available here.\"\r\n",
           "",
           Verdict::kClose,
           EndReason::kBackendRefused,
           {Attack::kBackendInjection}},
          {"another protocol",
           {kOpen, {'b', "* OK IMAP\r\n"}},
           kBroken,
           "",
           Verdict::kClose,
           EndReason::kBackendProtocol},
      },
      CreateManageSieve, Options(false));
  std::string endless;
  for (int i = 0; i < 2000; ++i) endless += "\"X\" \"y\"\r\n";
  RunLegCases({{"endless greeting",
                {kOpen, {'b', endless}},
                "BYE \"The server's greeting is longer than this gateway allows\"\r\n",
                "",
                Verdict::kClose,
                EndReason::kBackendTooLong}},
              CreateManageSieve, Options(false));
}

TEST(ManageSieveLeg, CapabilitiesAreEdited) {
  const std::string head = "\"IMPLEMENTATION\" \"Dovecot\"\r\n\"SASL\" \"";
  const std::string tail = "\"\r\n\"VERSION\" \"1.0\"\r\n\"STARTTLS\"\r\nOK \"ready.\"\r\n";
  RunLegCases({OnLeg("refused", "CAPABILITY\r\n", kList, head + tail)}, CreateManageSieve,
              Options(false));
  RunLegCases({OnLeg("allowed", "CAPABILITY\r\n", kList, head + "PLAIN LOGIN" + tail)},
              CreateManageSieve, Options(true));
  // Whatever separates the words: clients split them in different ways.
  const std::string end = "\"STARTTLS\"\r\nOK\r\n";
  std::vector<LegCase> refused;
  for (const char* line : {"\"SASL\"\t\"PLAIN\"", "\"SASL\"  \"PLAIN\"", "\"SASL\"\"PLAIN\"",
                           "\"sasl\"\vPLAIN", "\"SASL \" \"PLAIN\"", "\"SASL\" \t \"\tPLAIN\""}) {
    refused.push_back(
        OnLeg(line, "CAPABILITY\r\n", line + ("\r\nOK\r\n"s), "\"SASL\" \"\"\r\n" + end));
  }
  refused.push_back(OnLeg("the upgrade, a claim", "CAPABILITY\r\n",
                          "\"STARTTLS\"\t\r\n\"XCLIENT\"\t\"ADDR\"\r\nOK\r\n", end));
  refused.push_back(OnLeg("others as they are", "CAPABILITY\r\n",
                          "\"X\"\t\"y  z\" \r\n\"\r\nOK\r\n", "\"X\"\t\"y  z\" \r\n\"\r\n" + end));
  RunLegCases(refused, CreateManageSieve, Options(false));
  RunLegCases({OnLeg("tabs between mechanisms", "CAPABILITY\r\n",
                     "\"SASL\"\t\"A\tB-PLUS  C\"\r\nOK\r\n", "\"SASL\" \"A C\"\r\n" + end)},
              CreateManageSieve, Options(true));
}

TEST(ManageSieveLeg, WhatABackendMayNotSay) {
  const Verdict close = Verdict::kClose;
  const EndReason bad = EndReason::kBackendProtocol;
  const std::vector<Attack> attack = {Attack::kBackendInjection};
  RunLegCases(
      {
          OnLeg("a list of scripts", "LISTSCRIPTS\r\n", "\"evil\" ACTIVE\r\nOK\r\n", kBroken, close,
                bad, attack),
          OnLeg("a script", "GETSCRIPT \"x\"\r\n", "{4}\r\nkeep\r\nOK\r\n", kBroken, close, bad,
                attack),
          OnLeg("unasked", "", "OK \"done\"\r\n", kBroken, close, bad, attack),
          OnLeg("referral", "LISTSCRIPTS\r\n", "NO (referral \"sieve://evil\") \"go\"\r\n",
                "NO \"Not available here.\"\r\n", Verdict::kContinue, EndReason::kNone, attack),
          OnLeg("white space first", "LISTSCRIPTS\r\n", " NO\r\n", kBroken, close, bad, attack),
          OnLeg("a text as a literal", "LISTSCRIPTS\r\n", "NO {7}\r\nOK\r\nno!\r\n",
                "NO {7}\r\nOK\r\nno!\r\n"),
          OnLeg("a huge one", "LISTSCRIPTS\r\n", "NO {99999}\r\nOK\r\n", "NO {99999}\r\nOK\r\n",
                Verdict::kHold),
          OnLeg("its goodbye", "", "BYE \"idle\"\r\n", "BYE \"idle\"\r\n", close,
                EndReason::kBackendClosed),
          OnLeg("overlong", "LISTSCRIPTS\r\n", std::string(3000, 'O'), kBroken, close, bad, attack),
      },
      CreateManageSieve, Options(false));
}

// Until the line has ended, the client gets only the backend's octets. The gateway's own
// words would become part of the literal or of the line.
TEST(ManageSieveLeg, NothingIsSaidAmidALineWithALiteral) {
  const std::string head = "BYE {5}\r\n";
  const std::string bye = head + "hello (idle)\r\n";
  for (size_t cut = head.size(); cut < bye.size(); ++cut) {
    RunLegCases({{"cut at " + std::to_string(cut),
                  {kOpen,
                   {'b', kList + kNo},
                   {'b', bye.substr(0, cut)},
                   {'c', "NOOP\r\n"},
                   {'b', bye.substr(cut)}},
                  kNo + bye,
                  kOpened,
                  Verdict::kClose,
                  EndReason::kBackendClosed}},
                CreateManageSieve, Options(false));
  }
  const std::string gone = "BYE (TRYLATER) \"Server not available, try again later.\"\r\n";
  struct End {
    std::string backend, to_client;
  };
  const End ends[] = {{head, head},
                      {head + "hell", head + "hell"},
                      {head + "hello", head + "hello\r\n" + gone},
                      {head + "hello (id", head + "hello\r\n" + gone},
                      {"BYE {0}\r\n", "BYE {0}\r\n\r\n" + gone}};
  for (const End& end : ends) {
    RunLegCases({{"the end behind " + end.backend,
                  {kOpen, {'b', kList + kNo}, {'b', end.backend}, {'x'}},
                  kNo + end.to_client,
                  kOpened,
                  Verdict::kClose,
                  EndReason::kBackendClosed}},
                CreateManageSieve, Options(false));
  }
  const std::string referral = "BYE (REFERRAL \"sieve://evil\") {5}\r\nhe";
  RunLegCases({{"of which the client has nothing",
                {kOpen, {'b', kList + kNo}, {'b', referral}, {'x'}},
                kNo + "BYE \"Not available here.\"\r\n" + gone,
                kOpened,
                Verdict::kClose,
                EndReason::kBackendClosed,
                {Attack::kBackendInjection}}},
              CreateManageSieve, Options(false));
}

TEST(ManageSieveLeg, NoReferralPassesHoweverItsWordsAreKeptApart) {
  const std::string far(3000, ' ');
  // So long that the first piece of the line ends inside the word.
  const std::string cut(kMaxServerLine - LongLines::kTail - 1 - 2 - 4, ' ');
  for (const std::string& line :
       {"NO  (REFERRAL \"sieve://evil\") \"x\""s, "NO\t(REFERRAL \"sieve://evil\") \"x\""s,
        "NO \t( referral\t\"sieve://evil\") \"x\""s, "NO \v(\fREFERRAL \"sieve://evil\")"s,
        "NO (REFERRAL\"sieve://evil\")"s, "NO" + far + "(REFERRAL \"sieve://evil\")",
        "NO (" + far + "REFERRAL \"sieve://evil\")", "NO" + cut + "(REFERRAL \"sieve://evil\")"}) {
    RunLegCases({OnLeg(line, "LISTSCRIPTS\r\n", line + "\r\n", "NO \"Not available here.\"\r\n",
                       Verdict::kContinue, EndReason::kNone, {Attack::kBackendInjection})},
                CreateManageSieve, Options(false));
  }
  const std::string other = "NO  (QUOTA)\t\"x\"\r\n";
  RunLegCases({OnLeg("others as they are", "LISTSCRIPTS\r\n", other, other)}, CreateManageSieve,
              Options(false));
}

TEST(ManageSieveLeg, LogInWhereAllowed) {
  const std::string plain = "AUTHENTICATE \"PLAIN\"";
  RunLegCases(
      {
          {"with a response",
           {{'c', plain + " \"AHUAcA==\"\r\nLISTSCRIPTS\r\n"}, {'b', kList + "OK \"in\"\r\n"}},
           "OK \"in\"\r\n",
           plain + " \"AHUAcA==\"\r\n",
           Verdict::kRelay,
           EndReason::kNone,
           {},
           "LISTSCRIPTS\r\n"},
          {"with a literal",
           {{'c', plain + " {8+}\r\nAHUAcA==\r\n"}, {'b', kList}, {'b', "OK\r\n"}},
           "OK\r\n",
           plain + " {8+}\r\nAHUAcA==\r\n",
           Verdict::kRelay},
          {"by challenges",
           {{'c', plain + "\r\n"},
            {'b', kList + "\"\"\r\n"},
            {'c', "{8+}\r\nAHUAcA==\r\n"},
            {'b', "{4}\r\nOK\r\n\r\n"},
            {'c', "\"\"\r\n"},
            {'b', "NO \"no\"\r\n"},
            {'c', "NOOP\r\n"}},
           "\"\"\r\n{4}\r\nOK\r\n\r\nNO \"no\"\r\nOK \"NOOP completed.\"\r\n",
           plain + "\r\n{8+}\r\nAHUAcA==\r\n\"\"\r\n"},
          {"the gateway's list has it",
           {{'c', "CAPABILITY\r\n"}},
           "\"IMPLEMENTATION\" \"Starling\"\r\n\"SIEVE\" \"\"\r\n\"SASL\" \"PLAIN\"\r\n"
           "\"VERSION\" \"1.0\"\r\n\"STARTTLS\"\r\nOK \"mail.example.org Capability "
           "completed\"\r\n",
           ""},
      },
      CreateManageSieve, Options(true));
}

TEST(ManageSieveLeg, LogInIsRefusedAtEveryPoint) {
  RunLegCases({{"on the leg",
                {kOpen, {'b', kList + kNo}, {'c', "AUTHENTICATE \"PLAIN\" \"AHUAcA==\"\r\n"}},
                kNo + kEncrypt,
                kOpened,
                Verdict::kContinue,
                EndReason::kNone,
                {Attack::kPlaintextAuth}},
               {"smuggled",
                {kOpen, {'b', kList + kNo}, {'c', "PUTSCRIPT \"x\" {14+}\r\nAUTHENTICATE\r\n\r\n"}},
                kNo + "NO \"Literals are not accepted before STARTTLS.\"\r\n",
                kOpened}},
              CreateManageSieve, Options(false));
}

TEST(ManageSieveLeg, NothingPassesInWhichALenientBackendMightFindALogIn) {
  for (const char* line :
       {" AUTHENTICATE \"PLAIN\"", "AUTHENTICATE\"PLAIN\"", "AUTHENTICATE\t\"PLAIN\"", ""}) {
    RunLegCases({{line,
                  {{'c', line + std::string("\r\n")}},
                  "NO \"Command not accepted before STARTTLS.\"\r\n",
                  ""}},
                CreateManageSieve, Options(false));
  }
}

TEST(ManageSieveLeg, Upgrade) {
  const std::string go = "OK \"Begin TLS negotiation now.\"\r\n";
  RunLegUpgrade(CreateManageSieve, Options(false), {kOpen, {'b', kList + kNo}}, "STARTTLS\r\n", go);
}

}  // namespace
}  // namespace starling
