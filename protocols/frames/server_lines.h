// Lines of a server, however long. The gateway reads what a line begins with, which is
// where every protocol has the code or the word that says what the line is; what follows
// can be passed on or dropped without being held. So there is no length at which a
// server's refusal would become the gateway's own.
//
// Not for: a client's lines, which are read whole (line_reader.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/line_reader.h"

namespace starling {

class ServerLines {
 public:
  enum class Status : uint8_t {
    kPiece,     // `text` is a line, or a piece of one
    kNeedMore,  // not enough has come
    kBroken,    // NUL, a CR that no LF follows, or a bare LF where none is accepted
  };
  struct Piece {
    Status status = Status::kNeedMore;
    std::string_view text = {};  // without the end of the line
    size_t consumed = 0;
    bool first = false;  // of its line
    bool last = false;   // of its line, whose end is in `consumed`

    bool whole() const { return first && last; }
  };

  // The last piece of a line has at least so many octets, so that a literal can be
  // seen at its end.
  static constexpr size_t kTail = 32;

  // `max` counts octets of a line with its end. A longer one comes in pieces, and no piece
  // with CRLF behind it is longer than `max`, but that of a bare LF grows by one.
  explicit ServerLines(size_t max, bool accept_bare_lf = false)
      : begin_(max, accept_bare_lf), max_(max), accept_bare_lf_(accept_bare_lf) {}

  // The next piece at the start of `in`. What all pieces of a line have in them together,
  // and which of them is the first, does not depend on how its octets arrive.
  Piece Next(ByteView in);

  bool amid_line() const { return amid_line_; }
  void Reset();

 private:
  Piece Rest(ByteView in);

  LineReader begin_;
  size_t max_;
  size_t scanned_ = 0;
  bool accept_bare_lf_;
  bool amid_line_ = false;
};

// The words of `text` that are whole, where a line's first piece may end amid one.
std::string_view WholeWords(std::string_view text, bool is_whole);
std::string_view WholeWords(const ServerLines::Piece& piece);

}  // namespace starling
