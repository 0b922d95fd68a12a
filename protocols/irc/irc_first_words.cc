// What a probe says to an IRC server: goodbye, which every server answers, even to a client that is
// not registered (RFC 2812 section 3.1.7: by an ERROR message).
#include "protocols/frames/dialogue.h"
#include "protocols/irc/irc.h"

namespace starling {

void SayIrcFirstWords(const DialogueOptions& /*options*/, Writer& out) { Say(out, {"QUIT\r\n"}); }

}  // namespace starling
