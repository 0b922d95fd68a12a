// Options for IRC only.
//
// Not for: options of all dialogues (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

struct IrcOptions final : ProtocolOptions {
  uint16_t sts_port = 0;  // the port of implicit TLS that the gateway announces before TLS; 0: none
  std::string
      webirc_password;  // the server's; empty: the gateway does not tell the client's address
};

// The IRC options in `options`, or the defaults if it has none.
const IrcOptions& IrcOptionsOf(const DialogueOptions& options);
// Puts a changed copy into `options`, because copies of the listener share the old object.
void SetStsPort(uint16_t port, DialogueOptions& options);
void SetWebircPassword(std::string password, DialogueOptions& options);

// Whether a server reads `password` in WEBIRC as one word, unchanged.
bool IsWebircPassword(std::string_view password);

}  // namespace starling
