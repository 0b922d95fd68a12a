// A reply that may belong to a doubtful command or to the next one: nothing waits for a
// reply that may have come already, and later replies still find their commands. A command
// is doubtful if it came during a transfer and the transfer is over without an answer to
// it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"
#include "protocols/ftp/limits.h"

namespace starling {
namespace {

// A transfer that is over, and a command during it that was never answered.
std::vector<Move> Doubtful(const std::string& command, const std::vector<Move>& more) {
  std::vector<Move> moves = Begin("RETR");
  if (command == "ABOR") {
    moves.insert(moves.end(), {{C, "ABOR\r\n"}, {B, "426 cut\r\n"}});
  } else {
    moves.insert(moves.end(), {{C, command + "\r\n"}, {Move::kWhole}, {B, kDone}});
  }
  moves.insert(moves.end(), more.begin(), more.end());
  return moves;
}

// Runs what follows a doubtful command, for several such commands.
void RunDoubtful(const std::string& name, const std::vector<Move>& more, const std::string& said,
                 const std::string& to_backend, const std::string& asked = "") {
  for (const std::string command : {"NOOP", "ABOR", "STAT", "XYZZY"}) {
    const bool abor = command == "ABOR";
    RunControl({{name + ", behind " + command, Doubtful(command, more),
                 kBegun + (abor ? "426 cut\r\n" : kDone) + said,
                 "PASV\r\nRETR x\r\n" + command + "\r\n" + to_backend,
                 kAsked + (abor ? "drop;" : "") + asked}});
  }
}

const std::string kBackendEpsv = "229 Entering (|||40001|)\r\n";
const std::string kActive = "PORT 192,0,2,1,100,1\r\n";
const std::string kPassedActive = "PORT 203,0,113,7,160,0\r\n";
const std::string kPbsz = "PBSZ 0\r\n", kPbszReply = "200 PBSZ=0\r\n";

TEST(FtpDoubts, RefusalOfAChannel) {
  RunControl(
      {{"PORT 550",
        Doubtful("STAT", {{C, kActive}, {B, "550 no\r\n"}, {C, "PASV\r\n"}, {B, kBackendPasv}}),
        kBegun + kDone + "550 no\r\n" + kPasvReply,
        "PASV\r\nRETR x\r\nSTAT\r\n" + kPassedActive + "PASV\r\n",
        kAsked + "from server, 25601;" + kAsked}});
  for (const std::string code : {"425", "500", "501", "502", "504", "530"}) {
    const std::string no = code + " no\r\n", multi = code + "-no\r\n" + no;
    RunDoubtful("PASV " + code, {{C, "PASV\r\n"}, {B, no}, {C, "EPSV\r\n"}, {B, kBackendEpsv}},
                no + kEpsvReply, "PASV\r\nEPSV\r\n", kAsked);
    RunDoubtful("EPSV " + code, {{C, "EPSV\r\n"}, {B, multi}, {C, "PASV\r\n"}, {B, kBackendPasv}},
                multi + kPasvReply, "EPSV\r\nPASV\r\n", kAsked);
    RunDoubtful("both " + code,
                {{C, "PASV\r\n"},
                 {B, no},
                 {C, "EPSV\r\n"},
                 {B, no},
                 {C, kActive},
                 {B, "200 PORT\r\n"},
                 {C, "STOR y\r\n"},
                 {B, "150 go\r\n"},
                 {Move::kWhole},
                 {B, kDone}},
                no + no + "200 PORT\r\n150 go\r\n" + kDone,
                "PASV\r\nEPSV\r\n" + kPassedActive + "STOR y\r\n", "from server, 25601;");
    RunDoubtful("PORT " + code, {{C, kActive}, {B, no}, {C, "PASV\r\n"}, {B, kBackendPasv}},
                no + kPasvReply, kPassedActive + "PASV\r\n", "from server, 25601;" + kAsked);
  }
}

// The refusal was the doubtful command's own, and the channel still comes.
TEST(FtpDoubts, ChannelAfterALateRefusal) {
  RunDoubtful("PASV",
              {{C, "PASV\r\n"},
               {B, "500 late\r\n" + kBackendPasv},
               {C, "RETR y\r\n"},
               {B, "150 go\r\n"},
               {Move::kWhole},
               {B, kDone}},
              "500 late\r\n" + kPasvReply + "150 go\r\n" + kDone, "PASV\r\nRETR y\r\n", kAsked);
  RunDoubtful("PORT",
              {{C, kActive},
               {B, "500 late\r\n200 PORT\r\n"},
               {C, "RETR y\r\n"},
               {B, "150 go\r\n"},
               {Move::kWhole},
               {B, kDone}},
              "500 late\r\n200 PORT\r\n150 go\r\n" + kDone, kPassedActive + "RETR y\r\n",
              "from server, 25601;");
}

TEST(FtpDoubts, OwnReplies) {
  for (const std::string code : {"500", "502", "530", "200"}) {
    const std::string reply = code + " x\r\n";
    if (code != "200") {
      RunDoubtful("sent behind " + code, {{C, "SITE x\r\n"}, {B, reply}, {C, kPbsz}},
                  reply + kPbszReply, "SITE x\r\n");
      RunDoubtful("sent with it, " + code, {{C, "SITE x\r\n" + kPbsz}, {B, reply}},
                  reply + kPbszReply, "SITE x\r\n");
      RunDoubtful("and more before it, " + code,
                  {{C, "PWD\r\nSITE x\r\n" + kPbsz}, {B, reply}, {B, "500 y\r\n"}},
                  reply + "500 y\r\n" + kPbszReply, "PWD\r\nSITE x\r\n");
    }
    RunControl(
        {{"TYPE " + code, Doubtful("NOOP", {{C, "TYPE I\r\n"}, {B, reply}, {C, kPbsz}}),
          kBegun + kDone + reply + kPbszReply, "PASV\r\nRETR x\r\nNOOP\r\nTYPE I\r\n", kAsked}});
  }
}

// A reply that only a later command can have must not count as the channel's.
TEST(FtpDoubts, NothingIsOffByOne) {
  const std::vector<Move> refused = {{C, "PASV\r\n"}, {B, "500 no\r\n"}};
  const struct {
    std::string command, reply;
  } later[] = {{"TYPE I", "200 ok\r\n"},       {"PWD", "257 \"/\"\r\n"}, {"CWD x", "550 no\r\n"},
               {"REST 5", "350 ok\r\n"},       {"SYST", "215 UNIX\r\n"}, {"CWD y", "250 ok\r\n"},
               {"STAT", "211-s\r\n211 e\r\n"}, {"NOOP", "200 ok\r\n"}};
  for (const auto& [command, reply] : later) {
    std::vector<Move> moves = refused;
    moves.insert(moves.end(), {{C, command + "\r\n"},
                               {B, reply},
                               {C, kPbsz + "FEAT\r\n"},
                               {B, "211-f\r\n AUTH SSL\r\n211 end\r\n"},
                               {C, kPbsz + "EPSV\r\n"},
                               {B, kBackendEpsv}});
    RunDoubtful(command, moves,
                "500 no\r\n" + reply + kPbszReply +
                    "211-f\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 end\r\n" + kPbszReply + kEpsvReply,
                "PASV\r\n" + command + "\r\nFEAT\r\nEPSV\r\n", kAsked);
  }
}

// A transfer that may have been refused. The client may begin another one. Or the refusal
// belonged to the command before it, and the transfer goes on.
TEST(FtpDoubts, RefusalOfATransfer) {
  const std::string going = "150 go\r\n" + kDone;
  for (const std::string code : {"425", "450", "500", "530", "550", "553"}) {
    for (const std::string lost : {"NOOP", "STAT", "ABOR"}) {
      const std::string no = code + " no\r\n";
      const auto with = [&](const std::string& name, std::vector<Move> more,
                            const std::string& said, const std::string& to_backend,
                            const std::string& asked) {
        std::vector<Move> moves =
            Doubtful(lost, {{C, kActive}, {B, "200 PORT\r\n"}, {C, "STOR y\r\n"}, {B, no}});
        moves.insert(moves.end(), more.begin(), more.end());
        const bool abor = lost == "ABOR";
        return Case{
            lost + ", " + code + ", " + name, moves,
            kBegun + (abor ? "426 cut\r\n" : kDone) + "200 PORT\r\n" + no + said,
            "PASV\r\nRETR x\r\n" + lost + "\r\n" + kPassedActive + "STOR y\r\n" + to_backend,
            kAsked + (abor ? "drop;" : "") + "from server, 25601;" + asked};
      };
      // ABOR has no 200, and failures of files are not PORT's. So the reply belonged to the
      // transfer.
      const bool certain = lost == "ABOR" || code[1] == '5';
      RunControl(
          {with("another one",
                {{C, "PASV\r\n"},
                 {B, kBackendPasv},
                 {C, "RETR z\r\n"},
                 {B, "150 go\r\n"},
                 {Move::kWhole},
                 {B, kDone}},
                kPasvReply + going, "PASV\r\nRETR z\r\n", (certain ? "drop;" : "") + kAsked)});
      if (certain) continue;
      RunControl(
          {with("it goes on", {{B, "150 go\r\n"}, {Move::kWhole}, {B, kDone}}, going, "", ""),
           with("it breaks off", {{B, "150 go\r\n"}, {B, kDone}, {Move::kCut}},
                "150 go\r\n" + kAborted, "", "drop;"),
           with("given up for the next", {{C, "PASV\r\n"}, {B, going}, {B, kBackendPasv}},
                "150 go\r\n" + kAborted + kPasvReply, "PASV\r\n", kAsked),
           with("a command amid it, which is never answered",
                {{C, "NOOP\r\n"},
                 {B, "150 go\r\n"},
                 {Move::kWhole},
                 {B, kDone},
                 {C, "PASV\r\n"},
                 {B, kBackendPasv}},
                going + kPasvReply, "NOOP\r\nPASV\r\n", kAsked)});
    }
  }
}

// A late answer to an ABOR does not end a later transfer.
TEST(FtpDoubts, LateAborIsNotOfTheNextTransfer) {
  RunControl({{"PORT",
               Doubtful("ABOR", {{C, kActive + "STOR y\r\n"},
                                 {B, "226 late\r\n200 PORT\r\n150 go\r\n" + kDone},
                                 {Move::kWhole}}),
               kBegun + "426 cut\r\n226 late\r\n200 PORT\r\n150 go\r\n" + kDone,
               "PASV\r\nRETR x\r\nABOR\r\n" + kPassedActive + "STOR y\r\n",
               kAsked + "drop;from server, 25601;"}});
}

// --- more of them than there are places ---

std::string Times(size_t count, const std::string& text) {
  std::string all;
  while (count-- > 0) all += text;
  return all;
}

// Any number of keep-alives during one long transfer, and the end of the transfer.
TEST(FtpRows, KeepAlives) {
  for (const std::string alive : {"NOOP", "STAT", "PWD"}) {
    for (const size_t count : {31, 32, 33, 1'000}) {
      const std::string commands = Times(count, alive + "\r\n");
      const std::string replies = Times(count, "200 ok\r\n");
      const auto with = [&](const std::string& name, std::vector<Move> more,
                            const std::string& said, const std::string& to_backend,
                            const std::string& asked = "") {
        std::vector<Move> moves = Begin("RETR");
        moves.push_back({C, commands});
        moves.insert(moves.end(), more.begin(), more.end());
        return Case{alive + ", " + name, moves, kBegun + said,
                    "PASV\r\nRETR x\r\n" + commands + to_backend, kAsked + asked};
      };
      const std::vector<Move> next = {{C, "PBSZ 0\r\nPASV\r\n"}, {B, kBackendPasv}};
      const auto then = [&](std::vector<Move> more) {
        more.insert(more.end(), next.begin(), next.end());
        return more;
      };
      const std::string said_next = kPbszReply + kPasvReply;
      RunControl({with("ABOR", then({{C, "ABOR\r\n"}, {B, "426 cut\r\n" + replies + "226 ok\r\n"}}),
                       "426 cut\r\n" + replies + "226 ok\r\n" + said_next, "ABOR\r\nPASV\r\n",
                       "drop;" + kAsked),
                  with("late", then({{Move::kWhole}, {B, kDone + replies}}),
                       kDone + replies + said_next, "PASV\r\n", kAsked),
                  with("early", then({{B, replies}, {Move::kWhole}, {B, kDone}}),
                       replies + kDone + said_next, "PASV\r\n", kAsked),
                  with("one of them early", then({{B, "200 ok\r\n"}, {Move::kWhole}, {B, kDone}}),
                       "200 ok\r\n" + kDone + said_next, "PASV\r\n", kAsked),
                  with("missing", then({{Move::kWhole}, {B, kDone}}), kDone + said_next, "PASV\r\n",
                       kAsked)});
      Case quit =
          with("QUIT", {{C, "QUIT\r\n"}, {Move::kWhole}, {B, kDone + replies + "221 x\r\n"}},
               kDone + replies + "221 x\r\n", "QUIT\r\n");
      quit.verdict = Verdict::kClose;
      quit.reason = EndReason::kClientClosed;
      RunControl({quit});
    }
  }
}

// Different commands form no row, but there is a place for ABOR and one for QUIT.
TEST(FtpRows, EndsHavePlacesOfTheirOwn) {
  // The transfer has a place too. A command that joins a row needs none.
  const std::string commands =
      Times((kFtpMaxOutstanding - kFtpKeptForEnds) / 2 - 1, "NOOP\r\nFEAT\r\n") + "NOOP\r\n" +
      "NOOP\r\n";
  std::vector<Move> moves = Begin("RETR");
  moves.insert(moves.end(),
               {{C, commands + "ABOR\r\nQUIT\r\n"}, {B, "426 cut\r\n"}, {B, "221 bye\r\n"}});
  RunControl({{"alternating", moves, kBegun + "426 cut\r\n221 bye\r\n",
               "PASV\r\nRETR x\r\n" + commands + "ABOR\r\nQUIT\r\n", kAsked + "drop;",
               Verdict::kClose, EndReason::kClientClosed}});
  std::vector<Move> full = Begin("RETR");
  full.push_back({C, commands + "FEAT\r\n"});
  Case waits{"no place is left", full, kBegun, "PASV\r\nRETR x\r\n" + commands, kAsked};
  waits.client_left = "FEAT\r\n";
  RunControl({waits});
}

// Unanswered commands that take all places do not stop the gateway from reading later ones.
TEST(FtpRows, FullOfDoubtful) {
  const std::string commands = Times(14, "NOOP\r\nPWD\r\n") + "NOOP\r\nABOR\r\n";
  std::vector<Move> moves = Begin("RETR");
  moves.insert(moves.end(), {{C, commands},
                             {B, "426 cut\r\n"},
                             {C, "TYPE I\r\n"},
                             {B, "200 ok\r\n"},
                             {C, kPbsz + "PASV\r\n"},
                             {B, kBackendPasv}});
  RunControl({{"commands", moves, kBegun + "426 cut\r\n200 ok\r\n" + kPbszReply + kPasvReply,
               "PASV\r\nRETR x\r\n" + commands + "TYPE I\r\nPASV\r\n", kAsked + "drop;" + kAsked}});
  std::vector<Move> own = Begin("RETR");
  own.insert(own.end(), {{C, "NOOP\r\n" + Times(8, kPbsz)},
                         {Move::kWhole},
                         {B, kDone},
                         {C, "PASV\r\n"},
                         {B, kBackendPasv}});
  RunControl(
      {{"replies of the gateway's own", own, kBegun + kDone + Times(8, kPbszReply) + kPasvReply,
        "PASV\r\nRETR x\r\nNOOP\r\nPASV\r\n", kAsked + kAsked}});
}

}  // namespace
}  // namespace starling
