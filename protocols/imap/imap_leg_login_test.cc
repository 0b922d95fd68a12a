// IMAP's log-ins on a plaintext leg, where the operator allows them. imap_leg_test.cc has
// the rest of the leg, and how log-ins are refused.
#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/leg_testing.h"
#include "protocols/imap/imap.h"

namespace starling {
namespace {

DialogueOptions Options() {
  DialogueOptions options;
  options.hostname = "mail.example.org";
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = true;
  return options;
}

const std::string kHello = "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] Dovecot ready.\r\n";
const char kBroken[] = "* BYE Server broken, try again later\r\n";

TEST(ImapLegLogIn, LogInWhereAllowed) {
  const std::string in = "a OK [CAPABILITY IMAP4rev1 STARTTLS IDLE] Logged in\r\n";
  const std::string in_passed = "a OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n";
  const std::string caps = "* CAPABILITY IMAP4rev1\r\n";
  RunLegCases(
      {
          {"login",
           {{'c', "a LOGIN u p\r\nb SELECT INBOX\r\n"}, {'b', kHello + in}},
           in_passed,
           "a LOGIN u p\r\n",
           Verdict::kRelay,
           EndReason::kNone,
           {},
           "b SELECT INBOX\r\n"},
          {"wrong password",
           {{'c', "a LOGIN u p\r\n"},
            {'b', kHello + "a NO [AUTHENTICATIONFAILED] x\r\n"},
            {'c', "a LOGIN u q\r\n"},
            {'b', in}},
           "a NO [AUTHENTICATIONFAILED] x\r\n" + in_passed,
           "a LOGIN u p\r\na LOGIN u q\r\n",
           Verdict::kRelay},
          {"literals that wait",
           {{'c', "a LOGIN {1}\r\n"},
            {'b', kHello + "+ OK\r\n"},
            {'c', "u {2}\r\n"},
            {'b', "+ OK\r\n"},
            {'c', "pq\r\n"},
            {'b', in}},
           "+ OK\r\n+ OK\r\n" + in_passed,
           "a LOGIN {1}\r\nu {2}\r\npq\r\n",
           Verdict::kRelay},
          {"literals that do not",
           {{'c', "a LOGIN {1+}\r\nu {0+}\r\n\r\n"}, {'b', kHello}, {'b', in}},
           in_passed,
           "a LOGIN {1+}\r\nu {0+}\r\n\r\n",
           Verdict::kRelay},
          {"literal refused",
           {{'c', "a LOGIN {99}\r\n"}, {'b', kHello + "a BAD too long\r\n"}, {'c', "b NOOP\r\n"}},
           "a BAD too long\r\nb OK NOOP completed\r\n",
           "a LOGIN {99}\r\n"},
          {"literal too long",
           {{'c', "a LOGIN {8193+}\r\n"}, {'b', kHello}},
           "* BYE Literal too long\r\n",
           "",
           Verdict::kClose,
           EndReason::kLineTooLong,
           {Attack::kOverlongLine}},
          {"answered before it is whole",
           {{'c', "a LOGIN {5+}\r\n"}, {'b', kHello}, {'c', "ab"}, {'b', "a NO no\r\n"}},
           std::string("a NO no\r\n") + kBroken,
           "a LOGIN {5+}\r\nab",
           Verdict::kClose,
           EndReason::kBackendProtocol},
          {"authenticate",
           {{'c', "a AUTHENTICATE PLAIN\r\n"},
            {'b', kHello + "+ \r\n"},
            {'c', "AHUAcA==\r\n"},
            {'b', caps + in}},
           "+ \r\n* CAPABILITY IMAP4rev1 STARTTLS\r\n" + in_passed,
           "a AUTHENTICATE PLAIN\r\nAHUAcA==\r\n",
           Verdict::kRelay},
          {"a response is no literal",
           {{'c', "a AUTHENTICATE X\r\n"},
            {'b', kHello + "+ \r\n"},
            {'c', "{5+}\r\n"},
            {'b', "a NO\r\n"},
            {'c', "b NOOP\r\n"}},
           "+ \r\na NO \r\nb OK NOOP completed\r\n",
           "a AUTHENTICATE X\r\n{5+}\r\n"},
          {"login has no challenge",
           {{'c', "a LOGIN u p\r\n"}, {'b', kHello + "+ more\r\n"}},
           kBroken,
           "a LOGIN u p\r\n",
           Verdict::kClose,
           EndReason::kBackendProtocol,
           {Attack::kBackendInjection}},
          {"a forged mailbox before it succeeds",
           {{'c', "a LOGIN u p\r\n"}, {'b', kHello + "* 1 EXISTS\r\n" + in}},
           kBroken,
           "a LOGIN u p\r\n",
           Verdict::kClose,
           EndReason::kBackendProtocol,
           {Attack::kBackendInjection}},
          {"referral at success",
           {{'c', "a LOGIN u p\r\n"}, {'b', kHello + "a OK [REFERRAL imap://x/] go\r\n"}},
           "a OK Not available here\r\n",
           "a LOGIN u p\r\n",
           Verdict::kRelay,
           EndReason::kNone,
           {Attack::kBackendInjection}},
          {"success of something else is none",
           {{'c', "a X\r\n"}, {'b', kHello + "a OK Logged in\r\n"}},
           "a OK Logged in\r\n",
           "a X\r\n"},
      },
      CreateImap, Options());
}

TEST(ImapLegLogIn, NotTaken) {
  DialogueOptions options = Options();
  for (size_t piece : {std::string::npos, size_t{1}}) {
    DialogueDriver play(CreateImap, options, piece);
    play.Raise(EventKind::kStart);
    play.Client("a LOGIN u p\r\n");
    EXPECT_EQ(play.signals(), 1u << static_cast<unsigned>(Signal::kNotTaken));
    EXPECT_EQ(play.attacks(), 0u);
  }
}

}  // namespace
}  // namespace starling
