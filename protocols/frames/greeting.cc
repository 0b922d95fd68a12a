#include "protocols/frames/greeting.h"

#include <algorithm>
#include <cstddef>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/limits.h"

namespace starling {
namespace {

constexpr size_t kCodeDigits = 3;

// Cuts the first line off `rest`, without its line end. False: `rest` has no whole line.
bool TakeLine(std::string_view& rest, std::string_view& line) {
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) return false;
  line = rest.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  rest.remove_prefix(end + 1);
  return true;
}

// What has come of a line may become, or is, one that begins with a code.
bool MayBeCode(std::string_view line) {
  return std::ranges::all_of(line.substr(0, kCodeDigits), IsDigit);
}

// Lines that begin with a code of three digits; "-" behind the code announces another line. The
// last line's counts. Lines in between may have no code, as in FTP. `announced`: codes of the class
// 1 only say that the greeting is still to come.
GreetingStatus ReadCodeGreeting(ByteView in, bool (*welcomes)(std::string_view code),
                                bool announced = false) {
  std::string_view rest = AsText(in);
  if (!MayBeCode(rest)) return GreetingStatus::kOther;
  for (std::string_view line; TakeLine(rest, line);) {
    // A refusal may follow lines of a welcome, as postscreen's does.
    const bool coded = line.size() >= kCodeDigits && MayBeCode(line);
    const bool goes_on = line.size() > kCodeDigits && line[kCodeDigits] == '-';
    if (!coded || goes_on || (announced && line[0] == '1')) continue;
    if (welcomes(line.substr(0, kCodeDigits))) return GreetingStatus::kWelcome;
    return line[0] == '4' || line[0] == '5' ? GreetingStatus::kRefusal : GreetingStatus::kOther;
  }
  return GreetingStatus::kNeedMore;
}

bool BeginsWith(std::string_view line, std::string_view word) {
  return !word.empty() && EqualsIgnoreCase(line.substr(0, word.size()), word);
}

// What has come of a line may become one that begins with `word`.
bool MayBecome(std::string_view part, std::string_view word) {
  return !word.empty() &&
         EqualsIgnoreCase(part.substr(0, word.size()), word.substr(0, part.size()));
}

}  // namespace

GreetingStatus ReadGreeting(const ProtocolRow& protocol, ByteView in) {
  if (in.empty()) return GreetingStatus::kNeedMore;
  const ByteView head = in.first(std::min(in.size(), kMaxLegGreeting));
  const GreetingStatus status = protocol.read_greeting(head);
  const bool too_long = status == GreetingStatus::kNeedMore && head.size() == kMaxLegGreeting;
  return too_long ? GreetingStatus::kOther : status;
}

GreetingStatus ReadSmtpGreeting(ByteView in) {
  return ReadCodeGreeting(in, [](std::string_view code) { return code == "220"; });
}

GreetingStatus ReadNntpGreeting(ByteView in) {
  return ReadCodeGreeting(in, [](std::string_view code) { return code == "200" || code == "201"; });
}

GreetingStatus ReadFtpGreeting(ByteView in) {
  return ReadCodeGreeting(
      in, [](std::string_view code) { return code == "220"; }, /*announced=*/true);
}

GreetingStatus ReadLineGreeting(ByteView in, const GreetingWords& words) {
  std::string_view rest = AsText(in);
  std::string_view line;
  if (!TakeLine(rest, line)) {
    const bool may_be = MayBecome(rest, words.welcome) || MayBecome(rest, words.other_welcome) ||
                        MayBecome(rest, words.refusal);
    return may_be ? GreetingStatus::kNeedMore : GreetingStatus::kOther;
  }
  if (BeginsWith(line, words.welcome) || BeginsWith(line, words.other_welcome)) {
    return GreetingStatus::kWelcome;
  }
  return BeginsWith(line, words.refusal) ? GreetingStatus::kRefusal : GreetingStatus::kOther;
}

GreetingStatus ReadImapGreeting(ByteView in) {
  return ReadLineGreeting(in,
                          {.welcome = "* OK", .other_welcome = "* PREAUTH", .refusal = "* BYE"});
}

GreetingStatus ReadPop3Greeting(ByteView in) {
  return ReadLineGreeting(in, {.welcome = "+OK", .other_welcome = {}, .refusal = "-ERR"});
}

GreetingStatus ReadAcapGreeting(ByteView in) {
  return ReadLineGreeting(in, {.welcome = "* ACAP", .other_welcome = {}, .refusal = "* BYE"});
}

GreetingStatus ReadSieveGreeting(ByteView in) {
  std::string_view rest = AsText(in);
  for (std::string_view line; TakeLine(rest, line);) {
    const std::string_view word = line.substr(0, line.find(' '));
    if (EqualsIgnoreCase(word, "OK")) return GreetingStatus::kWelcome;
    if (EqualsIgnoreCase(word, "NO") || EqualsIgnoreCase(word, "BYE")) {
      return GreetingStatus::kRefusal;
    }
    if (!line.starts_with('"')) return GreetingStatus::kOther;
  }
  const bool may_be = rest.empty() || rest.starts_with('"') || MayBecome(rest, "OK") ||
                      MayBecome(rest, "NO") || MayBecome(rest, "BYE");
  return may_be ? GreetingStatus::kNeedMore : GreetingStatus::kOther;
}

}  // namespace starling
