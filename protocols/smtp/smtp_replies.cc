#include "protocols/smtp/smtp_replies.h"

#include <array>
#include <cstddef>

namespace starling {

namespace {

enum Class : uint8_t {
  kNone = 0,
  kReady = 1 << 0,       // 220
  kCompleted = 1 << 1,   // 250
  kPositive = 1 << 2,    // any 2yz
  kAuthGoesOn = 1 << 3,  // 334
  kDataGoesOn = 1 << 4,  // 354
  kTransient = 1 << 5,   // any 4yz
  kPermanent = 1 << 6,   // any 5yz
};
constexpr uint8_t kRefused = kTransient | kPermanent;

struct Row {
  SmtpDue due;
  uint8_t may_be;
};

// Every row allows 421. SMTP has no replies of class 1yz, and two of class 3yz.
constexpr std::array kTable = {
    Row{SmtpDue::kNothing, kNone},
    Row{SmtpDue::kGreeting, kReady | kRefused},
    // Only 250 has a list of keywords, which the gateway does not pass on as it is.
    Row{SmtpDue::kEhlo, kCompleted | kRefused},
    Row{SmtpDue::kHelo, kPositive | kRefused},
    Row{SmtpDue::kMail, kPositive | kRefused},
    Row{SmtpDue::kRcpt, kPositive | kRefused},
    Row{SmtpDue::kData, kDataGoesOn | kRefused},
    Row{SmtpDue::kFinal, kPositive | kRefused},
    Row{SmtpDue::kReset, kPositive | kRefused},
    Row{SmtpDue::kAuth, kPositive | kAuthGoesOn | kRefused},
    Row{SmtpDue::kQuit, kPositive | kRefused},
    Row{SmtpDue::kOther, kPositive | kRefused},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].due) != i) return false;
  }
  return true;
}
static_assert(IsInOrder());

uint8_t ClassesOf(int code) {
  switch (code / 100) {
    case 2:
      return static_cast<uint8_t>(kPositive | (code == kSmtpReady ? kReady : kNone) |
                                  (code == kSmtpCompleted ? kCompleted : kNone));
    case 3:
      return code == kSmtpAuthGoAhead   ? kAuthGoesOn
             : code == kSmtpDataGoAhead ? kDataGoesOn
                                        : kNone;
    case 4:
      return kTransient;
    case 5:
      return kPermanent;
    default:
      return kNone;
  }
}

}  // namespace

SmtpDue DueFor(SmtpVerb verb) {
  switch (verb) {
    case SmtpVerb::kEhlo:
    case SmtpVerb::kLhlo:
      return SmtpDue::kEhlo;
    case SmtpVerb::kHelo:
      return SmtpDue::kHelo;
    case SmtpVerb::kMail:
      return SmtpDue::kMail;
    case SmtpVerb::kRcpt:
      return SmtpDue::kRcpt;
    case SmtpVerb::kData:
      return SmtpDue::kData;
    case SmtpVerb::kReset:
      return SmtpDue::kReset;
    case SmtpVerb::kAuth:
      return SmtpDue::kAuth;
    case SmtpVerb::kQuit:
      return SmtpDue::kQuit;
    default:
      return SmtpDue::kOther;
  }
}

bool MayAnswer(SmtpDue due, int code) {
  if (code == kSmtpClosing) return true;
  return (kTable[static_cast<size_t>(due)].may_be & ClassesOf(code)) != 0;
}

bool MayFollow(SmtpDue due, int before, int code) {
  const bool teased =
      due == SmtpDue::kGreeting && before == kSmtpReady && (ClassesOf(code) & kRefused) != 0;
  return teased || (GoesOn(before, code) && MayAnswer(due, code));
}

// 421 means more than its class.
bool GoesOn(int before, int code) {
  return before / 100 == code / 100 && before != kSmtpClosing && code != kSmtpClosing;
}

}  // namespace starling
