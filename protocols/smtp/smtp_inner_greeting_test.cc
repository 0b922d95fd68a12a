// What a server says first inside TLS: the gateway swallows a greeting, passes on a refusal
// with its code, and lets nothing else reach the client. smtp_replies_test.cc has the
// replies on a plaintext leg.
#include <gtest/gtest.h>

#include <string>

#include "protocols/smtp/smtp_testing.h"

namespace starling {
namespace {

const std::string kBroken = "421 4.3.2 mx.example Service not available, try again later\r\n";
constexpr size_t kPieces[] = {std::string::npos, 1, 5};

TEST(SmtpInnerGreeting, EveryClassOfReply) {
  const std::string text(3000, 'x');
  struct {
    std::string greeting, to_client;
    EndReason reason;
    uint16_t reply = 0;  // for the log
  } const cases[] = {
      {"220 b\r\n", "", EndReason::kNone},
      {"220 " + text + "\r\n", "", EndReason::kNone},
      {"220-" + text + "\r\n220 b\r\n", "", EndReason::kNone},
      {"554 5.3.2 " + text + "\r\n", "554 5.3.2 " + text + "\r\n", EndReason::kBackendRefused, 554},
      {"554-" + text + "\r\n554 no\r\n", "554-" + text + "\r\n554 no\r\n",
       EndReason::kBackendRefused, 554},
      {"450 no\r\n", "450 no\r\n", EndReason::kBackendRefused, 450},
      {"421 no\r\n", "421 no\r\n", EndReason::kBackendRefused, 421},
      {"220-wait\r\n421 no\r\n", "421 no\r\n", EndReason::kBackendRefused, 421},
      {"250 b\r\n", kBroken, EndReason::kBackendProtocol, 250},
      {"221 b\r\n", kBroken, EndReason::kBackendProtocol, 221},
      {"334 b\r\n", kBroken, EndReason::kBackendProtocol, 334},
      {"354 b\r\n", kBroken, EndReason::kBackendProtocol, 354},
      {"150 b\r\n", kBroken, EndReason::kBackendProtocol},  // SMTP has no such reply
      {"hello\r\n", kBroken, EndReason::kBackendProtocol},
      {"220-a\r\n250 b\r\n", kBroken, EndReason::kBackendProtocol, 250},
      {"554-a\r\n220 b\r\n", "554-a\r\n" + kBroken, EndReason::kBackendProtocol, 220},
      {"554-a\r\n450 b\r\n", "554-a\r\n" + kBroken, EndReason::kBackendProtocol, 450},
      {"554-a\r\n550 b\r\n", "554-a\r\n554 b\r\n", EndReason::kBackendRefused, 554},
      {"220-a\n220\tb\n", "", EndReason::kNone},
      {"554\tno\n", "554 no\r\n", EndReason::kBackendRefused, 554},
  };
  for (const auto& c : cases) {
    for (bool lmtp : {false, true}) {
      for (size_t piece : kPieces) {
        SCOPED_TRACE(c.greeting.substr(0, 20));
        DialogueOptions options;
        options.hostname = "mx.example";
        SmtpPlay play(options, lmtp, piece);
        play.Raise(EventKind::kStart);
        play.Client("STARTTLS\r\n");
        play.EnterTls();
        play.TakeToClient();
        play.Backend(c.greeting);
        EXPECT_EQ(play.TakeToClient(), c.to_client);
        EXPECT_EQ(Label(play.reason()), Label(c.reason));
        EXPECT_EQ(play.reply(), c.reply);
        EXPECT_EQ(play.verdict(), c.reason == EndReason::kNone ? Verdict::kRelay : Verdict::kClose);
        if (play.verdict() != Verdict::kRelay) continue;
        EXPECT_EQ(play.backend_left(), "");
      }
    }
  }
}

}  // namespace
}  // namespace starling
