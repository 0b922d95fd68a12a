// A table of sessions with a plaintext leg: what both sides send in turn, and the complete
// result, however the octets are cut.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_driver.h"

namespace starling {

// What the client ('c') or the backend of the leg ('b') sends. 'e': the client ends, 'x':
// the backend ends.
struct Move {
  char who;
  std::string octets = {};
};

struct LegCase {
  std::string name;
  std::vector<Move> moves;
  std::string to_client;   // after the greeting
  std::string to_backend;  // on the leg
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::vector<Attack> attacks = {};
  std::string client_left = {};  // not consumed: with kRelay the first opaque octets
};

inline void RunLegCase(const LegCase& c, DialogueDriver::Create create,
                       const DialogueOptions& options, size_t piece) {
  SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
  DialogueDriver play(create, options, piece);
  play.Raise(EventKind::kStart);
  play.TakeToClient();
  for (const Move& move : c.moves) {
    if (move.who == 'c') play.Client(move.octets);
    if (move.who == 'b') play.Backend(move.octets);
    if (move.who == 'e') play.Raise(EventKind::kClientEnd);
    if (move.who == 'x') play.Raise(EventKind::kBackendEnd);
    if (play.opening()) play.Raise(EventKind::kLegUp);
  }
  EXPECT_EQ(play.TakeToClient(), c.to_client);
  EXPECT_EQ(play.TakeToBackend(), c.to_backend);
  EXPECT_EQ(play.verdict(), c.verdict);
  EXPECT_EQ(Label(play.reason()), Label(c.reason));
  Step expected;
  for (Attack a : c.attacks) expected.Note(a);
  EXPECT_EQ(play.attacks(), expected.attacks);
  if (c.verdict == Verdict::kClose) return;
  EXPECT_EQ(play.client_left(), c.client_left);
}

inline void RunLegCases(const std::vector<LegCase>& cases, DialogueDriver::Create create,
                        const DialogueOptions& options) {
  for (const LegCase& c : cases) {
    for (size_t piece : {std::string::npos, size_t{1}, size_t{3}}) {
      RunLegCase(c, create, options, piece);
    }
  }
}

// A leg is up, and then the upgrade comes. Nothing from the leg counts inside TLS.
inline void RunLegUpgrade(DialogueDriver::Create create, const DialogueOptions& options,
                          const std::vector<Move>& before, const std::string& upgrade,
                          const std::string& go_ahead) {
  DialogueDriver play(create, options);
  play.Raise(EventKind::kStart);
  for (const Move& move : before) {
    move.who == 'c' ? play.Client(move.octets) : play.Backend(move.octets);
    if (play.opening()) play.Raise(EventKind::kLegUp);
  }
  play.TakeToClient();
  play.TakeToBackend();
  play.Client(upgrade);
  EXPECT_EQ(play.verdict(), Verdict::kUpgrade);
  EXPECT_EQ(play.TakeToClient(), go_ahead);
  play.EnterTls();
  EXPECT_EQ(play.TakeToBackend(), "");
  play.Client("octets inside TLS");
  EXPECT_EQ(play.verdict(), Verdict::kHold);
  EXPECT_EQ(play.TakeToBackend(), "");
}

}  // namespace starling
