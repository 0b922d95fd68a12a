#include "protocols/smtp/smtp_wire.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "protocols/frames/dialogue.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp.h"

namespace starling {

namespace {

struct VerbRow {
  std::string_view word;
  SmtpVerb verb;
};

constexpr VerbRow kVerbs[] = {
    {"MAIL", SmtpVerb::kMail},
    {"RCPT", SmtpVerb::kRcpt},
    {"DATA", SmtpVerb::kData},
    {"RSET", SmtpVerb::kReset},
    {"EHLO", SmtpVerb::kEhlo},
    {"HELO", SmtpVerb::kHelo},
    {"LHLO", SmtpVerb::kLhlo},
    {"STARTTLS", SmtpVerb::kStartTls},
    {"QUIT", SmtpVerb::kQuit},
    {"NOOP", SmtpVerb::kNoop},
    {"VRFY", SmtpVerb::kQuery},
    {"EXPN", SmtpVerb::kQuery},
    {"ETRN", SmtpVerb::kQuery},
    {"HELP", SmtpVerb::kHelp},
    {"AUTH", SmtpVerb::kAuth},
    {"BDAT", SmtpVerb::kBdat},
    {"BURL", SmtpVerb::kBurl},
    {"XCLIENT", SmtpVerb::kIdentityClaim},
    {"XFORWARD", SmtpVerb::kIdentityClaim},
};

struct KeywordRow {
  std::string_view word;
  SmtpCapability bit;
};

// Keywords without an argument, in the order in which the gateway lists them.
constexpr KeywordRow kKeywords[] = {
    {"PIPELINING", kSmtpPipelining},
    {"VRFY", kSmtpVrfy},
    {"EXPN", kSmtpExpn},
    {"ETRN", kSmtpEtrn},
    {"ENHANCEDSTATUSCODES", kSmtpEnhancedCodes},
    {"8BITMIME", kSmtp8BitMime},
    {"DSN", kSmtpDsn},
    {"SMTPUTF8", kSmtpUtf8},
    {"HELP", kSmtpHelp},
};

constexpr KeywordRow kMechanisms[] = {
    {"PLAIN", kSmtpAuthPlain},
    {"LOGIN", kSmtpAuthLogin},
    {"CRAM-MD5", kSmtpAuthCramMd5},
};
constexpr uint64_t kAnyMechanism = kSmtpAuthPlain | kSmtpAuthLogin | kSmtpAuthCramMd5;

constexpr std::array<std::string_view, kSmtpReplyCount> kReplies = {
#define X(name, text) std::string_view(text "\r\n"),
    STARLING_SMTP_REPLIES(X)
#undef X
};
static_assert(std::all_of(kReplies.begin(), kReplies.end(),
                          [](std::string_view reply) { return reply.size() <= kSmtpMaxOwnReply; }));

void AddSize(std::string_view argument, uint64_t& capabilities) {
  uint64_t value = 0;
  const char* end = argument.data() + argument.size();
  auto [stop, error] = std::from_chars(argument.data(), end, value);
  if (error != std::errc() || stop != end) value = 0;
  // The word cannot hold a limit beyond 40 bits. The largest that it holds promises less. A
  // mail of that size gets the backend's own answer.
  value = std::min(value, kSmtpMaxSizeValue);
  capabilities &= (uint64_t{1} << kSmtpSizeShift) - 1;
  capabilities |= kSmtpSize | value << kSmtpSizeShift;
}

}  // namespace

SmtpCommand ParseSmtpCommand(std::string_view line) {
  SmtpCommand command;
  command.argument = TrimEnd(line, kBlanks);
  command.word = NextWord(command.argument, kBlanks);
  for (const VerbRow& row : kVerbs) {
    if (EqualsIgnoreCase(command.word, row.word)) {
      command.verb = row.verb;
      break;
    }
  }
  return command;
}

SmtpReplyLine ParseSmtpReplyLine(std::string_view line) {
  if (line.size() < 3 || line[0] < '2' || line[0] > '5' || !IsDigit(line[1]) || !IsDigit(line[2])) {
    return {};
  }
  SmtpReplyLine reply;
  reply.last = line.size() == 3 || line[3] == ' ' || line[3] == '\t';
  if (!reply.last && line[3] != '-') return {};
  reply.code =
      static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
  if (line.size() > 4) reply.text = line.substr(4);
  return reply;
}

std::string_view Text(SmtpReply reply) { return kReplies[static_cast<size_t>(reply)]; }

void AddSmtpKeyword(std::string_view text, uint64_t& capabilities) {
  std::string_view argument = TrimEnd(text, kBlanks);
  const std::string_view word = NextWord(argument, kBlanks);
  if (EqualsIgnoreCase(word, "SIZE")) return AddSize(argument, capabilities);
  if (EqualsIgnoreCase(word, "AUTH")) {
    while (!argument.empty()) {
      const std::string_view name = NextWord(argument, kBlanks);
      for (const KeywordRow& row : kMechanisms) {
        if (EqualsIgnoreCase(name, row.word)) capabilities |= row.bit;
      }
    }
    return;
  }
  for (const KeywordRow& row : kKeywords) {
    if (EqualsIgnoreCase(word, row.word)) capabilities |= row.bit;
  }
}

void WriteEhloReply(const DialogueOptions& options, uint64_t capabilities, Writer& out) {
  Say(out, {"250-", options.hostname, "\r\n250-STARTTLS\r\n"});
  if ((capabilities & kSmtpSize) != 0) {
    uint64_t value = capabilities >> kSmtpSizeShift;
    char digits[24] = {' '};
    char* end = digits;
    if (value != 0) end = std::to_chars(digits + 1, digits + sizeof digits, value).ptr;
    Say(out, {"250-SIZE", std::string_view(digits, static_cast<size_t>(end - digits)), "\r\n"});
  }
  if (options.plaintext_auth && (capabilities & kAnyMechanism) != 0) {
    Say(out, {"250-AUTH"});
    for (const KeywordRow& row : kMechanisms) {
      if ((capabilities & row.bit) != 0) Say(out, {" ", row.word});
    }
    Say(out, {"\r\n"});
  }
  // The last line must not be STARTTLS. HELP promises nothing.
  uint64_t last = 0;
  for (const KeywordRow& row : kKeywords) {
    if ((capabilities & row.bit) != 0) last = row.bit;
  }
  if (last == 0) return Say(out, {"250 HELP\r\n"});
  for (const KeywordRow& row : kKeywords) {
    if ((capabilities & row.bit) == 0) continue;
    Say(out, {row.bit == last ? "250 " : "250-", row.word, "\r\n"});
  }
}

void RefuseSmtp(Refusal refusal, const DialogueOptions& options, Writer& out) {
  std::string_view code = IsTemporary(refusal) ? "421 4.3.2 " : "421 4.4.2 ";
  if (refusal == Refusal::kTlsExpected) code = "554 5.7.10 ";
  if (refusal == Refusal::kPregreet) code = "521 5.5.1 ";
  std::string_view text = TextOf(refusal);
  if (refusal == Refusal::kUnavailable) text = "Service not available, try again later";
  if (refusal == Refusal::kTimeout) text = "Timeout, closing connection";
  if (refusal == Refusal::kShutdown) text = "Service shutting down, try again later";
  Say(out, {code, options.hostname, " ", text, "\r\n"});
}

}  // namespace starling
