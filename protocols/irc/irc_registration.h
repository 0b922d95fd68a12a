// What a client has said on the fresh leg, as far as the server owes it an answer: capabilities
// that it asks for, or the welcome behind NICK and USER. Octets pass by here on their way to the
// server, in any pieces.
//
// Not for: judging what either side says (irc.cc). A wrong guess costs a probe of the server, or
// puts the end of a silent session down to the wrong side.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/irc/limits.h"

namespace starling {

class IrcRegistration {
 public:
  void HearClient(ByteView octets);
  // The gateway itself asks for the capabilities again.
  void AskForCapabilities();
  // The beginning of a line of the server is enough.
  void HearServer(std::string_view line);

  // A server may wait for the client's PONG with its welcome.
  bool IsOwedAnswer() const {
    const bool welcome = nick_ && user_ && !negotiates_;
    return !pinged_ && (asked_ || welcome);
  }

 private:
  void HearLine(std::string_view line);

  std::array<char, kIrcLineBeginning> line_{};
  uint8_t size_ = 0;   // of the line's beginning
  bool nick_ = false;  // was said, and not refused
  bool user_ = false;
  bool negotiates_ = false;  // CAP LS or REQ was said, and CAP END was not
  bool pinged_ = false;      // the server has, and the client has not answered
  bool asked_ = false;       // something else that every server answers
};

}  // namespace starling
