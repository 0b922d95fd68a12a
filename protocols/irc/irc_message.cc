#include "protocols/irc/irc_message.h"

#include "protocols/frames/dialogue.h"
#include "protocols/irc/limits.h"

namespace starling {
namespace {

bool IsCommand(std::string_view word) {
  return IsVerb(word) && word.size() <= kIrcMaxCommand && word.find('-') == std::string_view::npos;
}

}  // namespace

std::string_view TakeIrcMiddle(std::string_view& rest) {
  const std::string_view word = NextWord(rest, kSpace);
  return rest.empty() ? TrimEnd(word, kBlanks) : word;
}

std::string_view TakeIrcParameter(std::string_view& rest) {
  if (!rest.starts_with(':')) return TakeIrcMiddle(rest);
  std::string_view trailing = rest.substr(1);
  rest = {};
  return trailing;
}

std::string_view TakeIrcCommand(std::string_view& rest) {
  rest = TrimStart(rest, kBlanks);
  std::string_view word = TakeIrcMiddle(rest);
  if (word.starts_with('@')) word = TakeIrcMiddle(rest);
  if (word.starts_with(':')) word = TakeIrcMiddle(rest);
  return word;
}

std::string_view IrcCommandOf(std::string_view message) {
  std::string_view rest = message;
  return TakeIrcCommand(rest);
}

bool IsIrcMessage(std::string_view line, bool whole) {
  const std::string_view command = IrcCommandOf(line);
  // The beginning of a long line may have nothing but tags.
  const bool tags_only = command.empty() && line.starts_with('@') && !whole;
  return line.empty() || tags_only || IsCommand(command);
}

}  // namespace starling
