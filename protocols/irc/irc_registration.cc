#include "protocols/irc/irc_registration.h"

#include <algorithm>

#include "protocols/frames/dialogue.h"
#include "protocols/irc/irc_message.h"

namespace starling {

void IrcRegistration::HearClient(ByteView octets) {
  for (const char c : AsText(octets)) {
    if (c == '\r' || c == '\n') {
      HearLine({line_.data(), size_});
      size_ = 0;
    } else if (size_ < line_.size()) {
      line_[size_++] = c;
    }
  }
}

void IrcRegistration::AskForCapabilities() { negotiates_ = asked_ = true; }

void IrcRegistration::HearLine(std::string_view line) {
  std::string_view rest = line;
  const std::string_view verb = TakeIrcCommand(rest);
  const auto is = [](std::string_view word) {
    return [word](std::string_view known) { return EqualsIgnoreCase(word, known); };
  };
  static constexpr std::array<std::string_view, 3> kAnswered = {"PING", "AUTHENTICATE", "QUIT"};
  static constexpr std::array<std::string_view, 2> kNegotiates = {"LS", "REQ"};
  if (EqualsIgnoreCase(verb, "NICK")) {
    nick_ = true;
  } else if (EqualsIgnoreCase(verb, "USER")) {
    user_ = true;
  } else if (EqualsIgnoreCase(verb, "PONG")) {
    pinged_ = false;
  } else if (EqualsIgnoreCase(verb, "CAP")) {
    const std::string_view subcommand = TakeIrcParameter(rest);
    if (EqualsIgnoreCase(subcommand, "END")) negotiates_ = false;
    if (std::ranges::any_of(kNegotiates, is(subcommand))) AskForCapabilities();
  } else if (std::ranges::any_of(kAnswered, is(verb))) {
    asked_ = true;
  }
}

void IrcRegistration::HearServer(std::string_view line) {
  const std::string_view command = IrcCommandOf(line);
  asked_ = false;
  if (command == "PING") pinged_ = true;
  // What it refuses the client has to say again: of the nickname all of these numerics tell.
  if (command.starts_with("43")) {
    nick_ = false;
  } else if (command.starts_with('4')) {
    user_ = false;
  }
}

}  // namespace starling
