// The words of an IRC message (RFC 1459 section 2.3.1, IRCv3 message tags).
//
// Not for: what a message means (irc.cc, irc_registration.h).
#pragma once

#include <string_view>

namespace starling {

// Takes the next word and all spaces around it. At the end of a line ngIRCd also removes tabs.
std::string_view TakeIrcMiddle(std::string_view& rest);

// Takes the next parameter. The last one keeps its spaces if a colon precedes it.
std::string_view TakeIrcParameter(std::string_view& rest);

// Takes the command of a message, after its tags and its source. `rest` keeps the
// parameters. InspIRCd and ngIRCd let clients send tags and a source, and spaces before
// them.
std::string_view TakeIrcCommand(std::string_view& rest);
std::string_view IrcCommandOf(std::string_view message);

// Whether a server may say this line, or one that begins so (`whole` is false): its command
// has only letters, or is a numeric. An empty line is no message.
bool IsIrcMessage(std::string_view line, bool whole);

}  // namespace starling
