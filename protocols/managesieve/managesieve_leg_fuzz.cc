// Sessions under `policy: opportunistic`. An input is an octet of switches and then
// moves: an octet that says whose, one for the length, and that many octets.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/frames/testing/leg_fuzzing.h"
#include "protocols/managesieve/managesieve.h"

namespace {

bool LogsIn(std::string_view line) {
  using namespace starling;
  return EqualsIgnoreCase(LenientVerb(line), "AUTHENTICATE");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzLeg(starling::CreateManageSieve, data, size, LogsIn);
}
