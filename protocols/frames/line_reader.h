// Bounded framing of lines that end in CRLF, without copying: it finds each line in the
// octets that the session holds anyway.
//
// Not for: the meaning of lines, literals, or mail data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

class LineReader {
 public:
  enum class Status : uint8_t {
    kLine,      // `text` is the line without its end; `consumed` includes the end
    kNeedMore,  // no end of line yet, and still within the limit
    kTooLong,   // more than `max` octets without an end
    kBareLf,    // LF without CR, which this reader does not accept
    kBareCr,    // CR without LF
    kNul,
  };
  struct Line {
    Status status = Status::kNeedMore;
    std::string_view text;
    size_t consumed = 0;
  };

  // `max` counts octets of a line with its CRLF.
  explicit LineReader(size_t max, bool accept_bare_lf = false)
      : max_(max), accept_bare_lf_(accept_bare_lf) {}

  // Looks for a line at the beginning of `in`. Remembers how far it has looked, so that it
  // looks at each octet once, even if octets come one at a time. A caller that consumes
  // octets by other means must call Reset().
  Line Next(ByteView in);

  void Reset() { scanned_ = 0; }

 private:
  size_t max_;
  size_t scanned_ = 0;
  bool accept_bare_lf_;
};

// The fault of an octet that neither belongs to a line nor ends it.
constexpr LineReader::Status FaultOfOctet(uint8_t octet) {
  return octet == '\n'   ? LineReader::Status::kBareLf
         : octet == '\r' ? LineReader::Status::kBareCr
                         : LineReader::Status::kNul;
}

// Where the first octet at or behind `from` stands that does not belong to a line: CR, LF or
// NUL. in.size() if all do.
size_t FindNotInLine(ByteView in, size_t from);

// What is wrong with a line, in words for its sender. Empty if nothing is wrong.
std::string_view FaultOf(LineReader::Status status);

}  // namespace starling
