// Test cases of FTP's control connection inside TLS, as tables: what both sides say, what
// happens to data channels, in order, and the result. Each runs whole, octet by octet, and
// in pieces of three.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/contract/endpoint.h"
#include "protocols/ftp/ftp_play.h"

namespace starling {

// One step of a case.
struct Move {
  enum Who : uint8_t { kClient, kBackend, kWhole, kCut, kTlsFailed, kNotMade } who;
  std::string octets = {};
};
inline constexpr auto C = Move::kClient;
inline constexpr auto B = Move::kBackend;

struct Case {
  std::string name;
  std::vector<Move> moves;
  std::string to_client;
  std::string to_backend;
  std::string asked = {};  // requests for data channels
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::vector<Attack> attacks = {};
  std::string client_left = {};
  bool logged_in = true;
};

// The same, and the gateway counts an address that it has replaced.
inline Case Diverted(Case c) {
  c.attacks = {Attack::kBackendInjection};
  return c;
}

inline const Endpoint kV4{.family = Endpoint::Family::kV4, .port = 50000, .ip = {192, 0, 2, 1}};
inline const Endpoint kListen4{
    .family = Endpoint::Family::kV4, .port = 40960, .ip = {203, 0, 113, 7}};
inline const Endpoint kV6{
    .family = Endpoint::Family::kV6, .port = 50000, .ip = {0x20, 1, 0xd, 0xb8}};
inline const Endpoint kListen6{.family = Endpoint::Family::kV6, .port = 40960, .ip = {0x20, 2}};

inline const std::string kPrivate = "PBSZ 0\r\nPROT P\r\n";
inline const std::string kPrivateReply = "200 PBSZ=0\r\n200 Data is private\r\n";
inline const std::string kPasvReply = "227 Entering Passive Mode (203,0,113,7,160,0).\r\n";
inline const std::string kEpsvReply = "229 Entering Extended Passive Mode (|||40960|)\r\n";
inline const std::string kBackendPasv = "227 Entering (127,0,0,1,156,65)\r\n";  // 40001
inline const std::string kCannotOpen = "425 Cannot open a data connection\r\n";
inline const std::string kAborted = "426 Data connection closed, transfer aborted\r\n";
inline const std::string kNotHere = "502 Not available here\r\n";
inline const std::string kBroken = "421 Server broken, try again later\r\n";

// A transfer that has begun over a PASV channel, and what has been said so far.
inline std::vector<Move> Begin(const std::string& transfer) {
  return {
      {C, kPrivate + "PASV\r\n"}, {B, kBackendPasv}, {C, transfer + " x\r\n"}, {B, "150 go\r\n"}};
}
inline const std::string kBegun = kPrivateReply + kPasvReply + "150 go\r\n";
inline const std::string kDone = "226 done\r\n";
inline const std::string kAsked = "from client, 40001;";

inline void Make(const Move& move, FtpPlay& play) {
  switch (move.who) {
    case Move::kClient:
      return play.Client(move.octets);
    case Move::kBackend:
      return play.Backend(move.octets);
    case Move::kWhole:
      return play.DataIsOver(DataOutcome::kWhole);
    case Move::kCut:
      return play.DataIsOver(DataOutcome::kCut);
    case Move::kTlsFailed:
      return play.DataIsOver(DataOutcome::kTlsFailed);
    case Move::kNotMade:
      return play.DataIsOver(DataOutcome::kNotMade);
  }
}

inline void RunControl(const std::vector<Case>& cases, const Endpoint& client = kV4,
                       const Endpoint* listen = &kListen4) {
  for (const Case& c : cases) {
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{3}}) {
      SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
      const DialogueOptions options;
      FtpPlay play(options, piece);
      play.Raise(EventKind::kStart);
      play.Client("AUTH TLS\r\n");
      play.TakeToClient();
      play.ListenAt(listen);
      play.EnterTls(&client);
      play.Backend("220-ready\r\n220 ready\r\n");
      if (c.logged_in) {
        play.Client("PASS x\r\n");
        play.Backend("230 in\r\n");
        play.TakeToClient();
        play.TakeToBackend();
      }
      for (const Move& move : c.moves) Make(move, play);
      EXPECT_EQ(play.TakeToClient(), c.to_client);
      EXPECT_EQ(play.TakeToBackend(), c.to_backend);
      EXPECT_EQ(play.TakeAsked(), c.asked);
      EXPECT_EQ(play.verdict(), c.verdict);
      EXPECT_EQ(Label(play.reason()), Label(c.reason));
      Step expected;
      for (const Attack a : c.attacks) expected.Note(a);
      EXPECT_EQ(play.attacks(), expected.attacks);
      if (c.verdict != Verdict::kClose) EXPECT_EQ(play.client_left(), c.client_left);
    }
  }
}

}  // namespace starling
