// What a line says of a literal that follows it: "...{12}" and "...{12+}" (RFC
// 3501 section 4.3, RFC 7888, RFC 5804 section 4).
//
// Not for: reading the literal's octets.
#pragma once

#include <cstdint>
#include <string_view>

namespace starling {

// A number that does not fit in 64 bits is as large as any number can be.
struct Literal {
  bool present = false;
  bool synchronizing = false;  // the sender waits to be asked
  uint64_t size = 0;
};

Literal ParseLiteral(std::string_view line);

// Spaces stand behind what would be a literal without them, and servers refuse the command.
// Nobody may cut those spaces off, or the next server would read a literal where this one did
// not.
bool HasBrokenLiteral(std::string_view line);

}  // namespace starling
