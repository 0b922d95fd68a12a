#include "protocols/frames/dialogue.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace starling {

namespace {

// A loop costs less than the library's search: there are only a few blanks.
bool IsIn(char c, std::string_view blanks) {
  for (const char blank : blanks) {
    if (c == blank) return true;
  }
  return false;
}

// The end of the first word. `text` begins with a word.
size_t WordEnd(std::string_view text, std::string_view blanks) {
  bool quoted = false;
  bool bracketed = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && (quoted || bracketed)) {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '<' || c == '>')) {
      bracketed = c == '<';
    } else if (!quoted && !bracketed && IsIn(c, blanks)) {
      return i;
    }
  }
  return text.size();
}

}  // namespace

bool IsNumber(std::string_view text) { return !text.empty() && std::ranges::all_of(text, IsDigit); }

bool SameIgnoringCase(const char* a, const char* b, size_t size) {
  return std::equal(a, a + size, b,
                    [](char x, char y) { return x == y || ToUpper(x) == ToUpper(y); });
}

std::string_view TakeWord(std::string_view& rest) {
  size_t space = rest.find(' ');
  std::string_view word = rest.substr(0, space);
  rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  return word;
}

std::string_view TrimStart(std::string_view text, std::string_view blanks) {
  while (!text.empty() && IsIn(text.front(), blanks)) text.remove_prefix(1);
  return text;
}

std::string_view TrimEnd(std::string_view text, std::string_view blanks) {
  while (!text.empty() && IsIn(text.back(), blanks)) text.remove_suffix(1);
  return text;
}

std::string_view Trim(std::string_view text, std::string_view blanks) {
  return TrimStart(TrimEnd(text, blanks), blanks);
}

std::string_view NextWord(std::string_view& rest, std::string_view blanks) {
  rest = TrimStart(rest, blanks);
  size_t end = 0;
  while (end < rest.size() && !IsIn(rest[end], blanks)) ++end;
  const std::string_view word = rest.substr(0, end);
  rest = TrimStart(rest.substr(word.size()), blanks);
  return word;
}

std::string_view FirstWord(std::string_view& rest) {
  const bool indented = !rest.empty() && IsIn(rest.front(), kServerBlanks);
  return indented ? std::string_view() : NextWord(rest, kServerBlanks);
}

bool IsPrintable(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool IsVerb(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (ToUpper(c) >= 'A' && ToUpper(c) <= 'Z') || IsDigit(c) || c == '-';
  });
}

bool EndsInPlus(std::string_view mechanism) {
  constexpr std::string_view kPlus = "-PLUS";
  return mechanism.size() >= kPlus.size() &&
         EqualsIgnoreCase(mechanism.substr(mechanism.size() - kPlus.size()), kPlus);
}

bool Has8Bit(std::string_view text) {
  // Eight octets at a time: it is asked of every line.
  uint64_t seen = 0;
  while (text.size() >= sizeof seen) {
    uint64_t octets;
    std::memcpy(&octets, text.data(), sizeof octets);
    seen |= octets;
    text.remove_prefix(sizeof octets);
  }
  for (const char c : text) seen |= static_cast<unsigned char>(c);
  return (seen & 0x8080808080808080) != 0;
}

bool BeginsLikeTls(ByteView in) {
  constexpr uint8_t kHandshakeRecord = 0x16;  // RFC 8446 section 5.1
  constexpr uint8_t kSsl2Hello = 0x80;        // two-octet length of an SSLv2 record
  return !in.empty() && (in[0] == kHandshakeRecord || in[0] == kSsl2Hello);
}

bool LooksLikeHttp(std::string_view line) {
  static constexpr std::array<std::string_view, 10> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"};
  std::string_view rest = line;
  std::string_view method = TakeWord(rest);
  if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) return false;
  // "GET" may be an IMAP tag. Only a target or a version makes the line a request.
  return rest.starts_with('/') || rest.starts_with('*') ||
         rest.find(" HTTP/") != std::string_view::npos;
}

bool LooksLikeHeader(std::string_view line) {
  size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  std::string_view after = line.substr(colon + 1);
  if (!after.empty() && after[0] != ' ') return false;
  std::string_view name = line.substr(0, colon);
  return IsVerb(name);
}

void Say(Writer& out, std::initializer_list<std::string_view> parts) {
  size_t total = 0;
  for (std::string_view part : parts) total += part.size();
  if (total > out.room()) return;
  for (std::string_view part : parts) {
    if (!out.Append(part)) return;
  }
}

void SayWords(Writer& out, std::string_view line, std::string_view blanks) {
  constexpr std::string_view kEnd = "\r\n";
  std::string_view rest = Trim(line, blanks);
  if (rest.size() + kEnd.size() > out.room()) return;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, WordEnd(rest, blanks));
    rest = TrimStart(rest.substr(word.size()), blanks);
    Say(out, {word, rest.empty() ? std::string_view() : kSpace});
  }
  Say(out, {kEnd});
}

void Close(Step& step, EndReason reason) {
  step.verdict = Verdict::kClose;
  step.reason = reason;
  switch (reason) {
    case EndReason::kTlsOnPlainPort:
      step.Note(Attack::kTlsOnPlainPort);
      break;
    case EndReason::kCrossProtocol:
      step.Note(Attack::kCrossProtocol);
      break;
    case EndReason::kLineTooLong:
      step.Note(Attack::kOverlongLine);
      break;
    case EndReason::kBadOctet:
      step.Note(Attack::kBadOctet);
      break;
    case EndReason::kBackendPreauth:
      step.Note(Attack::kPreauth);
      break;
    default:
      break;
  }
}

void CloseMisplaced(Step& step, Awaited awaited, Misplaced what, uint16_t reply) {
  const bool wrong_reply = awaited == Awaited::kReply && what == Misplaced::kLine;
  if (awaited == Awaited::kNothing || wrong_reply) step.Note(Attack::kBackendInjection);
  step.reply = reply;
  Close(step, EndReason::kBackendProtocol);
}

void NoteDiversion(Step& step) { step.Note(Attack::kBackendInjection); }

EndReason ReasonOf(const Event& event) {
  switch (event.kind) {
    case EventKind::kLegFailed:
      return EndReason::kBackendUnavailable;
    case EventKind::kGreetingDeadline:
      return EndReason::kGreetingDeadline;
    case EventKind::kDeadline:
      return event.deadline;
    case EventKind::kPatienceOver:
      return EndReason::kTlsRequired;
    case EventKind::kDrain:
      return EndReason::kDrainDeadline;
    case EventKind::kClientEnd:
      return EndReason::kClientLeftEarly;
    case EventKind::kBackendEnd:
      return EndReason::kBackendProtocol;
    case EventKind::kStart:
    case EventKind::kUpgraded:
    case EventKind::kLegUp:
      break;
  }
  return EndReason::kNone;
}

Refusal RefusalOf(const Event& event) {
  switch (event.kind) {
    case EventKind::kDeadline:
      break;
    case EventKind::kPatienceOver:
      return Refusal::kTooLong;
    case EventKind::kDrain:
      return Refusal::kShutdown;
    default:
      return Refusal::kUnavailable;
  }
  switch (event.deadline) {
    case EndReason::kPreRelayDeadline:
      return Refusal::kNoCommand;
    case EndReason::kPreRelayTotal:
      return Refusal::kTooLong;
    case EndReason::kPreRelayCrowded:
      return Refusal::kCrowded;
    case EndReason::kCrowdedOut:
      return Refusal::kTooBusy;
    default:
      return Refusal::kTimeout;
  }
}

std::string_view TextOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTooBusy:
      return "Too many connections, try again later";
    case Refusal::kUnavailable:
      return "Server not available, try again later";
    case Refusal::kTimeout:
      return "Disconnected for inactivity";
    case Refusal::kNoCommand:
      return "No command received in time";
    case Refusal::kTooLong:
      return "TLS was not started in time";
    case Refusal::kCrowded:
      return "Server busy and TLS not started in time, try again later";
    case Refusal::kShutdown:
      return "Server shutting down";
    case Refusal::kPregreet:
      return "Client spoke before the greeting";
    case Refusal::kTlsExpected:
      break;
  }
  return "TLS is spoken here from the first octet";
}

bool IsTemporary(Refusal refusal) {
  return refusal == Refusal::kTooBusy || refusal == Refusal::kUnavailable ||
         refusal == Refusal::kCrowded || refusal == Refusal::kShutdown;
}

}  // namespace starling
