#include "protocols/frames/server_lines.h"

#include <algorithm>

namespace starling {

ServerLines::Piece ServerLines::Next(ByteView in) {
  if (amid_line_) return Rest(in);
  const LineReader::Line line = begin_.Next(in);
  switch (line.status) {
    case LineReader::Status::kLine:
      return {Status::kPiece, line.text, line.consumed, true, true};
    case LineReader::Status::kNeedMore:
      return {};
    case LineReader::Status::kTooLong: {
      Reset();
      amid_line_ = true;
      const size_t size = max_ - kTail - 1;  // the last octet seen may be the CR
      return {Status::kPiece, AsText(in.first(size)), size, true, false};
    }
    case LineReader::Status::kBareLf:
    case LineReader::Status::kBareCr:
    case LineReader::Status::kNul:
      break;
  }
  return {.status = Status::kBroken};
}

ServerLines::Piece ServerLines::Rest(ByteView in) {
  constexpr std::string_view kEnds("\r\n\0", 3);
  const std::string_view text = AsText(in);
  const size_t end = std::min(text.find_first_of(kEnds, scanned_), text.size());
  const bool crlf = text.substr(end).starts_with("\r\n");
  const bool ended = crlf || (accept_bare_lf_ && text.substr(end).starts_with('\n'));
  if (ended && end <= max_ - 2) {
    Reset();
    return {Status::kPiece, text.substr(0, end), end + (crlf ? 2 : 1), false, true};
  }
  if (end > kTail) {
    // Up to what may turn out to be the tail, or to be broken.
    const size_t size = std::min(end - kTail, max_ - 2);
    scanned_ = end - size;
    return {Status::kPiece, text.substr(0, size), size, false, false};
  }
  scanned_ = end;
  // A last CR is judged by what follows it.
  const bool open = end == text.size() || text.substr(end) == "\r";
  return {.status = open ? Status::kNeedMore : Status::kBroken};
}

void ServerLines::Reset() {
  begin_.Reset();
  scanned_ = 0;
  amid_line_ = false;
}

std::string_view WholeWords(std::string_view text, bool is_whole) {
  constexpr std::string_view kBlanks = " \t\v\f";
  return is_whole ? text : text.substr(0, text.find_last_of(kBlanks));
}

std::string_view WholeWords(const ServerLines::Piece& piece) {
  return WholeWords(piece.text, piece.last);
}

}  // namespace starling
