// Runs one fuzz input against a dialogue twice, like a session: as the input cuts it, and
// one octet at a time. Both must give the same result.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/frames/testing/dialogue_driver.h"

namespace starling {

struct FuzzOutcome {
  std::string said;
  Verdict verdict;
  EndReason reason;
  uint32_t attacks;
  size_t left;

  bool operator==(const FuzzOutcome&) const = default;
};

// Sends `client` before TLS. If that leads to an upgrade, `backend` greets after it.
inline FuzzOutcome RunFuzzInput(DialogueDriver::Create create, const DialogueOptions& options,
                                std::string_view client, std::string_view backend, size_t piece) {
  DialogueDriver driver(create, options);
  driver.Raise(EventKind::kStart);
  driver.Client(client, piece);
  size_t left = 0;
  if (driver.verdict() == Verdict::kUpgrade) {
    left = driver.client_left().size();
    driver.EnterTls();
    driver.Client("x");
    driver.Backend(backend, piece);
    if (driver.verdict() == Verdict::kRelay) left += driver.backend_left().size();
  }
  if (!driver.over()) driver.Raise(EventKind::kDeadline, /*inside_tls=*/false);
  return {driver.TakeToClient(), driver.verdict(), driver.reason(), driver.attacks(), left};
}

// The first octet sets the options and the size of the pieces. An octet 0xff ends the
// client's part.
inline int FuzzDialogue(DialogueDriver::Create create, const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  DialogueOptions options;
  options.accept_bare_lf = (data[0] & 0x80) != 0;
  options.max_commands = 16;
  options.max_line = 128;
  size_t piece = (data[0] & 0x3f) + 1;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string_view client = text.substr(0, text.find('\xff'));
  std::string_view backend;
  if (client.size() < text.size()) backend = text.substr(client.size() + 1);
  FuzzOutcome cut = RunFuzzInput(create, options, client, backend, piece);
  FuzzOutcome octets = RunFuzzInput(create, options, client, backend, 1);
  if (cut != octets) std::abort();
  return 0;
}

}  // namespace starling
