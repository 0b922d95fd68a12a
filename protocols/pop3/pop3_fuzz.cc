#include <cstddef>
#include <cstdint>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/pop3/pop3.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzDialogue(starling::CreatePop3, data, size);
}
