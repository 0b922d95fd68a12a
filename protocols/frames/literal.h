// What a line announces about a literal that follows it: "...{12}" and "...{12+}" (RFC 3501
// section 4.3, RFC 7888, RFC 5804 section 4).
//
// Not for: reading the literal's octets.
#pragma once

#include <cstdint>
#include <string_view>

namespace starling {

// A number that does not fit into 64 bits counts as the largest that does.
struct Literal {
  bool present = false;
  bool synchronizing = false;  // the sender waits until the receiver asks for the literal
  uint64_t size = 0;
};

Literal ParseLiteral(std::string_view line);

// Whether spaces follow what would be a literal without them. Servers refuse such a
// command. The gateway must not cut the spaces off, or the next server would read a literal
// where this one did not.
bool HasBrokenLiteral(std::string_view line);

}  // namespace starling
