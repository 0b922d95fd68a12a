#include <cstddef>
#include <cstdint>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/nntp/nntp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return starling::FuzzDialogue(starling::CreateNntp, data, size);
}
