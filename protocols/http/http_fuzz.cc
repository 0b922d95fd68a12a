#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/frames/testing/dialogue_fuzzing.h"
#include "protocols/http/http.h"

namespace starling {
namespace {

// Plays what a client sends, and returns the outcome.
FuzzOutcome Run(const DialogueOptions& options, std::string_view client, size_t piece) {
  DialogueDriver driver(CreateHttp, options);
  driver.Raise(EventKind::kStart);
  driver.Client(client, piece);
  std::string to_backend;
  size_t left = 0;
  if (driver.verdict() == Verdict::kUpgrade) {
    left = driver.client_left().size();
    driver.EnterTls();
    // The backend's request must contain no octet of the client's.
    if (driver.TakeToBackend() != "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n") std::abort();
    if (driver.verdict() != Verdict::kRelay) std::abort();
  } else if (driver.verdict() == Verdict::kOpenLeg || driver.verdict() == Verdict::kHold) {
    driver.Raise(EventKind::kLegUp, /*inside_tls=*/false);
    if (driver.client_left() != client || options.policy == Policy::kRequire) std::abort();
    left = driver.client_left().size();
  }
  if (!driver.over()) driver.Raise(EventKind::kDeadline);
  return {driver.TakeToClient(), driver.verdict(), driver.reason(), driver.attacks(), left};
}

}  // namespace
}  // namespace starling

// The first octet sets the policy and the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace starling;
  if (size == 0) return 0;
  DialogueOptions options;
  options.hostname = "h";
  if ((data[0] & 0x80) != 0) options.policy = Policy::kOpportunistic;
  options.plaintext_auth = (data[0] & 0x40) != 0;
  const std::string_view client(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (Run(options, client, (data[0] & 0x3f) + 1u) != Run(options, client, 1)) std::abort();
  return 0;
}
