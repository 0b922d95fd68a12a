// What a probe says to an IRC server: goodbye, which every server answers, even to a client that is
// not registered (RFC 2812 section 3.1.7: by an ERROR message). Notices may come before that.
#include "protocols/frames/dialogue.h"
#include "protocols/irc/irc.h"
#include "protocols/irc/irc_message.h"

namespace starling {

void SayIrcFirstWords(const DialogueOptions& /*options*/, Writer& out) { Say(out, {"QUIT\r\n"}); }

GreetingStatus ReadIrcAnswer(ByteView in) {
  const std::string_view text = TrimStart(AsText(in), "\r\n");
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return GreetingStatus::kNeedMore;
  const bool message = IsIrcMessage(TrimEnd(text.substr(0, end), "\r"), /*whole=*/true);
  return message ? GreetingStatus::kWelcome : GreetingStatus::kOther;
}

}  // namespace starling
