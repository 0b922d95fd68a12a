#include "protocols/frames/server_lines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace starling {
namespace {

using namespace std::string_literals;
using Status = ServerLines::Status;

constexpr size_t kMax = 64;

struct Seen {
  std::vector<std::string> lines;   // whole
  std::vector<std::string> begins;  // the first piece of each
  std::string unfinished;           // what has come of a line without its end
  bool broken = false;
  size_t left = 0;  // not consumed
  bool operator==(const Seen&) const = default;
};

Seen Read(std::string_view in, bool accept_bare_lf, size_t piece) {
  ServerLines lines(kMax, accept_bare_lf);
  Seen seen;
  std::string held;
  while (!in.empty() && !seen.broken) {
    held += in.substr(0, std::min(piece, in.size()));
    in.remove_prefix(std::min(piece, in.size()));
    while (!held.empty()) {
      const ServerLines::Piece next = lines.Next(AsBytes(held));
      seen.broken = next.status == Status::kBroken;
      if (next.status != Status::kPiece) break;
      EXPECT_LE(next.text.size() + 2, kMax + (accept_bare_lf ? 1 : 0));
      const bool tail = next.last && !next.first;
      EXPECT_GE(next.text.size(), tail ? ServerLines::kTail : 0);
      if (next.first) seen.begins.emplace_back(next.text);
      seen.unfinished += next.text;
      if (next.last) seen.lines.push_back(std::exchange(seen.unfinished, {}));
      held.erase(0, next.consumed);
    }
  }
  if (!seen.broken) seen.left = held.size();
  return seen;
}

TEST(ServerLines, AreTheSameHoweverTheyArrive) {
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

TEST(ServerLines, AreBrokenByTheSameOctetsHoweverLong) {
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

TEST(ServerLines, WholeWordsLeavesOutWhatMayGoOn) {
  EXPECT_EQ(WholeWords({.text = "a b c", .first = true, .last = false}), "a b");
  EXPECT_EQ(WholeWords({.text = "a b c", .first = true, .last = true}), "a b c");
  EXPECT_EQ(WholeWords({.text = "abc", .first = true, .last = false}), "abc");
}

TEST(ServerLines, ResetForgetsALine) {
  ServerLines lines(kMax);
  EXPECT_TRUE(lines.Next(AsBytes(std::string(kMax, 'x'))).first);
  EXPECT_TRUE(lines.amid_line());
  lines.Reset();
  EXPECT_TRUE(lines.Next(AsBytes("a\r\n")).whole());
}

}  // namespace
}  // namespace starling
