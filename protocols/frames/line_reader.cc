#include "protocols/frames/line_reader.h"

#include <algorithm>
#include <cstring>

namespace starling {

namespace {

bool IsInside(uint8_t octet) { return octet != '\n' && octet != '\r' && octet != '\0'; }

size_t Find(ByteView in, size_t from, size_t to, uint8_t octet) {
  const void* at = std::memchr(in.data() + from, octet, to - from);
  return at == nullptr ? to : static_cast<size_t>(static_cast<const uint8_t*>(at) - in.data());
}

}  // namespace

LineReader::Line LineReader::Next(ByteView in) {
  // Never looks at octets beyond the limit, so that the verdict on a line does not depend
  // on whether it comes at once or in pieces.
  size_t end = std::min(in.size(), max_);
  size_t from = std::min(scanned_, end);
  // An octet at a time, as some clients send a line, three searches cost more than all the rest.
  if (end - from <= 1 && end < max_ && (from == end || IsInside(in[from]))) {
    scanned_ = end;
    return {};
  }
  const size_t lf = Find(in, from, end, '\n');
  const size_t cr = Find(in, from, lf, '\r');
  const size_t nul = Find(in, from, lf, '\0');
  // A CR with another octet after it is reported first, whatever follows.
  if (cr + 1 < lf) return Line{nul < cr ? Status::kNul : Status::kBareCr, {}, 0};
  if (nul != lf) return Line{Status::kNul, {}, 0};
  if (lf < end) {
    bool has_cr = cr < lf;
    if (!has_cr && !accept_bare_lf_) return Line{Status::kBareLf, {}, 0};
    scanned_ = 0;
    return Line{Status::kLine, AsText(in.first(has_cr ? cr : lf)), lf + 1};
  }
  if (end == max_) return Line{Status::kTooLong, {}, 0};
  // Looks at a CR at the end again, with the octet after it.
  scanned_ = cr < lf ? cr : end;
  return {};
}

size_t FindNotInLine(ByteView in, size_t from) {
  size_t end = Find(in, from, in.size(), '\n');
  end = Find(in, from, end, '\r');
  return Find(in, from, end, '\0');
}

std::string_view FaultOf(LineReader::Status status) {
  switch (status) {
    case LineReader::Status::kTooLong:
      return "Line too long";
    case LineReader::Status::kBareLf:
      return "Bare <LF> received";
    case LineReader::Status::kBareCr:
      return "Bare <CR> received";
    case LineReader::Status::kNul:
      return "NUL received";
    case LineReader::Status::kLine:
    case LineReader::Status::kNeedMore:
      break;
  }
  return {};
}

}  // namespace starling
