// Lines of any length, in pieces: each line that a server says, and FTP's commands. A protocol
// judges a line by its beginning, where the code or the word stands that says what the line is.
// It passes on or drops what follows without holding it. So there is no length at which a
// server's refusal would become the gateway's own.
//
// Not for: lines of clients that are read whole (line_reader.h), or what a line means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/line_reader.h"

namespace starling {

class LongLines {
 public:
  enum class Status : uint8_t {
    kPiece,     // `text` is a line, or a piece of one
    kNeedMore,  // not enough has come
    kBroken,    // NUL, a CR that no LF follows, or a bare LF where none is accepted
  };
  struct Piece {
    Status status = Status::kNeedMore;
    LineReader::Status fault = LineReader::Status::kLine;  // with kBroken: which one
    bool first = false;                                    // of its line
    bool last = false;           // of its line, whose end is in `consumed`
    std::string_view text = {};  // without the end of the line
    size_t consumed = 0;

    bool whole() const { return first && last; }
  };

  // So many octets the last of several pieces of a line has at least, where a literal is to be
  // seen at its end.
  static constexpr uint8_t kTail = 32;
  // The least that Next(in, room) may be given.
  static constexpr size_t kMinRoom = 2 * kTail;

  // `max` counts octets of a line with its end. A longer one comes in pieces, and no piece
  // with CRLF behind it is longer than `max`, but that of a bare LF grows by one. `tail`: kTail,
  // or 0 where each octet is to be given as soon as it is known to belong to the line.
  explicit LongLines(size_t max, bool accept_bare_lf = false, uint8_t tail = kTail)
      : begin_(max, accept_bare_lf), max_(max), accept_bare_lf_(accept_bare_lf), tail_(tail) {}

  // The next piece at the start of `in`; the caller consumes it. What all pieces of a line have
  // in them together, and what its first piece is, does not depend on how its octets arrive.
  Piece Next(ByteView in);
  // The same, but a piece with CRLF behind it has no more than `room` octets, whatever it ends
  // with.
  Piece Next(ByteView in, size_t room);

  // For a caller that judges a line and can pass it on only later. The piece that Next(in) would
  // give at the start of a line, which stays where it is and is found again.
  Piece Look(ByteView in);
  // That line has been judged, and the caller itself consumes its beginning: what Next gives
  // from now on follows behind.
  void TakeBeginning() { EnterLine(0); }

  // Next continues a line. After a piece that is the first of its line: the line is not whole.
  bool amid_line() const { return amid_line_; }
  void Reset();

 private:
  // What stands at the start of `in`, which begins with no whole line.
  Piece NotWhole(LineReader::Status status, ByteView in) const;
  void EnterLine(size_t scanned);
  Piece Rest(ByteView in, size_t most);

  LineReader begin_;
  size_t max_;
  size_t scanned_ = 0;  // amid a line: octets known to belong to it
  bool accept_bare_lf_;
  uint8_t tail_;
  bool amid_line_ = false;
};

// The words of `text` that are whole, where a line's first piece may end amid one.
std::string_view WholeWords(std::string_view text, bool is_whole);
std::string_view WholeWords(const LongLines::Piece& piece);

}  // namespace starling
