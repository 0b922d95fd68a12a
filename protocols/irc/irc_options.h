// What an operator may set for IRC alone.
//
// Not for: what all dialogues have (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

struct IrcOptions final : ProtocolOptions {
  uint16_t sts_port = 0;        // the port of implicit TLS, told before TLS; 0: not told
  std::string webirc_password;  // of the server; empty: the server is not told the address
};

// Those in `options`, or the defaults if it has none.
const IrcOptions& IrcOptionsOf(const DialogueOptions& options);
// Puts a changed copy into `options`: copies of a listener share what it had before.
void SetStsPort(uint16_t port, DialogueOptions& options);
void SetWebircPassword(std::string password, DialogueOptions& options);

// Whether a server takes `password` in WEBIRC for the word that it is.
bool IsWebircPassword(std::string_view password);

}  // namespace starling
