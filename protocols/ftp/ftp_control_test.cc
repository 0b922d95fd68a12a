// Inside TLS: both sides of the control connection, and what becomes of data channels.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"

namespace starling {
namespace {

// A channel from the server costs a listening socket before the server has had a say.
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
  // What is sent there is private without PROT.
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

TEST(FtpControl, Passive) {
  RunControl(
      {{"a whole download",
        {{C, kPrivate + "PASV\r\n"},
         {B, kBackendPasv},
         {C, "RETR x\r\n"},
         {B, "150 opening\r\n"},
         {Move::kWhole},
         {B, "226 done\r\n"},
         {C, "NOOP\r\n"},
         {B, "200 ok\r\n"}},
        kPrivateReply + kPasvReply + "150 opening\r\n226 done\r\n200 ok\r\n",
        "PASV\r\nRETR x\r\nNOOP\r\n",
        "from client, 40001;"},
       {"EPSV",
        {{C, kPrivate + "EPSV\r\nEPSV 1\r\nEPSV 2\r\n"},
         {B, "229 Extended (|||40001|)\r\n"},
         {B, "229 Extended (|||40002|)\r\n"}},
        kPrivateReply + kEpsvReply + kEpsvReply + "522 Network protocol not supported, use (1)\r\n",
        "EPSV\r\nEPSV\r\n",
        "from client, 40001;from client, 40002;"},
       {"only EPSV",
        {{C, "EPSV ALL\r\nPASV\r\nPORT 192,0,2,1,100,1\r\nEPRT |1|192.0.2.1|9999|\r\n"}},
        "200 EPSV ALL\r\n503 Only EPSV after EPSV ALL\r\n503 Only EPSV after EPSV ALL\r\n"
        "503 Only EPSV after EPSV ALL\r\n",
        ""},
       {"the backend refuses",
        {{C, kPrivate + "PASV\r\n"}, {B, "500 no\r\n"}, {C, "RETR x\r\n"}},
        kPrivateReply + "500 no\r\n425 Use PASV, EPSV, PORT or EPRT first\r\n",
        "PASV\r\n"},
       {"the backend's address cannot be read",
        {{C, "PASV\r\nEPSV\r\n"}, {B, "227 (1,2,3)\r\n"}, {B, "229-(||5|)\r\n229 x\r\n"}},
        kCannotOpen + kCannotOpen,
        "PASV\r\nEPSV\r\n"}});
}

TEST(FtpControl, NoListener) {
  RunControl(
      {{"passive",
        {{C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, "RETR x\r\n"}},
        kPrivateReply + kCannotOpen + "425 Use PASV, EPSV, PORT or EPRT first\r\n",
        "PASV\r\n",
        "from client, 40001;"},
       {"active", {{C, "PORT 192,0,2,1,100,1\r\n"}}, kCannotOpen, "", "from server, 25601;"}},
      kV4, nullptr);
}

TEST(FtpControl, Ipv6) {
  RunControl({{"passive",
               {{C, "PASV\r\nEPSV 1\r\nEPSV\r\n"}, {B, "229 (|||40001|)\r\n"}},
               "425 PASV is for IPv4, use EPSV\r\n"
               "522 Network protocol not supported, use (2)\r\n" +
                   kEpsvReply,
               "EPSV\r\n",
               "from client, 40001;"},
              {"active",
               {{C, "EPRT |2|2001:db8::|25601|\r\n"}, {B, "200 ok\r\n"}},
               "200 ok\r\n",
               "EPRT |2|2002::|40960|\r\n",
               "from server, 25601;"}},
             kV6, &kListen6);
}

TEST(FtpControl, Active) {
  const std::string port = "PORT 203,0,113,7,160,0\r\n";
  const std::string foreign = "504 Only your own address, and a port from 1024 on\r\n";
  RunControl({{"PORT",
               {{C, kPrivate + "PORT 192,0,2,1,100,1\r\nSTOR x\r\n"},
                {B, "200 ok\r\n"},
                {B, "150 go\r\n"},
                {B, "226 done\r\n"},
                {Move::kWhole}},
               kPrivateReply + "200 ok\r\n150 go\r\n226 done\r\n",
               port + "STOR x\r\n",
               "from server, 25601;"},
              {"EPRT",
               {{C, "EPRT |1|192.0.2.1|25601|\r\n"}, {B, "200 ok\r\n"}},
               "200 ok\r\n",
               port,
               "from server, 25601;"},
              {"refused by the backend",
               {{C, "PORT 192,0,2,1,100,1\r\n"}, {B, "500 no\r\n"}},
               "500 no\r\n",
               port,
               "from server, 25601;drop;"},
              {"of another host, or a port of others",
               {{C,
                 "PORT 192,0,2,2,100,1\r\nPORT 192,0,2,1,3,255\r\nEPRT |1|192.0.2.2|2000|\r\n"
                 "EPRT |2|2001:db8::1|2000|\r\n"}},
               foreign + foreign + foreign + foreign,
               ""},
              {"no address",
               {{C, "PORT 1,2\r\nEPRT |1|x|2|\r\n"}},
               "501 Syntax error\r\n501 Syntax error\r\n",
               ""}});
}

TEST(FtpControl, NoTransferWithout) {
  RunControl({{"PROT P",
               {{C, "PASV\r\n"}, {B, kBackendPasv}, {C, "RETR x\r\nPBSZ 0\r\nPROT C\r\nLIST\r\n"}},
               kPasvReply + "521 PROT P first\r\n200 PBSZ=0\r\n"
                            "200 Data is clear: no transfer without PROT P\r\n521 PROT P first\r\n",
               "PASV\r\n",
               "from client, 40001;"},
              {"a channel",
               {{C, kPrivate + "RETR x\r\n"}},
               kPrivateReply + "425 Use PASV, EPSV, PORT or EPRT first\r\n",
               ""},
              {"a channel that is still there",
               {{C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {Move::kCut}, {C, "RETR x\r\n"}},
               kPrivateReply + kPasvReply + "425 Use PASV, EPSV, PORT or EPRT first\r\n",
               "PASV\r\n",
               "from client, 40001;drop;"}});
}

// A backend's success is none before the data channel's.
TEST(FtpControl, SuccessIsHeld) {
  const std::vector<Move> begin = {{C, kPrivate + "PASV\r\n"},
                                   {B, kBackendPasv},
                                   {C, "STOR x\r\nNOOP\r\n"},
                                   {B, "150 go\r\n226-done\r\n226 done\r\n200 noop\r\n"}};
  const std::string until = kPrivateReply + kPasvReply + "150 go\r\n";
  const std::string to_backend = "PASV\r\nSTOR x\r\nNOOP\r\n";
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said) {
    std::vector<Move> moves = begin;
    moves.insert(moves.end(), more.begin(), more.end());
    const bool broken = !more.empty() && more[0].who != Move::kWhole;
    return Case{name, moves, until + said, to_backend,
                std::string("from client, 40001;") + (broken ? "drop;" : "")};
  };
  RunControl({with("to its end", {}, ""),
              with("and given", {{Move::kWhole}}, "226-done\r\n226 done\r\n200 noop\r\n"),
              with("or not: cut", {{Move::kCut}}, kAborted + "200 noop\r\n"),
              with("no TLS", {{Move::kTlsFailed}},
                   "522 TLS on the data connection failed\r\n200 noop\r\n"),
              with("not made", {{Move::kNotMade}}, kCannotOpen + "200 noop\r\n")});
}

TEST(FtpControl, FailureEndsTheChannel) {
  RunControl(
      {{"550 after the connection",
        {{C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, "RETR x\r\n"}, {B, "550 no\r\n"}},
        kPrivateReply + kPasvReply + "550 no\r\n",
        "PASV\r\nRETR x\r\n",
        "from client, 40001;drop;"},
       {"the backend's own word for a cut stays",
        {{C, kPrivate + "PASV\r\n"},
         {B, kBackendPasv},
         {C, "RETR x\r\n"},
         {Move::kCut},
         {B, "451 disk\r\n"}},
        kPrivateReply + kPasvReply + "451 disk\r\n",
        "PASV\r\nRETR x\r\n",
        "from client, 40001;drop;"},
       {"broken off before the server has looked",
        {{C, kPrivate + "PASV\r\n"},
         {B, kBackendPasv},
         {C, "RETR x\r\n"},
         {Move::kTlsFailed},
         {C, "NOOP\r\n"},
         {B, "150 go\r\n"},
         {B, "226 done\r\n"}},
        kPrivateReply + kPasvReply + "150 go\r\n522 TLS on the data connection failed\r\n",
        "PASV\r\nRETR x\r\nNOOP\r\n",
        "from client, 40001;drop;"}});
}

TEST(FtpControl, Pipelined) {
  RunControl({{"PASV and STOR together",
               {{C, kPrivate + "PASV\r\nSTOR x\r\n"},
                {B, kBackendPasv + "150 go\r\n226 done\r\n"},
                {Move::kWhole}},
               kPrivateReply + kPasvReply + "150 go\r\n226 done\r\n",
               "PASV\r\nSTOR x\r\n",
               "from client, 40001;"},
              {"PASV fails under STOR",
               {{C, kPrivate + "PASV\r\nSTOR x\r\n"}, {B, "421-x\r\n421 gone\r\n"}},
               kPrivateReply + "421-x\r\n421 gone\r\n",
               "PASV\r\nSTOR x\r\n",
               "",
               Verdict::kClose,
               EndReason::kBackendClosed},
              {"without PASV there is no success",
               {{C, kPrivate + "PASV\r\nSTOR x\r\n"}, {B, "500 no\r\n226 done\r\n"}},
               kPrivateReply + "500 no\r\n" + kCannotOpen,
               "PASV\r\nSTOR x\r\n"},
              {"the next channel waits for the transfer",
               {{C, kPrivate + "PASV\r\nSTOR x\r\nPASV\r\nSTOR y\r\n"},
                {B, kBackendPasv + "150 go\r\n226 done\r\n"}},
               kPrivateReply + kPasvReply + "150 go\r\n",
               "PASV\r\nSTOR x\r\n",
               "from client, 40001;",
               Verdict::kContinue,
               EndReason::kNone,
               {},
               "PASV\r\nSTOR y\r\n"},
              {"and then comes",
               {{C, kPrivate + "PASV\r\nSTOR x\r\nPASV\r\nSTOR y\r\n"},
                {B, kBackendPasv + "150 go\r\n226 done\r\n"},
                {Move::kWhole},
                {B, kBackendPasv}},
               kPrivateReply + kPasvReply + "150 go\r\n226 done\r\n" + kPasvReply,
               "PASV\r\nSTOR x\r\nPASV\r\nSTOR y\r\n",
               "from client, 40001;from client, 40001;"}});
}

// Some servers answer at once what comes while they send.
TEST(FtpControl, AnswersThatOvertake) {
  RunControl({{"in a transfer",
               {{C, kPrivate + "PASV\r\nRETR x\r\n"},
                {B, kBackendPasv + "150 go\r\n"},
                {C, "PBSZ 0\r\nNOOP\r\n"},
                {B, "200 noop\r\n"},
                {Move::kWhole},
                {B, "226 done\r\n"}},
               kPrivateReply + kPasvReply + "150 go\r\n200 PBSZ=0\r\n200 noop\r\n226 done\r\n",
               "PASV\r\nRETR x\r\nNOOP\r\n",
               "from client, 40001;"},
              {"no command that comes later is answered before",
               {{C, kPrivate + "PASV\r\nRETR x\r\n"},
                {B, kBackendPasv + "150 go\r\n213 what\r\n"},
                {C, "NOOP\r\n"},
                {Move::kWhole}},
               kPrivateReply + kPasvReply + "150 go\r\n213 what\r\n",
               "PASV\r\nRETR x\r\nNOOP\r\n",
               "from client, 40001;"}});
}

TEST(FtpControl, Abort) {
  const std::vector<Move> begin = {{C, kPrivate + "PASV\r\nRETR x\r\n"},
                                   {B, kBackendPasv + "150 go\r\n"}};
  const std::string until = kPrivateReply + kPasvReply + "150 go\r\n";
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said) {
    std::vector<Move> moves = begin;
    moves.insert(moves.end(), more.begin(), more.end());
    return Case{name, moves, until + said, "PASV\r\nRETR x\r\nABOR\r\n",
                "from client, 40001;drop;"};
  };
  RunControl(
      {with("in a transfer", {{C, "ABOR\r\n"}, {B, "426 cut\r\n226 aborted\r\n"}},
            "426 cut\r\n226 aborted\r\n"),
       with("with Telnet's words before it",
            {{C,
              "\xff\xf4\xff\xf2"
              "ABOR\r\n"},
             {B, "426 cut\r\n226 aborted\r\n"}},
            "426 cut\r\n226 aborted\r\n"),
       with("a success that was held", {{B, "226 done\r\n"}, {C, "ABOR\r\n"}, {B, "225 a\r\n"}},
            kAborted + "225 a\r\n"),
       {"out of a transfer",
        {{C, "ABOR\r\n"}, {B, "226 nothing\r\n"}},
        "226 nothing\r\n",
        "ABOR\r\n"}});
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
               EndReason::kBackendProtocol},
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
