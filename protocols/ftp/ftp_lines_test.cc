// Lines of any length on the control connection, in both directions, and white space in
// commands.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"
#include "protocols/ftp/limits.h"

namespace starling {
namespace {

const std::string kTooLong = "500 Line too long\r\n";
const std::string kReplyTooLong = "500 The server's reply is too long for the gateway\r\n";

// The length of the longest path, of what the gateway reads whole, and far beyond, at the
// edges of each.
const size_t kSizes[] = {1'300,           2'047,       2'048,           2'049,
                         4'096,           8'192,       kFtpMaxLine - 5, kFtpMaxLine - 4,
                         kFtpMaxLine - 3, kFtpMaxLine, 50'000,          200'000};

std::string Path(size_t size) { return std::string(size, 'p'); }

TEST(FtpLines, LongReplies) {
  for (const size_t size : kSizes) {
    const std::string reply = "257 \"" + Path(size) + "\"\r\n";
    const std::string lines = "213-x\r\n " + Path(size) + "\r\n213 " + Path(size) + "\r\n";
    RunControl({{"in one line, " + std::to_string(size),
                 {{C, "PWD\r\n"}, {B, reply}, {C, "NOOP\r\n"}, {B, "200 ok\r\n"}},
                 reply + "200 ok\r\n",
                 "PWD\r\nNOOP\r\n"},
                {"in more, " + std::to_string(size),
                 {{C, "STAT x\r\n"}, {B, lines}, {C, "NOOP\r\n"}, {B, "200 ok\r\n"}},
                 lines + "200 ok\r\n",
                 "STAT x\r\nNOOP\r\n"}});
  }
}

// The gateway refuses a longer command, and no octet of it reaches the server.
TEST(FtpLines, LongCommands) {
  for (const size_t size : kSizes) {
    const std::string command = "CWD " + Path(size) + "\r\n";
    const bool fits = command.size() <= kFtpMaxLine;
    RunControl({{std::to_string(size),
                 {{C, command}, {B, fits ? "550 no\r\n" : ""}, {C, "NOOP\r\n"}, {B, "200 ok\r\n"}},
                 (fits ? "550 no\r\n" : kTooLong) + "200 ok\r\n",
                 (fits ? command : "") + "NOOP\r\n"}});
  }
}

// A server that gives up in the middle of a long line would take its rest for a command.
TEST(FtpLines, LongCommandsGoAlone) {
  const std::string command = "CWD " + Path(kFtpMaxShared) + "\r\n";
  Case waits{
      "behind one that is not answered", {{C, "NOOP\r\n" + command + "SYST\r\n"}}, "", "NOOP\r\n"};
  waits.client_left = command + "SYST\r\n";
  RunControl({waits,
              {"behind one that is",
               {{C, "NOOP\r\n" + command + "SYST\r\n"}, {B, "200 ok\r\n"}},
               "200 ok\r\n",
               "NOOP\r\n" + command + "SYST\r\n"},
              {"behind one amid a transfer that is never answered",
               {{C, kPrivate + "PASV\r\n"},
                {B, kBackendPasv},
                {C, "RETR a\r\nNOOP\r\n"},
                {B, "150 go\r\n"},
                {Move::kWhole},
                {B, "226 done\r\n"},
                {C, command}},
               kBegun + kDone,
               "PASV\r\nRETR a\r\nNOOP\r\n" + command,
               kAsked}});
}

TEST(FtpLines, LongTransfers) {
  const std::string command = "STOR " + Path(4'096) + "\r\n";
  RunControl({{"with a channel",
               {{C, kPrivate + "PASV\r\n"},
                {B, kBackendPasv},
                {C, command},
                {B, "150 go\r\n226 done\r\n"},
                {Move::kWhole}},
               kPrivateReply + kPasvReply + "150 go\r\n226 done\r\n",
               "PASV\r\n" + command,
               kAsked},
              {"without one",
               {{C, command + "NOOP\r\n"}, {B, "200 ok\r\n"}},
               "521 PROT P first\r\n200 ok\r\n",
               "NOOP\r\n"}});
}

// Commands that the gateway itself acts on have a limit, and exceeding it does not end the
// session.
TEST(FtpLines, LongCommandsOfTheGateway) {
  for (const char* verb : {"PASV", "EPSV", "PORT", "EPRT", "PBSZ", "PROT", "AUTH", "FEAT", "MODE",
                           "ABOR", "QUIT", "CCC"}) {
    for (const size_t size : {size_t{600}, size_t{9'000}, size_t{20'000}}) {
      RunControl({{std::string(verb) + ", " + std::to_string(size),
                   {{C, verb + (" " + Path(size)) + "\r\nSYST\r\n"}, {B, "215 ok\r\n"}},
                   kTooLong + "215 ok\r\n",
                   "SYST\r\n"}});
    }
  }
  RunControl({{"no word at all",
               {{C, std::string(20'000, 'x') + "\r\nNOOP\r\n"}, {B, "200 ok\r\n"}},
               kTooLong + "200 ok\r\n",
               "NOOP\r\n"},
              {"a word that is too long",
               {{C, std::string(33, 'x') + " y\r\n"}},
               "500 Unknown command\r\n",
               ""}});
}

// However a long line is cut, its rest is not a command and not a reply.
TEST(FtpLines, NothingIsFoundInALongLine) {
  const std::string command =
      "CWD " + Path(kFtpMaxLine - 4) + "QUIT" + Path(kFtpMaxLine) + "PASV\r\n";
  const std::string reply = "257 " + Path(kFtpMaxLine - 4) + "227 (10,0,0,1,4,5)\r\n";
  RunControl({{"command", {{C, command}}, kTooLong, ""},
              {"reply", {{C, "PWD\r\n"}, {B, reply}}, reply, "PWD\r\n"}});
}

TEST(FtpLines, BadOctetsFarBehind) {
  const std::string begin = "CWD " + Path(20'000);
  const struct {
    std::string end;
    const char* said;
  } bad[] = {{std::string("\0x\r\n", 4), "421 NUL received\r\n"},
             {"\rx\r\n", "421 Bare <CR> received\r\n"},
             {"\nDELE x\r\n", "421 Bare <LF> received\r\n"}};
  for (const auto& [end, said] : bad) {
    RunControl({{"of the client",
                 {{C, begin + end}},
                 kTooLong + said,
                 "",
                 "",
                 Verdict::kClose,
                 EndReason::kBadOctet,
                 {Attack::kBadOctet}}});
  }
  const std::string reply = "257 " + Path(20'000);
  RunControl({{"of the server",
               {{C, "PWD\r\n"}, {B, reply + std::string("\0\r\n", 3)}},
               reply + "\r\n" + kBroken,
               "PWD\r\n",
               "",
               Verdict::kClose,
               EndReason::kBackendProtocol}});
}

TEST(FtpLines, LongRepliesThatAreEdited) {
  const std::string features = "211-f\r\n " + Path(20'000) + "\r\n AUTH " + Path(20'000) +
                               "\r\n MLST " + Path(9'000) + "\r\n211 end\r\n";
  RunControl(
      {{"features",
        {{C, "FEAT\r\n"}, {B, features}},
        "211-f\r\n " + Path(20'000) + "\r\n MLST " + Path(9'000) +
            "\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 end\r\n",
        "FEAT\r\n"},
       {"PASV, at its end",
        {{C, "PASV\r\n"}, {B, "227 " + Path(16'000) + "(127,0,0,1,156,65)\r\n"}},
        kPasvReply,
        "PASV\r\n",
        kAsked},
       {"PASV, too long",
        {{C, "PASV\r\nNOOP\r\n"}, {B, "227 (127,0,0,1,156,65)" + Path(20'000) + "\r\n200 ok\r\n"}},
        kReplyTooLong + "200 ok\r\n",
        "PASV\r\nNOOP\r\n"},
       Diverted({"an address that goes on for long",
                 {{C, "STAT\r\n"},
                  {B, "211-s\r\n227 (10,0,0,1,4,5)" + Path(20'000) + "\r\n211 end\r\n"}},
                 "211-s\r\n (an address of the server's)\r\n211 end\r\n",
                 "STAT\r\n"})});
}

// The part of a greeting that the gateway swallows has a limit. Exceeding it is not the
// server's fault. The part that the client gets has no limit.
TEST(FtpLines, LimitOfASwallowedGreeting) {
  const std::string too_long = "421 The server's greeting is longer than this gateway allows\r\n";
  const auto greeting = [](const std::string& code, size_t size, size_t line) {
    const std::string end = code + " ready\r\n";
    std::string text;
    while (text.size() + line + end.size() <= size) text += code + "-" + Path(line - 6) + "\r\n";
    return text + code + " " + Path(size - text.size() - end.size()) + "ready\r\n";
  };
  for (const size_t line : {size_t{80}, size_t{20'000}}) {
    for (const size_t piece : {std::string::npos, size_t{1}}) {
      SCOPED_TRACE(line);
      const auto run = [&](const std::string& text, bool implicit, const std::string& said,
                           EndReason reason) {
        const DialogueOptions options;
        FtpPlay play(options, piece);
        if (!implicit) {
          play.Raise(EventKind::kStart);
          play.Client("AUTH TLS\r\n");
          play.TakeToClient();
        }
        play.EnterTls(&kV4);
        play.Backend(text);
        EXPECT_EQ(play.TakeToClient(), said);
        EXPECT_EQ(Label(play.reason()), Label(reason));
      };
      const std::string most = greeting("220", kFtpMaxGreeting, line);
      const std::string more = greeting("220", kFtpMaxGreeting + 1, line);
      const std::string refusal = greeting("530", kFtpMaxGreeting + 1, line);
      ASSERT_EQ(most.size(), kFtpMaxGreeting);
      run(most, false, "", EndReason::kNone);
      run(more, false, too_long, EndReason::kBackendTooLong);
      run("120 soon\r\n" + most, false, too_long, EndReason::kBackendTooLong);
      run(refusal, false, refusal, EndReason::kBackendRefused);
      run(more, true, more, EndReason::kNone);
    }
  }
}

// The gateway's own replies come after a long reply, never inside it.
TEST(FtpLines, OwnRepliesBehindALongOne) {
  const std::string reply = "257 " + Path(20'000) + "\r\n";
  RunControl({{"PBSZ",
               {{C, "PWD\r\n"},
                {B, reply.substr(0, 18'000)},
                {C, "PBSZ 0\r\n"},
                {B, reply.substr(18'000)}},
               reply + "200 PBSZ=0\r\n",
               "PWD\r\n"}});
}

// The room for one call may end anywhere in the line.
TEST(FtpLines, RoomForOwnRepliesBehindALongOne) {
  std::string commands = "PWD\r\n", replies;
  for (size_t i = 0; i < kFtpMaxOwnOutstanding; ++i) {
    commands += "PBSZ 0\r\n";
    replies += "200 PBSZ=0\r\n";
  }
  for (size_t size = kMinOutputRoom - 1'200; size < kMinOutputRoom + 20; size += 7) {
    const std::string reply = "257 " + Path(size) + "\r\n";
    RunControl({{std::to_string(size), {{C, commands}, {B, reply}}, reply + replies, "PWD\r\n"}});
  }
}

TEST(FtpLines, EndsAmidALongReply) {
  const DialogueOptions options;
  FtpPlay play(options);
  play.EnterTls(&kV4);
  play.Backend("220 ready\r\n");
  play.Client("PWD\r\n");
  const std::string reply = "257 " + Path(20'000);
  play.Backend(reply);
  play.Raise(EventKind::kDrain, true);
  EXPECT_EQ(
      play.TakeToClient(),
      "220 ready\r\n" + reply + "\r\n421 Server shutting down, closing control connection\r\n");
}

TEST(FtpLines, LongGreetings) {
  for (const bool greets : {false, true}) {
    const DialogueOptions options;
    FtpPlay play(options);
    if (!greets) {
      play.Raise(EventKind::kStart);
      play.Client("AUTH TLS\r\n");
      play.TakeToClient();
    }
    play.EnterTls(&kV4);
    // A swallowed one has a limit.
    std::string greeting;
    for (int i = 0; i < (greets ? 200 : 80); ++i) greeting += "220-" + Path(120) + "\r\n";
    greeting += "220 " + Path(greets ? 20'000 : 5'000) + "\r\n";
    play.Backend(greeting);
    EXPECT_EQ(play.TakeToClient(), greets ? greeting : "");
    play.Client("NOOP\r\n");
    EXPECT_EQ(play.TakeToBackend(), "NOOP\r\n");
  }
}

TEST(FtpLines, BareLfOfTheServer) {
  RunControl({{"becomes CRLF",
               {{C, "STAT\r\n"}, {B, "211-a\n b\n211 c\n"}},
               "211-a\r\n b\r\n211 c\r\n",
               "STAT\r\n"}});
}

// Which blanks each server accepts; all were tried. No server accepts any before the word.
//
//   client's line       ProFTPD  pure-ftpd  vsftpd  pyftpdlib
//   NOOP_ PWD_ FEAT_    yes      yes        yes     yes
//   PWD__               yes      yes        yes     no
//   NOOP\t QUIT\t       yes      no         no      no
//   TYPE\tI USER\tx     yes      no         no      no
//   TYPE_I_             yes      yes        no      yes
//   TYPE__I             yes      no         no      yes
//   REST_0_             yes      no         yes     yes
//   EPSV_1_ EPSV__1     yes      yes        yes     no
//   PORT__1,2,3,4,5,6   yes      yes        yes     yes
//   PBSZ_0_ PBSZ__0     -        yes        yes     yes
//   PROT_P_ AUTH_TLS_   -        no         no      no
//   USER__x PASS_x_     data     data       data    data
//   SIZE__a SIZE_a_     data     data       data    data
TEST(FtpBlanks, OfTheGatewaysCommands) {
  const std::string data = "200 Data is private\r\n", size = "200 PBSZ=0\r\n";
  RunControl(
      {{"PBSZ", {{C, "PBSZ 0 \r\nPBSZ  0\r\nPBSZ\t0\t\r\n"}}, size + size + size, ""},
       {"PROT",
        {{C, "PBSZ 0\r\nPROT P \r\nPROT  P\r\nPROT\tP\r\nprot \t p \t\r\n"}},
        size + data + data + data + data,
        ""},
       {"AUTH", {{C, "AUTH TLS \r\n"}}, "503 TLS is active already\r\n", ""},
       {"EPSV ALL", {{C, "EPSV  ALL \r\n"}}, "200 EPSV ALL\r\n", ""},
       {"PORT",
        {{C, "PORT  192,0,2,1,100,1 \r\n"}, {B, "200 ok\r\n"}},
        "200 ok\r\n",
        "PORT 203,0,113,7,160,0\r\n",
        "from server, 25601;"},
       {"other modes", {{C, "MODE  B \r\n"}}, "504 A file ends with its connection here\r\n", ""},
       {"EPSV", {{C, "EPSV\t1 \r\n"}, {B, "229 (|||40001|)\r\n"}}, kEpsvReply, "EPSV\r\n", kAsked},
       {"PASV", {{C, "PASV \t\r\n"}, {B, kBackendPasv}}, kPasvReply, "PASV\r\n", kAsked},
       {"QUIT",
        {{C, "QUIT\t\r\n"}, {B, "221 bye\r\n"}},
        "221 bye\r\n",
        "QUIT\r\n",
        "",
        Verdict::kClose,
        EndReason::kClientClosed}});
}

TEST(FtpBlanks, ArePassedOnAsOneSpace) {
  const auto passed = [](const std::string& line, const std::string& as) {
    return Case{line, {{C, line + "\r\n"}, {B, "200 ok\r\n"}}, "200 ok\r\n", as + "\r\n"};
  };
  RunControl({passed("NOOP ", "NOOP"), passed("NOOP\t", "NOOP"), passed("PWD  ", "PWD"),
              passed("SYST ", "SYST"), passed("TYPE  I ", "TYPE I"), passed("TYPE\tI", "TYPE I"),
              passed("TYPE \tA N\t", "TYPE A N"), passed("STRU F ", "STRU F"),
              passed("MODE S ", "MODE S"), passed("REST  0 ", "REST 0"),
              passed("OPTS UTF8 ON ", "OPTS UTF8 ON"), passed("ABOR ", "ABOR"),
              passed("CWD\ta", "CWD a"), passed("USER\tx", "USER x"), passed("HELP ", "HELP")});
}

// Blanks belong to a name or a password.
TEST(FtpBlanks, AreDataInNames) {
  for (const char* line : {"CWD  a", "CWD a ", "CWD a\t", "DELE  a ", "USER  x ", "PASS  a b ",
                           "SIZE  a ", "RNTO a ", "SITE  HELP ", "STAT  ", "MKD \ta"}) {
    RunControl({{line,
                 {{C, std::string(line) + "\r\n"}, {B, "200 ok\r\n"}},
                 "200 ok\r\n",
                 std::string(line) + "\r\n"}});
  }
}

TEST(FtpBlanks, AreDataInNamesOfFiles) {
  for (const std::string line : {"RETR  a ", "STOR a ", "LIST  a"}) {
    RunControl({{line,
                 {{C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, line + "\r\n"}},
                 kPrivateReply + kPasvReply,
                 "PASV\r\n" + line + "\r\n",
                 kAsked}});
  }
}

TEST(FtpBlanks, NoneBeforeTheWord) {
  const std::string unknown = "500 Unknown command\r\n";
  RunControl({{"refused",
               {{C, " NOOP\r\n\tNOOP\r\n\r\n \r\n"}},
               unknown + unknown + unknown + unknown,
               ""}});
}

}  // namespace
}  // namespace starling
