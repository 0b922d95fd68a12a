#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/xmpp/xmpp.h"

// The first octet chooses the size of the pieces and the kind of stream. All other octets
// come from the client.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  starling::DialogueOptions options;
  options.served_names = {"example.org", "example.net"};
  const auto create =
      (data[0] & 0x40) != 0 ? starling::CreateXmppServer : starling::CreateXmppClient;
  const std::string_view client(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto run = [&](size_t piece) {
    return starling::RunFuzzInput(create, options, client, "<stream:features/>", piece);
  };
  if (run((data[0] & 0x3f) + 1) != run(1)) std::abort();
  return 0;
}
