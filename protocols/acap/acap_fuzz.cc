#include <cstddef>
#include <cstdint>

#include "protocols/acap/acap.h"
#include "protocols/frames/testing/dialogue_fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzDialogue(starling::CreateAcap, data, size);
}
