// Streams whose octets identify their place: each octet is a function of its stream and
// position, so that the receiver detects a lost, doubled, moved or foreign octet at once.
//
// A stream starts with eight octets: a mark (1: from a client, 2: from a
// backend) and the session's number in hexadecimal.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace starling::sim {

inline constexpr char kClientMark = '\x01';
inline constexpr char kBackendMark = '\x02';
inline constexpr size_t kMarkSize = 8;

inline std::string StreamMark(char mark, uint32_t id) {
  char text[16];
  std::snprintf(text, sizeof text, "%c%07x", mark, id);
  return text;
}

inline char CodedOctet(char mark, uint32_t id, uint64_t position) {
  uint64_t z = (uint64_t{id} << 40 | uint64_t{static_cast<uint8_t>(mark)} << 36) ^ (position >> 3);
  z = (z ^ (z >> 31)) * 0xbf58476d1ce4e5b9;
  z ^= z >> 29;
  return static_cast<char>(z >> (8 * (position & 7)));
}

// `size` octets from `position` on. The mark has positions too.
inline std::string CodedOctets(char mark, uint32_t id, uint64_t position, size_t size) {
  std::string octets;
  octets.reserve(size);
  const std::string head = StreamMark(mark, id);
  for (size_t i = 0; i < size; ++i) {
    const uint64_t at = position + i;
    octets += at < kMarkSize ? head[at] : CodedOctet(mark, id, at);
  }
  return octets;
}

// The same as lines of letters, for message data. It has no mark, and no line begins with
// a dot. It ends with a whole line if `position` + `size` is a multiple of kTextLine.
inline constexpr uint64_t kTextLine = 64;
inline std::string CodedText(uint32_t id, uint64_t position, size_t size) {
  std::string text;
  text.reserve(size);
  for (uint64_t at = position; at < position + size; ++at) {
    const uint64_t column = at % kTextLine;
    const uint8_t octet = static_cast<uint8_t>(CodedOctet('t', id, at));
    text += column == kTextLine - 2   ? '\r'
            : column == kTextLine - 1 ? '\n'
                                      : static_cast<char>('a' + octet % 26);
  }
  return text;
}

// The receiving end of one stream.
class StreamChecker {
 public:
  explicit StreamChecker(char mark) : mark_(mark) {}

  // False at the first wrong octet.
  bool Feed(std::string_view octets) {
    for (const char octet : octets) {
      if (position_ < kMarkSize) {
        if (position_ == 0 ? octet != mark_ : !TakeDigit(octet)) return false;
      } else if (octet != CodedOctet(mark_, id_, position_)) {
        return false;
      }
      ++position_;
    }
    return true;
  }
  uint64_t position() const { return position_; }
  // The session of the stream, once its mark is complete.
  bool known() const { return position_ >= kMarkSize; }
  uint32_t id() const { return id_; }

 private:
  bool TakeDigit(char c) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return false;
    id_ = id_ << 4 | static_cast<uint32_t>(digit ? c - '0' : c - 'a' + 10);
    return true;
  }

  char mark_;
  uint32_t id_ = 0;
  uint64_t position_ = 0;
};

}  // namespace starling::sim
