#include "protocols/frames/long_lines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace starling {
namespace {

using namespace std::string_literals;
using Status = LongLines::Status;

constexpr size_t kMax = 64;

struct Seen {
  std::vector<std::string> lines;   // whole
  std::vector<std::string> begins;  // the first piece of each
  std::string unfinished;           // what has come of a line without its end
  bool broken = false;
  size_t left = 0;  // not consumed
  bool operator==(const Seen&) const = default;
};

Seen Read(std::string_view in, bool accept_bare_lf, size_t piece, uint8_t tail = LongLines::kTail) {
  LongLines lines(kMax, accept_bare_lf, tail);
  Seen seen;
  std::string held;
  while (!in.empty() && !seen.broken) {
    held += in.substr(0, std::min(piece, in.size()));
    in.remove_prefix(std::min(piece, in.size()));
    while (!held.empty()) {
      const LongLines::Piece next = lines.Next(AsBytes(held));
      seen.broken = next.status == Status::kBroken;
      if (next.status != Status::kPiece) break;
      EXPECT_LE(next.text.size() + 2, kMax + (accept_bare_lf ? 1 : 0));
      EXPECT_GE(next.text.size(), next.last && !next.first ? tail : 0);
      if (next.first) seen.begins.emplace_back(next.text);
      seen.unfinished += next.text;
      if (next.last) seen.lines.push_back(std::exchange(seen.unfinished, {}));
      held.erase(0, next.consumed);
    }
  }
  if (!seen.broken) seen.left = held.size();
  return seen;
}

TEST(LongLines, AreTheSameHoweverTheyArrive) {
  for (size_t size = 0; size <= 5 * kMax; ++size) {
    const std::string text = "550 " + std::string(size, 'x');
    for (bool bare : {false, true}) {
      const std::string stream = text + (bare ? "\n" : "\r\n") + "next\r\nha";
      const Seen whole = Read(stream, bare, stream.size());
      EXPECT_EQ(whole.lines, (std::vector<std::string>{text, "next"})) << size;
      EXPECT_EQ(whole.left, 2u);
      EXPECT_EQ(whole.begins[0], text.substr(0, whole.begins[0].size()));
      for (size_t piece : {1, 2, 7, 40}) EXPECT_EQ(Read(stream, bare, piece), whole) << size;
    }
  }
}

TEST(LongLines, AreBrokenByTheSameOctetsHoweverLong) {
  for (size_t size : {0, 30, 58, 59, 60, 61, 62, 63, 64, 65, 66, 90, 91, 200}) {
    for (const std::string& bad : {"\0"s, "\rx"s, "\r\r\n"s, "\n"s}) {
      const std::string stream = std::string(size, 'x') + bad + "behind\r\n";
      const Seen whole = Read(stream, false, stream.size());
      EXPECT_TRUE(whole.broken) << size;
      EXPECT_TRUE(whole.lines.empty());
      for (size_t piece : {1, 2, 7, 40}) EXPECT_EQ(Read(stream, false, piece), whole) << size;
    }
  }
}

// A caller that waits between judging a line and passing it on, and has room for so much.
Seen ReadLater(std::string_view in, bool accept_bare_lf, size_t piece, size_t room, uint8_t tail) {
  LongLines lines(kMax, accept_bare_lf, tail);
  Seen seen;
  std::string held;
  bool judged = false;
  while (!in.empty() && !seen.broken) {
    held += in.substr(0, std::min(piece, in.size()));
    in.remove_prefix(std::min(piece, in.size()));
    while (!held.empty()) {
      if (!judged) {
        const LongLines::Piece begin = lines.Look(AsBytes(held));
        seen.broken = begin.status == Status::kBroken;
        if (begin.status != Status::kPiece) break;
        EXPECT_EQ(lines.Look(AsBytes(held)).text, begin.text) << "it is found again";
        EXPECT_FALSE(lines.amid_line());
        seen.begins.emplace_back(begin.text);
      }
      const LongLines::Piece next = lines.Next(AsBytes(held), room);
      EXPECT_FALSE(!judged && next.status != Status::kPiece) << "it was there";
      EXPECT_FALSE(judged && next.first);
      judged = true;
      seen.broken = next.status == Status::kBroken;
      if (next.status != Status::kPiece) break;
      EXPECT_LE(next.text.size() + 2, room);
      EXPECT_EQ(lines.amid_line(), !next.last);
      judged = !next.last;
      seen.unfinished += next.text;
      if (next.last) seen.lines.push_back(std::exchange(seen.unfinished, {}));
      held.erase(0, next.consumed);
    }
  }
  if (!seen.broken) seen.left = held.size();
  return seen;
}

// With every kind of end, in pieces of all kinds: the same lines, beginnings and faults.
void ExpectTheSameLater(const std::string& stream, bool bare, uint8_t tail) {
  const Seen expected = Read(stream, bare, stream.size(), tail);
  for (size_t room : {LongLines::kMinRoom, LongLines::kMinRoom + 1, size_t{1000}}) {
    for (size_t piece : {stream.size(), size_t{1}, size_t{7}, size_t{40}}) {
      const Seen seen = ReadLater(stream, bare, piece, room, tail);
      EXPECT_EQ(seen.lines, expected.lines) << stream << " " << piece << " " << room;
      EXPECT_EQ(seen.begins, expected.begins) << stream << " " << piece << " " << room;
      EXPECT_EQ(seen.broken, expected.broken) << stream << " " << piece << " " << room;
      EXPECT_EQ(seen.left + seen.unfinished.size(), expected.left + expected.unfinished.size());
    }
  }
}

TEST(LongLines, AreTheSameJudgedFirstAndPassedLater) {
  for (size_t size : {1, 20, 57, 58, 59, 60, 61, 62, 63, 64, 65, 96, 97, 130, 300}) {
    for (const std::string& end :
         {"\r\nnext\r\nha"s, "\nnext\r\nha"s, "\0next\r\n"s, "\rx\r\n"s, "\r"s, ""s}) {
      for (bool bare : {false, true}) {
        for (uint8_t tail : {uint8_t{0}, LongLines::kTail}) {
          ExpectTheSameLater(std::string(size, 'x') + end, bare, tail);
        }
      }
    }
  }
}

TEST(LongLines, WithoutATailHoldNoOctetBack) {
  LongLines lines(kMax, false, 0);
  std::string held(kMax, 'x');
  held.erase(0, lines.Next(AsBytes(held)).consumed);
  held += 'y';
  const LongLines::Piece piece = lines.Next(AsBytes(held));
  EXPECT_EQ(piece.text, held);
  EXPECT_FALSE(piece.last);
}

TEST(LongLines, BehindABeginningThatTheCallerTook) {
  LongLines lines(kMax);
  const std::string line = "STOR a\r\nNOOP\r\n";
  EXPECT_TRUE(lines.Look(AsBytes(line)).whole());
  lines.TakeBeginning();
  const ByteView octets = AsBytes(line);
  const LongLines::Piece rest = lines.Next(octets.subspan(5), LongLines::kMinRoom);
  EXPECT_EQ(rest.text, "a");
  EXPECT_EQ(rest.consumed, 3u);
  EXPECT_TRUE(rest.last);
  EXPECT_FALSE(rest.first);
  EXPECT_EQ(lines.Next(octets.subspan(8)).text, "NOOP");
}

TEST(LongLines, NameTheirFault) {
  const struct {
    std::string octets;
    LineReader::Status fault;
  } cases[] = {
      {"\0"s, LineReader::Status::kNul},
      {"\rx"s, LineReader::Status::kBareCr},
      {"\n"s, LineReader::Status::kBareLf},
  };
  for (const auto& c : cases) {
    for (size_t size : {0, 20, 200}) {
      LongLines lines(kMax);
      std::string held = std::string(size, 'x') + c.octets;
      LongLines::Piece piece;
      while ((piece = lines.Next(AsBytes(held))).status == Status::kPiece) {
        held.erase(0, piece.consumed);
      }
      EXPECT_EQ(piece.status, Status::kBroken);
      EXPECT_EQ(piece.fault, c.fault) << size;
    }
  }
}

TEST(LongLines, WholeWordsLeavesOutWhatMayGoOn) {
  EXPECT_EQ(WholeWords({.first = true, .text = "a b c"}), "a b");
  EXPECT_EQ(WholeWords({.first = true, .last = true, .text = "a b c"}), "a b c");
  EXPECT_EQ(WholeWords({.first = true, .text = "abc"}), "abc");
}

TEST(LongLines, ResetForgetsALine) {
  LongLines lines(kMax);
  EXPECT_TRUE(lines.Next(AsBytes(std::string(kMax, 'x'))).first);
  EXPECT_TRUE(lines.amid_line());
  lines.Reset();
  EXPECT_TRUE(lines.Next(AsBytes("a\r\n")).whole());
}

}  // namespace
}  // namespace starling
