#include "protocols/frames/long_lines.h"

#include <algorithm>
#include <cassert>

namespace starling {

namespace {

constexpr size_t kCrlf = 2;

LongLines::Piece Whole(const LineReader::Line& line) {
  return {.status = LongLines::Status::kPiece,
          .first = true,
          .last = true,
          .text = line.text,
          .consumed = line.consumed};
}

}  // namespace

LongLines::Piece LongLines::NotWhole(LineReader::Status status, ByteView in) const {
  if (status == LineReader::Status::kNeedMore) return {};
  if (status != LineReader::Status::kTooLong) return {.status = Status::kBroken, .fault = status};
  // The last octet seen may be the CR, and CRLF must fit behind the piece.
  const size_t size = max_ - std::max<size_t>(tail_ + 1, kCrlf);
  return {
      .status = Status::kPiece, .first = true, .text = AsText(in.first(size)), .consumed = size};
}

LongLines::Piece LongLines::Look(ByteView in) {
  assert(!amid_line_);
  const LineReader::Line line = begin_.Next(in);
  return line.status == LineReader::Status::kLine ? Whole(line) : NotWhole(line.status, in);
}

LongLines::Piece LongLines::Next(ByteView in) {
  if (amid_line_) return Rest(in, max_);
  const LineReader::Line line = begin_.Next(in);
  if (line.status == LineReader::Status::kLine) return Whole(line);
  const Piece piece = NotWhole(line.status, in);
  if (piece.first) EnterLine(0);
  return piece;
}

LongLines::Piece LongLines::Next(ByteView in, size_t room) {
  assert(room >= kMinRoom);
  const bool first = !amid_line_;
  if (first) {
    const Piece piece = Look(in);
    if (piece.status != Status::kPiece) return piece;
    if (piece.last && piece.text.size() + kCrlf <= room) return piece;
    EnterLine(piece.text.size());
  }
  Piece piece = Rest(in, std::min(max_, room));
  piece.first = first;
  return piece;
}

LongLines::Piece LongLines::Rest(ByteView in, size_t most) {
  const std::string_view text = AsText(in);
  const size_t end = FindNotInLine(in, scanned_);
  const bool crlf = text.substr(end).starts_with("\r\n");
  const bool ended = crlf || (accept_bare_lf_ && text.substr(end).starts_with('\n'));
  if (ended && end + kCrlf <= most) {
    Reset();
    return {.status = Status::kPiece,
            .last = true,
            .text = text.substr(0, end),
            .consumed = end + (crlf ? kCrlf : 1)};
  }
  if (end > tail_) {
    // Up to what may turn out to be the tail, or to be broken.
    const size_t size = std::min(end - tail_, most - kCrlf);
    scanned_ = end - size;
    return {.status = Status::kPiece, .text = text.substr(0, size), .consumed = size};
  }
  scanned_ = end;
  // A last CR is judged by what follows it.
  if (end == text.size() || text.substr(end) == "\r") return {};
  return {.status = Status::kBroken, .fault = FaultOfOctet(in[end])};
}

void LongLines::EnterLine(size_t scanned) {
  begin_.Reset();
  scanned_ = scanned;
  amid_line_ = true;
}

void LongLines::Reset() {
  begin_.Reset();
  scanned_ = 0;
  amid_line_ = false;
}

std::string_view WholeWords(std::string_view text, bool is_whole) {
  constexpr std::string_view kBlanks = " \t\v\f";
  return is_whole ? text : text.substr(0, text.find_last_of(kBlanks));
}

std::string_view WholeWords(const LongLines::Piece& piece) {
  return WholeWords(piece.text, piece.last);
}

}  // namespace starling
