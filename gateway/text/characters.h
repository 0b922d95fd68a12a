// Characters of text that comes from outside: which octets are UTF-8, and which control
// whatever shows them. Log and configuration must agree about both.
//
// Not for: how a log line or an error quotes text (log/format.h, config/yaml_tree.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace starling {

struct Character {
  uint32_t code = 0;
  size_t length = 0;  // in octets
};

// The character that `text` begins with; `text` is not empty. Nothing if those octets are not
// well-formed UTF-8 (RFC 3629 section 4: shortest form, no surrogates, at most U+10FFFF).
std::optional<Character> NextCharacter(std::string_view text);

// A control character of ASCII: the octets below a space, and DEL.
constexpr bool IsControl(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }
bool HasControl(std::string_view text);

}  // namespace starling
