#include "protocols/ldap/ber.h"

namespace starling {

namespace {

constexpr uint8_t kTagContinues = 0x1f;  // all five bits: the number follows in more octets
constexpr uint8_t kLongForm = 0x80;      // alone: the indefinite form
constexpr size_t kMaxLengthOctets = 4;   // some clients write so many, even for short lengths

}  // namespace

BerHead ReadBerHead(ByteView in) {
  BerHead head;
  if (in.empty()) return head;
  head.tag = in[0];
  if ((head.tag & kTagContinues) == kTagContinues) {
    head.status = BerHead::Status::kBad;
    return head;
  }
  if (in.size() < 2) return head;
  size_t octets = 0;
  if (in[1] < kLongForm) {
    head.length = in[1];
  } else {
    octets = in[1] - kLongForm;
    if (octets == 0 || octets > kMaxLengthOctets) {
      head.status = BerHead::Status::kBad;
      return head;
    }
  }
  head.size = 2 + octets;
  if (in.size() < head.size) return head;
  for (const uint8_t octet : in.subspan(2, octets)) head.length = head.length << 8 | octet;
  head.status = BerHead::Status::kHead;
  return head;
}

std::optional<BerElement> TakeBer(ByteView& rest) {
  const BerHead head = ReadBerHead(rest);
  if (head.status != BerHead::Status::kHead) return std::nullopt;
  if (head.length > rest.size() - head.size) return std::nullopt;
  BerElement element{head.tag, rest.subspan(head.size, head.length)};
  rest = rest.subspan(head.size + head.length);
  return element;
}

std::optional<ByteView> TakeBer(ByteView& rest, uint8_t tag) {
  const std::optional<BerElement> element = TakeBer(rest);
  if (!element || element->tag != tag) return std::nullopt;
  return element->content;
}

std::optional<uint32_t> ReadBerNumber(ByteView content) {
  constexpr uint8_t kSign = 0x80;
  if (content.empty() || content.size() > sizeof(uint32_t)) return std::nullopt;
  if ((content[0] & kSign) != 0) return std::nullopt;
  uint32_t number = 0;
  for (const uint8_t octet : content) number = number << 8 | octet;
  return number;
}

}  // namespace starling
