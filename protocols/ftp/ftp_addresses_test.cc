// No address of the server's reaches the client, whichever command the gateway takes the
// reply for: in a reply, within its lines, and in the greeting. ftp_pairs_test.cc has the
// replies that belong to a transfer and to commands during it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"

namespace starling {
namespace {

const std::string kMisplaced = "425 The server's reply names an address that was not asked for\r\n";

TEST(FtpAddresses, OutOfStep) {
  const std::string foreign = "227 Entering Passive Mode (10,0,0,1,4,5)\r\n";
  const std::string extended = "229 Entering Extended Passive Mode (|||1029|)\r\n";
  RunControl(
      {{"a reply before it is missing",
        {{C, kPrivate + "NOOP\r\nPASV\r\n"}, {B, kBackendPasv}},
        kPrivateReply + kPasvReply,
        "NOOP\r\nPASV\r\n",
        kAsked},
       {"and of EPSV",
        {{C, "NOOP\r\nSTAT\r\nEPSV\r\n"}, {B, "229 (|||40001|)\r\n"}},
        kEpsvReply,
        "NOOP\r\nSTAT\r\nEPSV\r\n",
        kAsked},
       Diverted({"to another command", {{C, "NOOP\r\n"}, {B, foreign}}, kMisplaced, "NOOP\r\n"}),
       Diverted({"to another command, extended",
                 {{C, "PWD\r\n"}, {B, extended}},
                 kMisplaced,
                 "PWD\r\n"}),
       Diverted({"long passive",
                 {{C, "PWD\r\n"}, {B, "228 (4,4,10,0,0,1,2,4,5)\r\n"}},
                 kMisplaced,
                 "PWD\r\n"}),
       Diverted({"in more lines",
                 {{C, "PWD\r\n"}, {B, "227-Entering (10,0,0,1,4,5)\r\n227 (10,0,0,1,4,5)\r\n"}},
                 kMisplaced,
                 "PWD\r\n"}),
       Diverted({"the other of the two",
                 {{C, "PASV\r\nEPSV\r\n"}, {B, extended}, {B, foreign}},
                 kCannotOpen + kCannotOpen,
                 "PASV\r\nEPSV\r\n"}),
       {"without an address that can be read",
        {{C, "PASV\r\n"}, {B, "227 Entering (10,0,0,1,4)\r\n"}},
        kCannotOpen,
        "PASV\r\n"},
       {"before it, as if it were preliminary",
        {{C, "PASV\r\n"}, {B, "150 (10,0,0,1,4,5)\r\n" + kBackendPasv}},
        kPasvReply,
        "PASV\r\n",
        kAsked},
       Diverted({"to PORT",
                 {{C, "PORT 192,0,2,1,100,1\r\n"}, {B, foreign}},
                 kMisplaced,
                 "PORT 203,0,113,7,160,0\r\n",
                 "from server, 25601;drop;"}),
       {"unasked",
        {{B, foreign}},
        kBroken,
        "",
        "",
        Verdict::kClose,
        EndReason::kBackendProtocol,
        {Attack::kBackendInjection}},
       {"after a refusal",
        {{C, "PASV\r\n"}, {B, "500 no\r\n" + foreign}},
        "500 no\r\n" + kBroken,
        "PASV\r\n",
        "",
        Verdict::kClose,
        EndReason::kBackendProtocol,
        {Attack::kBackendInjection}}});
}

TEST(FtpAddresses, AmidATransfer) {
  const std::string foreign = "227 Entering Passive Mode (10,0,0,1,4,5)\r\n";
  std::vector<Move> alone = Begin("RETR"), beside = Begin("RETR");
  alone.insert(alone.end(), {{B, foreign}, {Move::kWhole}});
  beside.insert(beside.end(), {{C, "NOOP\r\n"}, {B, foreign}, {Move::kWhole}, {B, kDone}});
  RunControl(
      {Diverted({"for the transfer", alone, kBegun + kMisplaced, "PASV\r\nRETR x\r\n", kAsked}),
       Diverted({"for a command beside it", beside, kBegun + kMisplaced + kDone,
                 "PASV\r\nRETR x\r\nNOOP\r\n", kAsked})});
}

// Some clients look at every line's first digits.
TEST(FtpAddresses, WithinReplies) {
  const std::string left_out = " (an address of the server's)\r\n";
  const auto within = [&](const std::string& line, bool named) {
    const Case c{line,
                 {{C, "STAT\r\n"}, {B, "211-status\r\n" + line + "\r\n211 end\r\n"}},
                 "211-status\r\n" + (named ? left_out : line + "\r\n") + "211 end\r\n",
                 "STAT\r\n"};
    return named ? Diverted(c) : c;
  };
  RunControl({within("227 Entering Passive Mode (10,0,0,1,4,5)", true),
              within("227-Entering Passive Mode 10,0,0,1,4,5", true),
              within("  227 Entering Passive Mode (10,0,0,1,4,5)", true),
              within("228 Entering (4,4,10,0,0,1,2,4,5)", true),
              within("229 Extended (|||1029|)", true), within("229 files", false),
              within("2270 (10,0,0,1,4,5)", false),
              within(" Data connection to (10,0,0,1,4,5)", false), within("22", false)});
}

TEST(FtpAddresses, InMoreLinesOfItsOwn) {
  const auto with = [](const std::string& command, const std::string& lines) {
    const std::string& reply = command == "PASV" ? kPasvReply : kEpsvReply;
    return Case{lines, {{C, command + "\r\n"}, {B, lines}}, reply, command + "\r\n", kAsked};
  };
  RunControl({with("PASV", "227-Entering (127,0,0,1,156,65)\r\n227 ok\r\n"),
              with("PASV", "227-x\r\n(127,0,0,1,156,65)\r\n227 ok\r\n"),
              with("PASV", "227-x\r\n127,0,0,1,156,65\r\n227 ok\r\n"),
              with("PASV", "227-x\r\n (127,0,0,1,156,65)\r\n227 ok\r\n"),
              with("PASV", "227-x\r\n227-(127,0,0,1,156,65)\r\n227 ok\r\n"),
              with("PASV", "227-x\r\n227 127,0,0,1,156,65\r\n"),
              with("EPSV", "229-here:\r\n(|||40001|)\r\n229 ok\r\n"),
              with("EPSV", "229-here:\r\n and\r\n229 (|||40001|)\r\n")});
}

TEST(FtpAddresses, InTheGreeting) {
  for (const size_t piece : {std::string::npos, size_t{1}}) {
    const DialogueOptions options;
    FtpPlay play(options, piece);
    play.EnterTls(&kV4);
    play.Backend("220-hello\r\n227 Entering (10,0,0,1,4,5)\r\n220 ready\r\n");
    EXPECT_EQ(play.TakeToClient(), "220-hello\r\n (an address of the server's)\r\n220 ready\r\n");
    FtpPlay other(options, piece);
    other.EnterTls(&kV4);
    other.Backend("227 Entering (10,0,0,1,4,5)\r\n");
    EXPECT_EQ(other.TakeToClient(), "");
    EXPECT_EQ(Label(other.reason()), Label(EndReason::kBackendRefused));
  }
}

TEST(FtpAddresses, OtherWordsForPassiveMode) {
  RunControl({{"refused",
               {{C, "SPSV\r\nLPSV\r\nCPSV\r\nP@SW\r\n"}},
               kNotHere + kNotHere + kNotHere + "500 Unknown command\r\n",
               ""}});
}

}  // namespace
}  // namespace starling
