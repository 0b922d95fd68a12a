#include "gateway/text/characters.h"

#include <algorithm>

namespace starling {

std::optional<Character> NextCharacter(std::string_view text) {
  const auto octet = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = octet(0);
  if (lead < 0x80) return Character{lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return std::nullopt;
  uint32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((octet(i) & 0xc0) != 0x80) return std::nullopt;
    code = code << 6 | (octet(i) & 0x3f);
  }
  const bool shortest = length == 2 || (length == 3 ? code >= 0x800 : code >= 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (!shortest || surrogate || code > 0x10ffff) return std::nullopt;
  return Character{code, length};
}

bool HasControl(std::string_view text) { return std::any_of(text.begin(), text.end(), IsControl); }

}  // namespace starling
