// IMAP under `policy: opportunistic`. imap_leg_login_test.cc has the log-ins that it allows.
#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/leg_testing.h"
#include "protocols/imap/imap.h"

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

const std::string kHello = "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] Dovecot ready.\r\n";
const char kPrivacy[] = "a NO [PRIVACYREQUIRED] Use STARTTLS first\r\n";
const char kBroken[] = "* BYE Server broken, try again later\r\n";
const std::string kNoSuch = "a BAD No such command\r\n";

// The client's first command, which opens a leg. The leg is then up and idle.
const Move kOpen = {'c', "a ENABLE X\r\n"};
const std::string kOpened = "a ENABLE X\r\n";

LegCase OnLeg(std::string name, std::string client, std::string backend, std::string to_client,
              Verdict verdict = Verdict::kContinue, EndReason reason = EndReason::kNone,
              std::vector<Attack> attacks = {}) {
  return {name,
          {kOpen, {'b', kHello + kNoSuch}, {'c', client}, {'b', backend}},
          kNoSuch + to_client,
          kOpened + client,
          verdict,
          reason,
          attacks};
}

TEST(ImapLeg, GreetingsSayWhetherLogInIsPossible) {
  for (bool allowed : {false, true}) {
    DialogueOptions options = Options(allowed);
    DialogueDriver play(CreateImap, options);
    play.Raise(EventKind::kStart);
    EXPECT_EQ(play.TakeToClient(), std::string("* OK [CAPABILITY IMAP4rev1 ID STARTTLS") +
                                       (allowed ? "" : " LOGINDISABLED") +
                                       "] mail.example.org IMAP ready\r\n");
  }
}

TEST(ImapLeg, OpensAtTheFirstCommandThatIsNotAnsweredHere) {
  RunLegCases(
      {
          {"none for queries",
           {{'c', "a NOOP\r\na CAPABILITY\r\na ID NIL\r\n"}},
           "a OK NOOP completed\r\n* CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED\r\n"
           "a OK Capability completed\r\n* ID NIL\r\na OK ID completed\r\n",
           ""},
          {"none for a refused log-in",
           {{'c', "a LOGIN u p\r\n"}},
           kPrivacy,
           "",
           Verdict::kContinue,
           EndReason::kNone,
           {Attack::kPlaintextAuth}},
          {"waits for the greeting",
           {kOpen},
           "",
           "",
           Verdict::kHold,
           EndReason::kNone,
           {},
           kOpened},
          {"greeting swallowed", {kOpen, {'b', kHello}}, "", kOpened, Verdict::kHold},
          {"one at a time",
           {{'c', kOpened + "b X\r\nc NOOP\r\n"}, {'b', kHello + kNoSuch}},
           kNoSuch,
           kOpened + "b X\r\n",
           Verdict::kHold,
           EndReason::kNone,
           {},
           "c NOOP\r\n"},
          {"and each in its turn",
           {{'c', kOpened + "b X\r\nc NOOP\r\n"}, {'b', kHello + kNoSuch + "b NO\r\n"}},
           kNoSuch + "b NO \r\nc OK NOOP completed\r\n",
           kOpened + "b X\r\n"},
          {"preauth",
           {kOpen, {'b', "* PREAUTH hello\r\n* 1 EXISTS\r\n"}},
           kBroken,
           "",
           Verdict::kClose,
           EndReason::kBackendPreauth,
           {Attack::kPreauth}},
          {"busy",
           {kOpen, {'b', "* BYE Too many users\r\n"}},
           "* BYE Too many users\r\n",
           "",
           Verdict::kClose,
           EndReason::kBackendRefused},
          {"busy, with a referral",
           {kOpen, {'b', "* BYE [REFERRAL imap://evil.example/] Go there\r\n"}},
           "* BYE Not available here\r\n",
           "",
           Verdict::kClose,
           EndReason::kBackendRefused,
           {Attack::kBackendInjection}},
          {"another protocol",
           {kOpen, {'b', "220 mx ESMTP\r\n"}},
           kBroken,
           "",
           Verdict::kClose,
           EndReason::kBackendProtocol},
          {"endless greeting",
           {kOpen, {'b', std::string(5000, '*')}},
           kBroken,
           "",
           Verdict::kClose,
           EndReason::kBackendProtocol},
      },
      CreateImap, Options(false));
}

TEST(ImapLeg, CapabilitiesAreEdited) {
  const std::string list =
      "IMAP4rev1 SASL-IR LOGIN-REFERRALS IDLE starttls AUTH=PLAIN "
      "AUTH=SCRAM-SHA-256-PLUS";
  const std::string backend =
      "* CAPABILITY " + list + "\r\nb OK [CAPABILITY " + list + "] done\r\n";
  const std::string refused = "CAPABILITY IMAP4rev1 IDLE STARTTLS LOGINDISABLED";
  RunLegCases({OnLeg("refused", "b CAPABILITY\r\n", backend,
                     "* " + refused + "\r\nb OK [" + refused + "] done\r\n"),
               OnLeg("tabs and spaces", "b CAPABILITY\r\n",
                     "*\tCAPABILITY\tIMAP4\tAUTH=PLAIN  SASL-IR\vAUTH=X\fIDLE \r\n"
                     "b OK\t[CAPABILITY\tIMAP4\t AUTH=PLAIN\tstarttls ] done\r\n",
                     "* CAPABILITY IMAP4 IDLE STARTTLS LOGINDISABLED\r\n"
                     "b OK [CAPABILITY IMAP4 STARTTLS LOGINDISABLED] done\r\n"),
               OnLeg("a cut word behind a tab", "b CAPABILITY\r\n",
                     "* CAPABILITY A\tB" + std::string(3000, 'x') + "\r\nb OK\r\n",
                     "* CAPABILITY A STARTTLS LOGINDISABLED\r\nb OK \r\n"),
               OnLeg("the backend's word is not needed twice", "b X\r\n",
                     "* OK [CAPABILITY A LOGINDISABLED] x\r\nb OK\r\n",
                     "* OK [CAPABILITY A STARTTLS LOGINDISABLED] x\r\nb OK \r\n")},
              CreateImap, Options(false));
  const std::string allowed = "CAPABILITY IMAP4rev1 SASL-IR IDLE AUTH=PLAIN STARTTLS";
  RunLegCases(
      {OnLeg("allowed", "b CAPABILITY\r\n", backend,
             "* " + allowed + "\r\nb OK [" + allowed + "] done\r\n"),
       OnLeg("by us, but not by the backend", "b X\r\n", "b OK [CAPABILITY A LOGINDISABLED] x\r\n",
             "b OK [CAPABILITY A LOGINDISABLED STARTTLS] x\r\n")},
      CreateImap, Options(true));
}

TEST(ImapLeg, NothingOfAMailboxPassesBeforeLogIn) {
  const Verdict close = Verdict::kClose;
  const EndReason bad = EndReason::kBackendProtocol;
  const std::vector<Attack> attack = {Attack::kBackendInjection};
  const std::string broken = kBroken;
  std::vector<LegCase> cases;
  for (const char* line :
       {"* 1 EXISTS", "* LIST () \"/\" INBOX", "* 1 FETCH (FLAGS ())", "* FLAGS ()", "* SEARCH 1",
        "* STATUS x ()", "+ go ahead", "c OK of another", "B OK of another", "b YES", "nonsense",
        "", "*", "* CAPABILITIES x"}) {
    cases.push_back(
        OnLeg(line, "b X\r\n", line + std::string("\r\nb OK\r\n"), broken, close, bad, attack));
  }
  cases.push_back(OnLeg("unasked", "", "b OK done\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("log-in unasked", "", "a OK Logged in\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("late preauth", "", "* PREAUTH x\r\n", broken, close,
                        EndReason::kBackendPreauth, {Attack::kPreauth}));
  cases.push_back(OnLeg("NUL", "b X\r\n", std::string("* OK \0\r\n", 8), broken, close, bad));
  cases.push_back(OnLeg("binary", "b X\r\n", "\x16\x03\x01\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("a word of the server", "", "* OK [ALERT] soon down\r\n",
                        "* OK [ALERT] soon down\r\n"));
  cases.push_back(OnLeg("its goodbye", "", "* BYE idle\r\n* 1 EXISTS\r\n", "* BYE idle\r\n", close,
                        EndReason::kBackendClosed));
  cases.push_back(OnLeg("referral", "b X\r\n", "b NO [REFERRAL imap://evil.example/] go\r\n",
                        "b NO Not available here\r\n", Verdict::kContinue, EndReason::kNone,
                        attack));
  // Whatever separates the words: clients split them in different ways.
  for (const char* line : {"b NO  [REFERRAL imap://evil/] x", "b NO\t[REFERRAL imap://evil/] x",
                           "b\tNO [REFERRAL imap://evil/] x", "b  NO [REFERRAL imap://evil/] x",
                           "b NO \t [REFERRAL\timap://evil/] x", "b NO [ REFERRAL imap://e/] x",
                           "b NO \v[REFERRAL\fimap://evil/]", "b NO [\treferral] x"}) {
    cases.push_back(OnLeg(line, "b X\r\n", line + "\r\n"s, "b NO Not available here\r\n",
                          Verdict::kContinue, EndReason::kNone, attack));
  }
  cases.push_back(OnLeg("unasked referral", "", "*  OK\t [REFERRAL imap://evil/] x\r\n",
                        "* OK Not available here\r\n", Verdict::kContinue, EndReason::kNone,
                        attack));
  const std::string far(3000, ' ');
  cases.push_back(OnLeg("a code too far away", "b X\r\n", "b NO" + far + "[REFERRAL imap://e/]\r\n",
                        "b NO Not available here\r\n"));
  cases.push_back(
      OnLeg("white space first", "b X\r\n", " b NO no\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("a tab first", "", "\t* OK hi\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("late preauth behind a tab", "", "*\tPREAUTH x\r\n", broken, close,
                        EndReason::kBackendPreauth, {Attack::kPreauth}));
  cases.push_back(
      OnLeg("a mailbox behind a tab", "", "*\t1 EXISTS\r\n", broken, close, bad, attack));
  cases.push_back(OnLeg("text with its spaces", "b X\r\n", "b\tNO  no  such\tthing \r\n",
                        "b NO no  such\tthing \r\n"));
  cases.push_back(OnLeg("a code without an end", "b X\r\n", "b NO [referral imap://evil\r\n",
                        "b NO Not available here\r\n"));
  RunLegCases(cases, CreateImap, Options(false));
}

TEST(ImapLeg, LogInIsRefusedAtEveryPoint) {
  LegCase c = {"on the leg",
               {kOpen,
                {'b', kHello + kNoSuch},
                {'c',
                 "a LOGIN u p\r\na authenticate PLAIN AHUAcA==\r\na LOGIN {1+}\r\nu {1+}\r\n"
                 "p\r\n"}},
               kNoSuch + kPrivacy + kPrivacy + kPrivacy,
               kOpened,
               Verdict::kContinue,
               EndReason::kNone,
               {Attack::kPlaintextAuth}};
  RunLegCases({c}, CreateImap, Options(false));
  // The gateway also passes on no line in which a lenient backend might find one.
  for (const char* line : {"a  LOGIN u p", "a LOGIN\tu p", "a \"LOGIN\" u p", "a \tLOGIN u p"}) {
    RunLegCases({{line,
                  {kOpen, {'b', kHello + kNoSuch}, {'c', line + std::string("\r\n")}},
                  kNoSuch + "a BAD Command not accepted before STARTTLS\r\n",
                  kOpened}},
                CreateImap, Options(false));
  }
  // A literal with a log-in never reaches a backend that may not know literals.
  RunLegCases({{"smuggled",
                {kOpen, {'b', kHello + kNoSuch}, {'c', "a X {13+}\r\na LOGIN u p\r\n\r\n"}},
                kNoSuch + "a BAD Literals are not accepted before STARTTLS\r\n",
                kOpened}},
              CreateImap, Options(false));
}

TEST(ImapLeg, Upgrade) {
  const std::string go = "s OK Begin TLS negotiation now\r\n";
  RunLegUpgrade(CreateImap, Options(false), {kOpen, {'b', kHello + kNoSuch + "b BAD"}},
                "s STARTTLS\r\n", go);
  RunLegUpgrade(CreateImap, Options(true), {{'c', "a LOGIN u p\r\n"}, {'b', kHello + "a NO x\r\n"}},
                "s STARTTLS\r\n", go);
  // After a command, it waits for that command's reply.
  RunLegCases({{"pipelined",
                {{'c', kOpened + "s STARTTLS\r\n"}, {'b', kHello}},
                "",
                kOpened,
                Verdict::kHold,
                EndReason::kNone,
                {},
                "s STARTTLS\r\n"}},
              CreateImap, Options(false));
}

TEST(ImapLeg, Ends) {
  const std::string down = "* BYE [UNAVAILABLE] Server not available, try again later\r\n";
  RunLegCases(
      {
          {"the client's",
           {kOpen, {'b', kHello + kNoSuch}, {'e'}},
           kNoSuch,
           kOpened,
           Verdict::kClose,
           EndReason::kClientClosed},
          {"the backend's",
           {kOpen, {'b', kHello + kNoSuch}, {'x'}},
           kNoSuch + down,
           kOpened,
           Verdict::kClose,
           EndReason::kBackendClosed},
          {"the backend's, before it greets",
           {kOpen, {'b', "* OK"}, {'x'}},
           down,
           "",
           Verdict::kClose,
           EndReason::kBackendProtocol},
          {"logout",
           {kOpen, {'b', kHello + kNoSuch}, {'c', "b LOGOUT\r\n"}},
           kNoSuch + "* BYE Logging out\r\nb OK Logout completed\r\n",
           kOpened,
           Verdict::kClose,
           EndReason::kGoodbye},
      },
      CreateImap, Options(false));
}

TEST(ImapLeg, TooManyCommands) {
  DialogueOptions options = Options(false);
  options.max_commands = 2;
  RunLegCases({{"on the leg",
                {kOpen, {'b', kHello + kNoSuch}, {'c', "b NOOP\r\nc NOOP\r\n"}},
                kNoSuch + "b OK NOOP completed\r\n* BYE Too many commands without TLS\r\n",
                kOpened,
                Verdict::kClose,
                EndReason::kTooManyErrors}},
              CreateImap, options);
}

}  // namespace
}  // namespace starling
