#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/postgresql/postgresql.h"

namespace starling {
namespace {

struct Outcome {
  std::string said;
  std::string said_to_servers;
  Verdict verdict;
  EndReason reason;
  uint32_t signals;
  uint32_t attacks;
  std::string left;

  bool operator==(const Outcome&) const = default;
};

Outcome Run(std::string_view client, int servers, size_t piece) {
  const DialogueOptions options;
  DialogueDriver driver(CreatePostgresql, options);
  driver.Raise(EventKind::kStart);
  driver.Client(client, piece);
  if (driver.verdict() == Verdict::kUpgrade) {
    driver.Raise(EventKind::kUpgraded);
    driver.Client("x");
    driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  } else if (driver.verdict() != Verdict::kContinue && !driver.over()) {
    for (int i = 0; i < servers; ++i) {
      driver.Raise(EventKind::kLegUp);
      driver.Backend(client, piece);
    }
    driver.Raise(EventKind::kLegFailed);
  }
  if (!driver.over()) driver.Raise(EventKind::kDeadline);
  // A session that closes does not see octets that arrive later.
  const bool closed = driver.verdict() == Verdict::kClose;
  return {driver.TakeToClient(),
          driver.TakeToBackend(),
          driver.verdict(),
          driver.reason(),
          driver.signals(),
          driver.attacks(),
          closed ? std::string() : driver.client_left()};
}

}  // namespace
}  // namespace starling

// The first octet chooses the number of servers and the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view client(reinterpret_cast<const char*>(data) + 1, size - 1);
  const int servers = data[0] >> 6;
  const size_t piece = (data[0] & 0x3f) + 1;
  if (starling::Run(client, servers, piece) != starling::Run(client, servers, 1)) std::abort();
  return 0;
}
