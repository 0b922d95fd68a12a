// Scripts of SMTP sessions: what each side sends, and what the other side must then have
// read, however the octets are cut.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "protocols/smtp/smtp_play.h"

namespace starling {

// One move of a script: what a side sends, or what it must have got since.
struct Move {
  enum class Kind { kClient, kToClient, kBackend, kToBackend, kOpens, kClientEnds };
  Kind kind;
  std::string text = {};
};

inline Move C(std::string text) { return {Move::Kind::kClient, std::move(text)}; }
inline Move ToC(std::string text) { return {Move::Kind::kToClient, std::move(text)}; }
inline Move B(std::string text) { return {Move::Kind::kBackend, std::move(text)}; }
inline Move ToB(std::string text) { return {Move::Kind::kToBackend, std::move(text)}; }
// The dialogue must ask for the plaintext leg, which then comes up.
inline Move Opens() { return {Move::Kind::kOpens}; }
inline Move ClientEnds() { return {Move::Kind::kClientEnds}; }

struct SmtpCase {
  std::string name;
  std::vector<Move> moves;  // after the greeting
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::vector<Signal> signals = {};
  std::vector<Attack> attacks = {};
  std::string left = {};  // with kUpgrade: what the client has sent after the command
};

struct SmtpSetting {
  DialogueOptions options;
  bool lmtp = false;
  uint64_t capabilities = 0;
};

inline void PlayMove(SmtpPlay& play, const Move& move) {
  switch (move.kind) {
    case Move::Kind::kClient:
      return play.Client(move.text);
    case Move::Kind::kBackend:
      return play.Backend(move.text);
    case Move::Kind::kToClient:
      EXPECT_EQ(play.TakeToClient(), move.text);
      return;
    case Move::Kind::kToBackend:
      EXPECT_EQ(play.TakeToBackend(), move.text);
      return;
    case Move::Kind::kOpens:
      EXPECT_TRUE(play.opening());
      return play.Raise(EventKind::kLegUp);
    case Move::Kind::kClientEnds:
      return play.Raise(EventKind::kClientEnd);
  }
}

inline void RunCase(const SmtpCase& c, const SmtpSetting& setting, size_t piece) {
  SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
  SmtpPlay play(setting.options, setting.lmtp, piece);
  Event start;
  start.capabilities = setting.capabilities;
  play.Raise(start);
  play.TakeToClient();
  size_t at = 0;
  for (const Move& move : c.moves) {
    SCOPED_TRACE("move " + std::to_string(at++));
    PlayMove(play, move);
  }
  EXPECT_EQ(play.TakeToClient(), "");
  EXPECT_EQ(play.TakeToBackend(), "");
  EXPECT_EQ(play.verdict(), c.verdict);
  EXPECT_EQ(Label(play.reason()), Label(c.reason));
  if (c.verdict != Verdict::kClose) {
    EXPECT_EQ(play.client_left(), c.left);
  }
  Step expected;
  for (Signal s : c.signals) expected.Note(s);
  for (Attack a : c.attacks) expected.Note(a);
  EXPECT_EQ(play.signals(), expected.signals);
  EXPECT_EQ(play.attacks(), expected.attacks);
}

inline void RunCases(const std::vector<SmtpCase>& cases, const SmtpSetting& setting) {
  for (const SmtpCase& c : cases) {
    for (size_t piece : {std::string::npos, size_t{1}, size_t{2}, size_t{7}}) {
      RunCase(c, setting, piece);
    }
  }
}

}  // namespace starling
