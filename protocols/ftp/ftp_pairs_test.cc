// Which reply belongs to which command, for every pair of a transfer and a command during
// it. ftp_addresses_test.cc has the replies that name an address.
//
// What real servers do (all were tried). pure-ftpd answers everything except ABOR and QUIT
// by `500` and goes on; it answers ABOR and QUIT by 426 and 226 or 451. ProFTPD answers at
// once during an upload and after the 226 of a download. vsftpd always answers after the
// 226, pyftpdlib always at once.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"

namespace starling {
namespace {

const std::string kNext = kPasvReply + "150 again\r\n226 again\r\n";

// A transfer that has begun, a command during it, and another one, which shows that
// everything is in order again.
Case With(const std::string& name, const std::string& transfer, const std::string& command,
          const std::vector<Move>& more, const std::string& said, const std::string& dropped = "") {
  std::vector<Move> moves = Begin(transfer);
  moves.push_back({C, command + "\r\n"});
  moves.insert(moves.end(), more.begin(), more.end());
  moves.insert(moves.end(), {{C, "PASV\r\n"},
                             {B, kBackendPasv},
                             {C, "RETR y\r\n"},
                             {B, "150 again\r\n"},
                             {Move::kWhole},
                             {B, "226 again\r\n"}});
  return {name, moves, kBegun + said + kNext,
          "PASV\r\n" + transfer + " x\r\n" + command + "\r\nPASV\r\nRETR y\r\n",
          kAsked + dropped + kAsked};
}

const std::vector<std::string> kTransfers = {"RETR", "LIST", "NLST", "MLSD",
                                             "STOR", "STOU", "APPE"};
// What a server may say to each: a success, and a failure.
const struct {
  std::string command, success;
} kAmid[] = {
    {"NOOP", "200 ok\r\n"},
    {"STAT", "211-status\r\n 226 all\r\n211 end\r\n"},
    {"STAT x", "213-status\r\n-rw x\r\n213 end\r\n"},
    {"SITE HELP", "214-known\r\n HELP\r\n214 end\r\n"},
    {"PWD", "257 \"/\"\r\n"},
    {"SYST", "215 UNIX\r\n"},
    {"XYZZY", "500 what\r\n"},
    {"TYPE I", "200 ok\r\n"},
    {"REST 5", "350 ok\r\n"},
    {"SIZE x", "213 5\r\n"},
};

TEST(FtpPairs, Early) {
  for (const std::string& transfer : kTransfers) {
    for (const auto& amid : kAmid) {
      RunControl({With(transfer + ", " + amid.command, transfer, amid.command,
                       {{B, amid.success}, {Move::kWhole}, {B, kDone}}, amid.success + kDone)});
    }
  }
}

TEST(FtpPairs, Late) {
  for (const std::string& transfer : kTransfers) {
    for (const auto& amid : kAmid) {
      RunControl({With(transfer + ", " + amid.command, transfer, amid.command,
                       {{Move::kWhole}, {B, kDone + amid.success}}, kDone + amid.success)});
    }
  }
}

TEST(FtpPairs, Missing) {
  for (const std::string& transfer : kTransfers) {
    for (const auto& amid : kAmid) {
      RunControl({With(transfer + ", " + amid.command, transfer, amid.command,
                       {{Move::kWhole}, {B, kDone}}, kDone)});
    }
  }
}

// After these errors the transfer goes on: the gateway does not drop the data channel.
TEST(FtpPairs, FailuresOfOthers) {
  for (const std::string& transfer : kTransfers) {
    for (const char* code :
         {"450", "452", "500", "501", "502", "503", "504", "530", "532", "550", "553"}) {
      for (const bool multi : {false, true}) {
        const std::string no = std::string(code) + " no\r\n";
        const std::string failure = multi ? std::string(code) + "-no\r\n" + no : no;
        RunControl({With(transfer + ", " + failure, transfer, "NOOP",
                         {{B, failure}, {Move::kWhole}, {B, kDone}}, failure + kDone)});
      }
    }
  }
}

// These end the transfer, whatever else waits (RFC 959 section 5.4).
TEST(FtpPairs, FailuresOfTransfers) {
  for (const std::string& transfer : kTransfers) {
    for (const std::string code : {"425", "426", "451", "551", "552"}) {
      const bool stores = transfer == "STOR" || transfer == "STOU" || transfer == "APPE";
      if (code[1] == '5' && code[0] == '5' && !stores) continue;
      const std::string failure = code + "-no\r\n" + code + " no\r\n";
      RunControl({With(transfer + ", " + code, transfer, "NOOP", {{B, failure + "200 ok\r\n"}},
                       failure + "200 ok\r\n", "drop;")});
    }
  }
  RunControl({With("551 is no reply to RETR", "RETR", "NOOP",
                   {{B, "551 no\r\n"}, {Move::kWhole}, {B, kDone}}, "551 no\r\n" + kDone)});
}

// If nothing else is outstanding, every failure is the transfer's.
TEST(FtpPairs, NobodyElse) {
  for (const char* code : {"450", "500", "550"}) {
    std::vector<Move> moves = Begin("RETR");
    const std::string no = std::string(code) + " no\r\n";
    moves.push_back({B, no});
    RunControl({{code, moves, kBegun + no, "PASV\r\nRETR x\r\n", kAsked + "drop;"}});
  }
}

// The client sends the command together with the transfer. Until the transfer has begun,
// any failure is the transfer's, and so is any success that ends a transfer, but no other
// reply.
TEST(FtpPairs, BeforeItBegins) {
  const std::string to_backend = "PASV\r\nRETR x\r\nNOOP\r\n";
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said,
                        const std::string& dropped = "") {
    std::vector<Move> moves = {
        {C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, "RETR x\r\nNOOP\r\n"}};
    moves.insert(moves.end(), more.begin(), more.end());
    return Case{name, moves, kPrivateReply + kPasvReply + said, to_backend, kAsked + dropped};
  };
  RunControl(
      {with("answered first", {{B, "200 ok\r\n150 go\r\n"}, {Move::kWhole}, {B, kDone}},
            "200 ok\r\n150 go\r\n" + kDone),
       with("and told at once", {{B, "200 ok\r\n150 go\r\n"}}, "200 ok\r\n150 go\r\n"),
       with("answered amid it", {{B, "150 go\r\n200 ok\r\n"}, {Move::kWhole}, {B, kDone}},
            "150 go\r\n200 ok\r\n" + kDone),
       with("the transfer fails", {{B, "550 no\r\n200 ok\r\n"}}, "550 no\r\n200 ok\r\n", "drop;")});
}

// The server may wait for the end of an upload that is cut off. It notices that at once,
// without a reply before. A server that has not looked at the connection yet still finds
// it.
TEST(FtpPairs, CutOff) {
  for (const std::string& transfer : kTransfers) {
    for (const auto& cut : {Move::kCut, Move::kTlsFailed}) {
      std::vector<Move> begun = Begin(transfer), before = begun;
      before.pop_back();
      begun.push_back({cut});
      before.push_back({cut});
      RunControl({{transfer + ", begun", begun, kBegun, "PASV\r\n" + transfer + " x\r\n",
                   kAsked + "drop;"},
                  {transfer + ", before", before, kPrivateReply + kPasvReply,
                   "PASV\r\n" + transfer + " x\r\n", kAsked}});
    }
  }
}

TEST(FtpPairs, Closing) {
  for (const std::string& transfer : kTransfers) {
    std::vector<Move> moves = Begin(transfer);
    moves.insert(moves.end(), {{C, "NOOP\r\n"}, {B, "421 bye\r\n"}});
    RunControl({{transfer, moves, kBegun + "421 bye\r\n", "PASV\r\n" + transfer + " x\r\nNOOP\r\n",
                 kAsked, Verdict::kClose, EndReason::kBackendClosed}});
  }
}

TEST(FtpPairs, SeveralAmid) {
  RunControl({With("some late, some early", "RETR", "NOOP\r\nSTAT\r\nPWD",
                   {{B, "200 ok\r\n"}, {Move::kWhole}, {B, kDone + "211 s\r\n257 \"/\"\r\n"}},
                   "200 ok\r\n" + kDone + "211 s\r\n257 \"/\"\r\n"),
              With("keep-alives of which the first are lost", "RETR", "NOOP\r\nNOOP\r\nNOOP",
                   {{Move::kWhole}, {B, kDone + "200 ok\r\n"}}, kDone + "200 ok\r\n"),
              With("features behind a lost keep-alive", "RETR", "NOOP\r\nFEAT",
                   {{B, "211-f\r\n AUTH TLS\r\n EPSV\r\n211 end\r\n"}, {Move::kWhole}, {B, kDone}},
                   "211-f\r\n EPSV\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 end\r\n" + kDone),
              With("features, edited", "RETR", "FEAT",
                   {{B, "211-f\r\n AUTH TLS\r\n EPSV\r\n211 end\r\n"}, {Move::kWhole}, {B, kDone}},
                   "211-f\r\n EPSV\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 end\r\n" + kDone)});
}

// The gateway holds the reply, and everything after it waits.
TEST(FtpPairs, HeldBesideOthers) {
  RunControl({With("226 first", "RETR", "NOOP", {{B, kDone + "200 ok\r\n"}, {Move::kWhole}},
                   kDone + "200 ok\r\n"),
              With("500, and 226 before the end", "STOR", "NOOP",
                   {{B, "500 no\r\n" + kDone}, {Move::kWhole}}, "500 no\r\n" + kDone),
              With("500, and the channel breaks", "STOR", "NOOP",
                   {{B, "500 no\r\n" + kDone}, {Move::kCut}}, "500 no\r\n" + kAborted, "drop;")});
}

TEST(FtpPairs, Abort) {
  const auto with = [](const std::string& name, const std::string& transfer,
                       const std::string& replies, const std::string& said) {
    return With(name, transfer, "ABOR", {{B, replies}}, said, "drop;");
  };
  RunControl(
      {with("RFC 959", "RETR", "426 cut\r\n226 ok\r\n", "426 cut\r\n226 ok\r\n"),
       with("pure-ftpd", "STOR", "426 cut\r\n451-cut\r\n451 0.1 s\r\n",
            "426 cut\r\n451-cut\r\n451 0.1 s\r\n"),
       with("ProFTPD, when it has sent all", "RETR", "226 done\r\n226 Abort successful\r\n",
            kAborted + "226 Abort successful\r\n"),
       with("vsftpd", "RETR", "426 Failure\r\n225 No transfer\r\n",
            "426 Failure\r\n225 No transfer\r\n"),
       with("refused", "RETR", "500 what\r\n426 cut\r\n", "500 what\r\n426 cut\r\n"),
       with("ABOR is answered first", "RETR", "225 ok\r\n426 cut\r\n", "225 ok\r\n426 cut\r\n"),
       with("and the transfer never", "RETR", "225 ok\r\n", "225 ok\r\n"),
       with("no success after it", "RETR", "225 ok\r\n226 done\r\n", "225 ok\r\n" + kAborted),
       with("one reply for both", "RETR", "426 cut\r\n", "426 cut\r\n")});
}

// A transfer in progress still gets its result (RFC 959 section 4.1.1).
TEST(FtpPairs, Quit) {
  const std::vector<Move> begin = Begin("RETR");
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said) {
    std::vector<Move> moves = begin;
    moves.push_back({C, "QUIT\r\n"});
    moves.insert(moves.end(), more.begin(), more.end());
    return Case{name,   moves,           kBegun + said,           "PASV\r\nRETR x\r\nQUIT\r\n",
                kAsked, Verdict::kClose, EndReason::kClientClosed};
  };
  RunControl(
      {with("late", {{Move::kWhole}, {B, kDone + "221 bye\r\n"}}, kDone + "221 bye\r\n"),
       with("early", {{B, "221 bye\r\n"}, {Move::kWhole}, {B, kDone}}, "221 bye\r\n" + kDone)});
}

// The gateway's own replies during a transfer keep their place, but do not wait for replies
// that never come.
TEST(FtpPairs, OwnRepliesBehindMissingOnes) {
  const std::string pbsz = "PBSZ 0\r\n", reply = "200 PBSZ=0\r\n";
  std::vector<Move> moves = Begin("RETR");
  const std::string to_backend = "PASV\r\nRETR x\r\nNOOP\r\n";
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said,
                        const std::string& also = "") {
    std::vector<Move> all = moves;
    all.insert(all.end(), more.begin(), more.end());
    return Case{name, all, kBegun + said, to_backend + also, kAsked};
  };
  RunControl(
      {with("sent later", {{C, "NOOP\r\n"}, {Move::kWhole}, {B, kDone}, {C, pbsz}}, kDone + reply),
       with("sent before", {{C, "NOOP\r\n" + pbsz}, {Move::kWhole}, {B, kDone}, {C, pbsz}},
            kDone + reply + reply),
       with("and it was only late",
            {{C, "NOOP\r\n"}, {Move::kWhole}, {B, kDone}, {C, pbsz}, {B, "200 ok\r\n"}},
            kDone + reply + "200 ok\r\n"),
       with("not amid its lines",
            {{C, "NOOP\r\n"},
             {Move::kWhole},
             {B, kDone + "200-ok\r\n"},
             {C, pbsz},
             {B, "200 ok\r\n"}},
            kDone + "200-ok\r\n200 ok\r\n" + reply),
       with("another command's reply is not taken for it",
            {{C, "NOOP\r\n"},
             {Move::kWhole},
             {B, kDone},
             {C, "PWD\r\n" + pbsz},
             {B, "257 \"/\"\r\n"}},
            kDone + "257 \"/\"\r\n" + reply, "PWD\r\n"),
       with("nor one that asks for more",
            {{C, "NOOP\r\n"},
             {Move::kWhole},
             {B, kDone},
             {C, "REST 5\r\n" + pbsz},
             {B, "350 ok\r\n"}},
            kDone + "350 ok\r\n" + reply, "REST 5\r\n")});
}

TEST(FtpPairs, ActiveBehindMissingReply) {
  const std::string port = "PORT 203,0,113,7,160,0\r\n";
  std::vector<Move> moves = Begin("RETR");
  moves.insert(moves.end(), {{C, "NOOP\r\n"},
                             {Move::kWhole},
                             {B, kDone},
                             {C, "PORT 192,0,2,1,100,1\r\nSTOR y\r\n"},
                             {B, "200 PORT\r\n150 go\r\n226 stored\r\n"},
                             {Move::kWhole},
                             {C, "PASV\r\n"},
                             {B, kBackendPasv}});
  RunControl({{"PORT", moves, kBegun + kDone + "200 PORT\r\n150 go\r\n226 stored\r\n" + kPasvReply,
               "PASV\r\nRETR x\r\nNOOP\r\n" + port + "STOR y\r\nPASV\r\n",
               kAsked + "from server, 25601;" + kAsked}});
}

// Failures of files are neither PORT's nor NOOP's.
TEST(FtpPairs, FailuresBehindMissingReplies) {
  std::vector<Move> begin = Begin("RETR");
  begin.insert(begin.end(), {{C, "NOOP\r\n"}, {Move::kWhole}, {B, kDone}});
  const auto with = [&](const std::string& name, std::vector<Move> more, const std::string& said,
                        const std::string& to_backend, const std::string& asked) {
    std::vector<Move> all = begin;
    all.insert(all.end(), more.begin(), more.end());
    return Case{name, all, kBegun + kDone + said, "PASV\r\nRETR x\r\nNOOP\r\n" + to_backend, asked};
  };
  RunControl(
      {with("CWD", {{C, "CWD x\r\n"}, {B, "550 no\r\n"}, {C, "PBSZ 0\r\n"}},
            "550 no\r\n200 PBSZ=0\r\n", "CWD x\r\n", kAsked),
       with("RETR after PORT",
            {{C, "PORT 192,0,2,1,100,1\r\n"},
             {B, "200 PORT\r\n"},
             {C, "RETR y\r\n"},
             {B, "550 no\r\n"},
             {C, "PASV\r\n"},
             {B, kBackendPasv}},
            "200 PORT\r\n550 no\r\n" + kPasvReply, "PORT 203,0,113,7,160,0\r\nRETR y\r\nPASV\r\n",
            kAsked + "from server, 25601;drop;" + kAsked)});
}

}  // namespace
}  // namespace starling
