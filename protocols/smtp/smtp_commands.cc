// What each command of an SMTP or LMTP client leads to: an answer of the gateway's own, a leg
// to the server, or the upgrade.
//
// Not for: finding commands among the client's octets (smtp.cc).
#include <charconv>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp_dialogue.h"

namespace starling {

bool Smtp::Handle(const SmtpCommand& command, std::string_view line, Output& out, Step& step) {
  offer_is_last_ = false;
  if (leg_.TakeAnswered()) return true;
  if (Has8Bit(command.word)) {
    return Goodbye(SmtpReply::kEightBit, EndReason::kBadOctet, out, step);
  }
  if (LooksLikeHttp(line) || LooksLikeHeader(line)) {
    return Goodbye(SmtpReply::kCrossProtocol, EndReason::kCrossProtocol, out, step);
  }
  switch (command.verb) {
    case SmtpVerb::kEhlo:
    case SmtpVerb::kHelo:
    case SmtpVerb::kLhlo:
      return OnHello(command, line, out, step);
    case SmtpVerb::kStartTls:
      return OnStartTls(command, out, step);
    case SmtpVerb::kMail:
    case SmtpVerb::kQuery:
      NoteWork(step);
      return Work(command, line, out, step);
    case SmtpVerb::kRcpt:
    case SmtpVerb::kData:
      if (phase_ == Phase::kLeg) return Pass(command, line, out);
      return Refuse(SmtpReply::kNeedMail, out, step);
    case SmtpVerb::kNoop:
    case SmtpVerb::kReset:
      return PassOr(SmtpReply::kOk, command, line, out, step);
    case SmtpVerb::kHelp:
      if (require()) return Refuse(SmtpReply::kHelp, out, step);
      return PassOr(SmtpReply::kHelp, command, line, out, step);
    case SmtpVerb::kQuit:
      if (phase_ == Phase::kLeg) return Pass(command, line, out);
      return Goodbye(SmtpReply::kBye, EndReason::kGoodbye, out, step);
    case SmtpVerb::kAuth:
      NoteWork(step);
      return OnAuth(command, line, out, step);
    case SmtpVerb::kBdat:
      return OnBdat(command, out, step);
    case SmtpVerb::kBurl:
      return Refuse(SmtpReply::kNotImplemented, out, step);
    case SmtpVerb::kIdentityClaim:
      step.Note(Attack::kIdentityClaim);
      return Refuse(SmtpReply::kNotPermitted, out, step);
    case SmtpVerb::kUnknown:
      if (LooksMangled(command.word, "STARTTLS")) step.Note(Signal::kMangledCommand);
      return Refuse(SmtpReply::kUnknown, out, step);
  }
  return true;
}

bool Smtp::OnHello(const SmtpCommand& command, std::string_view line, Output& out, Step& step) {
  const bool helo = command.verb == SmtpVerb::kHelo;
  if (lmtp_ != (command.verb == SmtpVerb::kLhlo)) return Answer(SmtpReply::kUnknown, out, step);
  if (helo && offered_ && !ehlo_refused_) {
    ehlo_refused_ = true;
    step.Note(Signal::kEhloRefused);
  }
  if (phase_ == Phase::kLeg) return Pass(command, line, out);
  if (command.argument.empty() || command.argument.size() > kSmtpMaxHeloArgument) {
    return Answer(SmtpReply::kHeloArgument, out, step);
  }
  if (!Count(out, step)) return true;
  SaveHello(helo ? "HELO " : (lmtp_ ? "LHLO " : "EHLO "), command.argument);
  if (helo) {
    Say(out.client, {"250 ", options_.hostname, "\r\n"});
    return true;
  }
  WriteEhloReply(options_, capabilities_, out.client);
  NoteOffer(step);
  return true;
}

bool Smtp::OnStartTls(const SmtpCommand& command, Output& out, Step& step) {
  if (!command.argument.empty()) return Answer(SmtpReply::kStartTlsArgument, out, step);
  if (phase_ == Phase::kLeg) {
    // Every reply before it must be given first, and whether a transaction is
    // open is known only then.
    blocked_ = waits_for_backend_ = !leg_.idle();
    if (blocked_) return false;
    if (leg_.in_transaction()) {
      step.Note(Attack::kUpgradeInTransaction);
      return Answer(SmtpReply::kInTransaction, out, step);
    }
  }
  Say(out.client, {Text(SmtpReply::kGoAhead)});
  phase_ = Phase::kUpgrading;
  step.verdict = Verdict::kUpgrade;
  return true;
}

bool Smtp::OnAuth(const SmtpCommand& command, std::string_view line, Output& out, Step& step) {
  if (!require() && options_.plaintext_auth) return Work(command, line, out, step);
  step.Note(Attack::kPlaintextAuth);
  return Answer(SmtpReply::kAuthNeedsTls, out, step);
}

bool Smtp::OnBdat(const SmtpCommand& command, Output& out, Step& step) {
  std::string_view argument = command.argument;
  const std::string_view size = NextWord(argument, kBlanks);
  auto [stop, error] = std::from_chars(size.data(), size.data() + size.size(), discard_);
  if (error != std::errc() || stop != size.data() + size.size()) {
    return Goodbye(SmtpReply::kBdatArgument, EndReason::kBadOctet, out, step);
  }
  if (discard_ > kSmtpMaxDiscardedChunk) {
    return Goodbye(SmtpReply::kNotImplemented, EndReason::kLineTooLong, out, step);
  }
  return Refuse(SmtpReply::kNotImplemented, out, step);
}

bool Smtp::Work(const SmtpCommand& command, std::string_view line, Output& out, Step& step) {
  if (require()) return Answer(SmtpReply::kMustStartTls, out, step);
  if (phase_ == Phase::kLeg) return Pass(command, line, out);
  phase_ = Phase::kOpening;
  step.verdict = Verdict::kOpenLeg;
  blocked_ = true;
  return false;
}

bool Smtp::Pass(const SmtpCommand& command, std::string_view line, Output& out) {
  leg_.Pass(command.verb, line, out.backend);
  return true;
}

bool Smtp::PassOr(SmtpReply reply, const SmtpCommand& command, std::string_view line, Output& out,
                  Step& step) {
  return phase_ == Phase::kLeg ? Pass(command, line, out) : Answer(reply, out, step);
}

bool Smtp::Refuse(SmtpReply reply, Output& out, Step& step) {
  return Answer(require() ? SmtpReply::kMustStartTls : reply, out, step);
}

bool Smtp::Answer(SmtpReply reply, Output& out, Step& step) {
  if (!Count(out, step)) return true;
  if (phase_ == Phase::kLeg) {
    leg_.Reply(reply, out.client);
  } else {
    Say(out.client, {Text(reply)});
  }
  return true;
}

bool Smtp::Goodbye(SmtpReply reply, EndReason reason, Output& out, Step& step) {
  Step end;
  Close(end, reason);
  step.attacks |= end.attacks;
  if (phase_ == Phase::kLeg) {
    leg_.ReplyAndClose(reply, reason, out.client, step);
    return true;
  }
  Say(out.client, {Text(reply)});
  step.verdict = Verdict::kClose;
  step.reason = reason;
  return true;
}

bool Smtp::Count(Output& out, Step& step) {
  if (commands_ < options_.max_commands) {
    ++commands_;
    return true;
  }
  Goodbye(SmtpReply::kTooManyCommands, EndReason::kTooManyErrors, out, step);
  return false;
}

void Smtp::NoteOffer(Step& step) {
  step.offered = true;
  offered_ = true;
  offer_is_last_ = true;
}

void Smtp::NoteWork(Step& step) {
  if (!offered_ || not_taken_) return;
  not_taken_ = true;
  step.Note(Signal::kNotTaken);
}

void Smtp::SaveHello(std::string_view verb, std::string_view argument) {
  verb.copy(hello_.data(), verb.size());
  argument.copy(hello_.data() + verb.size(), argument.size());
  hello_size_ = static_cast<uint16_t>(verb.size() + argument.size());
}

}  // namespace starling
