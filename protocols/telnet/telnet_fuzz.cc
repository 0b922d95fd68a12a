#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/telnet/telnet.h"

// The first octet chooses the size of the pieces. All other octets come from the client,
// since every octet value means something here.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  starling::DialogueOptions options;
  options.max_commands = 16;
  const std::string_view client(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto run = [&](size_t piece) {
    return starling::RunFuzzInput(starling::CreateTelnet, options, client, "login: ", piece);
  };
  if (run((data[0] & 0x3f) + 1) != run(1)) std::abort();
  return 0;
}
