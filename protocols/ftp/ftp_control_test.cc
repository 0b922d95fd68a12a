// FTP inside TLS: greeting, own replies, and how the control connection ends.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"

namespace starling {
namespace {

// A channel from the server takes a listening socket before the server has agreed to
// anything.
TEST(FtpControl, ActiveWantsLogIn) {
  const std::string port = "PORT 192,0,2,1,100,1\r\n";
  RunControl({
      {.name = "before it",
       .moves = {{C, port + "EPRT |1|192.0.2.1|25601|\r\n"}},
       .to_client = "530 Log in first\r\n530 Log in first\r\n",
       .logged_in = false},
      {.name = "refused",
       .moves = {{C, "PASS x\r\n" + port}, {B, "530 no\r\n"}},
       .to_client = "530 no\r\n530 Log in first\r\n",
       .to_backend = "PASS x\r\n",
       .logged_in = false},
      {.name = "under way",
       .moves = {{C, "PASS x\r\n" + port}, {B, "230 in\r\n"}, {B, "200 ok\r\n"}},
       .to_client = "230 in\r\n200 ok\r\n",
       .to_backend = "PASS x\r\nPORT 203,0,113,7,160,0\r\n",
       .asked = "from server, 25601;",
       .logged_in = false},
  });
}

TEST(FtpControl, WhatTheServerOwes) {
  const DialogueOptions options;
  FtpPlay play(options, std::string::npos);
  play.EnterTls(&kV4);
  EXPECT_FALSE(play.IsOwedAnswer()) << "the greeting has a deadline of its own";
  play.Backend("220 ready\r\n");
  EXPECT_FALSE(play.IsOwedAnswer());
  play.Client("USER x\r\n");
  EXPECT_TRUE(play.IsOwedAnswer());
  play.Backend("331 password\r\n");
  EXPECT_FALSE(play.IsOwedAnswer());
  play.Client("PASS x\r\n");
  play.Backend("230-welcome\r\n");
  EXPECT_TRUE(play.IsOwedAnswer()) << "amid a reply";
  play.Backend("230 in\r\n");
  EXPECT_FALSE(play.IsOwedAnswer());
}

TEST(FtpControl, Greeting) {
  const struct {
    std::string greeting, said;
    Verdict verdict;
    EndReason reason;
  } cases[] = {
      {"220 ready\r\n", "", Verdict::kContinue, EndReason::kNone},
      {"120 soon\r\n220 ready\r\n", "", Verdict::kContinue, EndReason::kNone},
      {"220-ready", "", Verdict::kContinue, EndReason::kNone},
      {"421 busy\r\n", "421 busy\r\n", Verdict::kClose, EndReason::kBackendRefused},
      {"530-no\r\n530 no\r\n", "530-no\r\n530 no\r\n", Verdict::kClose, EndReason::kBackendRefused},
      {"hello\r\n", kBroken, Verdict::kClose, EndReason::kBackendProtocol},
  };
  for (const auto& c : cases) {
    for (const size_t piece : {std::string::npos, size_t{1}}) {
      SCOPED_TRACE(c.greeting);
      const DialogueOptions options;
      FtpPlay play(options, piece);
      play.Raise(EventKind::kStart);
      play.Client("AUTH TLS\r\n");
      play.TakeToClient();
      play.EnterTls(&kV4);
      play.Client("USER x\r\n");
      play.Backend(c.greeting);
      EXPECT_EQ(play.TakeToClient(), c.said);
      EXPECT_EQ(play.verdict(), c.verdict);
      EXPECT_EQ(Label(play.reason()), Label(c.reason));
      const bool served = c.greeting.find("220 ") != std::string::npos;
      EXPECT_EQ(play.TakeToBackend(), served ? "USER x\r\n" : "");
    }
  }
}

TEST(FtpControl, ImplicitGreetingIsPassedOn) {
  const DialogueOptions options;
  FtpPlay play(options);
  play.ListenAt(&kListen4);
  play.EnterTls(&kV4);
  play.Backend("220 ready\r\n");
  EXPECT_EQ(play.TakeToClient(), "220 ready\r\n");
  // Data on it is private without PROT.
  play.Client("PASV\r\nRETR x\r\n");
  EXPECT_EQ(play.TakeToBackend(), "PASV\r\nRETR x\r\n");
}

TEST(FtpControl, OwnReplies) {
  RunControl(
      {{"protection",
        {{C, "PROT P\r\n" + kPrivate + "PROT C\r\nPROT S\r\nPROT E\r\nPROT x\r\nPBSZ x\r\n"}},
        "503 PBSZ first\r\n" + kPrivateReply +
            "200 Data is clear: no transfer without PROT P\r\n536 Use PROT P\r\n"
            "536 Use PROT P\r\n504 Unknown protection\r\n501 PBSZ takes a number\r\n",
        ""},
       {"no way back", {{C, "CCC\r\n"}}, "534 The control connection stays protected\r\n", ""},
       {"again", {{C, "AUTH TLS\r\n"}}, "503 TLS is active already\r\n", ""},
       {"refused",
        {{C, "LPRT 4\r\nLPSV\r\nCPSV\r\nSSCN ON\r\nREIN\r\nMIC x\r\n"}},
        kNotHere + kNotHere + kNotHere + kNotHere + kNotHere + kNotHere,
        ""},
       {"other modes",
        {{C, "MODE B\r\nMODE c\r\nMODE S\r\n"}, {B, "200 ok\r\n"}},
        "504 A file ends with its connection here\r\n504 A file ends with its connection here\r\n"
        "200 ok\r\n",
        "MODE S\r\n"},
       {"no word",
        {{C, "\r\n US\r\nU\xffS\r\n"}},
        "500 Unknown command\r\n500 Unknown command\r\n500 Unknown command\r\n",
        ""}});
}

TEST(FtpControl, OwnRepliesKeepTheirPlace) {
  RunControl({{"pipelined",
               {{C, "USER x\r\nPBSZ 0\r\nPASS y\r\nPROT P\r\n"},
                {B, "331 a\r\n"},
                {B, "230-b\r\n230 c\r\n"}},
               "331 a\r\n200 PBSZ=0\r\n230-b\r\n230 c\r\n200 Data is private\r\n",
               "USER x\r\nPASS y\r\n"},
              {"no more wait than are allowed",
               {{C, "NOOP\r\n" + kPrivate + kPrivate + kPrivate + kPrivate + kPrivate}},
               "",
               "NOOP\r\n",
               "",
               Verdict::kContinue,
               EndReason::kNone,
               {},
               kPrivate}});
}

TEST(FtpControl, Features) {
  const std::string ours = " AUTH TLS\r\n PBSZ\r\n PROT\r\n";
  RunControl({{"edited",
               {{C, "FEAT\r\n"},
                {B,
                 "211-Features:\r\n AUTH SSL\r\n EPSV\r\n PBSZ\r\n CCC\r\n SSCN\r\n MLST type*;\r\n"
                 " PROT\r\n211 End\r\n"}},
               "211-Features:\r\n EPSV\r\n MLST type*;\r\n" + ours + "211 End\r\n",
               "FEAT\r\n"},
              {"none",
               {{C, "FEAT\r\n"}, {B, "211 none\r\n"}},
               "211-Features:\r\n" + ours + "211 End\r\n",
               "FEAT\r\n"},
              {"unknown", {{C, "FEAT\r\n"}, {B, "500 what\r\n"}}, "500 what\r\n", "FEAT\r\n"}});
}

TEST(FtpControl, Ends) {
  RunControl({{"QUIT",
               {{C, "QUIT\r\n"}, {B, "221 bye\r\n"}},
               "221 bye\r\n",
               "QUIT\r\n",
               "",
               Verdict::kClose,
               EndReason::kClientClosed},
              {"refused", {{C, "QUIT\r\n"}, {B, "500 no\r\n"}}, "500 no\r\n", "QUIT\r\n"},
              {"unasked",
               {{B, "421 bored\r\n"}},
               "421 bored\r\n",
               "",
               "",
               Verdict::kClose,
               EndReason::kBackendClosed},
              {"injection",
               {{B, "230 logged in\r\n"}},
               kBroken,
               "",
               "",
               Verdict::kClose,
               EndReason::kBackendProtocol,
               {Attack::kBackendInjection}},
              {"no reply",
               {{C, "NOOP\r\n"}, {B, "hello\r\n"}},
               kBroken,
               "NOOP\r\n",
               "",
               Verdict::kClose,
               EndReason::kBackendProtocol,
               {Attack::kBackendInjection}},
              {"a NUL",
               {{C, std::string("RETR \0\r\n", 8)}},
               "421 NUL received\r\n",
               "",
               "",
               Verdict::kClose,
               EndReason::kBadOctet,
               {Attack::kBadOctet}}});
}

TEST(FtpControl, EventsOnTheFreshLeg) {
  const struct {
    EventKind kind;
    EndReason reason;
    std::string said;
  } cases[] = {
      {EventKind::kDrain, EndReason::kDrainDeadline,
       "421 Server shutting down, closing control connection\r\n"},
      {EventKind::kDeadline, EndReason::kIdleDeadline,
       "421 Timeout, closing control connection\r\n"},
      {EventKind::kClientEnd, EndReason::kClientClosed, ""},
      {EventKind::kBackendEnd, EndReason::kBackendClosed,
       "421 Server not available, try again later\r\n"},
  };
  for (const auto& c : cases) {
    const DialogueOptions options;
    FtpPlay play(options);
    play.Raise(EventKind::kStart);
    play.Client("AUTH TLS\r\n");
    play.EnterTls(&kV4);
    play.Backend("220 ready\r\n");
    play.TakeToClient();
    play.Raise({.kind = c.kind, .inside_tls = true, .deadline = EndReason::kIdleDeadline});
    EXPECT_EQ(Label(play.reason()), Label(c.reason));
    EXPECT_EQ(play.TakeToClient(), c.said);
  }
}

// The log names the server's reply that ended the session.
TEST(FtpControl, TheReplyThatEndedIt) {
  const struct {
    std::string greeting, client, replies;
    uint16_t reply;
  } rows[] = {{"530-full\r\n530 go away\r\n", "", "", 530},
              {"421 busy\r\n", "", "", 421},
              {"220 ready\r\n", "", "421 bye\r\n", 421},
              {"220 ready\r\n", "NOOP\r\n", "421-soon\r\n421 bye\r\n", 421},
              {"220 ready\r\n", "", "226 done\r\n", 226},
              {"220 ready\r\n", "QUIT\r\n", "221 bye\r\n", 0}};
  for (const auto& row : rows) {
    for (const size_t piece : {std::string::npos, size_t{1}}) {
      SCOPED_TRACE(row.greeting + row.replies);
      const DialogueOptions options;
      FtpPlay play(options, piece);
      play.EnterTls(&kV4);
      play.Backend(row.greeting);
      play.Client(row.client);
      play.Backend(row.replies);
      EXPECT_TRUE(play.over());
      EXPECT_EQ(play.reply(), row.reply);
    }
  }
}

}  // namespace
}  // namespace starling
