#include <cstddef>
#include <cstdint>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/managesieve/managesieve.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzDialogue(starling::CreateManageSieve, data, size);
}
