// Sessions under `policy: opportunistic`. The first octet of an input has switches. Then
// come moves: one octet says which side moves, one is the length, and the octets of the
// move follow.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/frames/testing/leg_fuzzing.h"
#include "protocols/imap/imap.h"

namespace {

bool LogsIn(std::string_view line) {
  using namespace starling;
  TakeWord(line);
  const std::string_view verb = LenientVerb(line);
  return EqualsIgnoreCase(verb, "LOGIN") || EqualsIgnoreCase(verb, "AUTHENTICATE");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzLeg(starling::CreateImap, data, size, LogsIn);
}
