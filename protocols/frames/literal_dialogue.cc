#include "protocols/frames/literal_dialogue.h"

#include "protocols/frames/dialogue.h"
#include "protocols/frames/literal.h"

namespace starling {

void LiteralDialogue::OnLine(std::string_view line, Step& step, Writer& out) {
  const bool first = !amid_command_;
  std::string_view command = line;
  if (first && !BeginCommand(line, command, step, out)) return;
  const Tail tail = TakeLiteral(line, first, step, out);
  if (tail == Tail::kTooLong) return;
  amid_command_ = tail == Tail::kSkipped;
  if (amid_command_) return;
  if (is_login_ && !lacks_tag() && !may_log_in()) {
    // Whichever way its arguments are written: the gateway does not call for a literal that waits.
    SayFault(Fault::kLogin, out);
  } else if (tail == Tail::kBroken) {
    SayFault(Fault::kSpaceBehindLiteral, out);
  } else if (!first || tail == Tail::kSync) {
    SayFault(Fault::kLiteral, out);
  } else if (lacks_tag()) {
    NoteNoise();
    SayFault(Fault::kTag, out);
  } else {
    OnCommand(command, step, out);
  }
}

bool LiteralDialogue::BeginCommand(std::string_view line, std::string_view& command, Step& step,
                                   Writer& out) {
  const std::string_view tag = rule_.most > 0 ? TakeWord(command) : std::string_view();
  command = TrimEnd(command, kSpace);
  std::string_view arguments = command;
  const std::string_view verb = TakeWord(arguments);
  if (Has8Bit(tag) || Has8Bit(verb)) {
    Abort(EndReason::kBadOctet, step, out);
    return false;
  }
  tag_.Keep(tag, IsTag(tag));
  is_login_ = IsLogin(verb);
  if (!is_login_) return true;
  if (may_log_in() && !lacks_tag() && !HasBrokenLiteral(line) && PassLogin(verb)) {
    NoteNotTaken(step);
    return false;
  }
  NoteLogin(step);
  return true;
}

bool LiteralDialogue::IsTag(std::string_view word) const {
  return !word.empty() && word.size() <= rule_.most && IsPrintable(word) &&
         word.find_first_of(rule_.excluded) == std::string_view::npos;
}

}  // namespace starling
