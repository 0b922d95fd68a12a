// FTP inside TLS: how data channels are set up, and what their end means for a transfer.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ftp/ftp_testing.h"

namespace starling {
namespace {

TEST(FtpData, Passive) {
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

TEST(FtpData, NoListener) {
  RunControl(
      {{"passive",
        {{C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, "RETR x\r\n"}},
        kPrivateReply + kCannotOpen + "425 Use PASV, EPSV, PORT or EPRT first\r\n",
        "PASV\r\n",
        "from client, 40001;"},
       {"active", {{C, "PORT 192,0,2,1,100,1\r\n"}}, kCannotOpen, "", "from server, 25601;"}},
      kV4, nullptr);
}

TEST(FtpData, Ipv6) {
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

TEST(FtpData, Active) {
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

TEST(FtpData, NoTransferWithout) {
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

// A backend's success does not count before the data channel's.
TEST(FtpData, SuccessIsHeld) {
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

TEST(FtpData, FailureEndsTheChannel) {
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

TEST(FtpData, Pipelined) {
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

// Some servers answer commands at once that come while they send.
TEST(FtpData, AnswersThatOvertake) {
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

TEST(FtpData, Abort) {
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

}  // namespace
}  // namespace starling
