#include "protocols/smtp/smtp.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <new>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp_dialogue.h"

namespace starling {

namespace {

// A bare LF grows to CRLF when its line is passed on.
size_t LineLimit(const DialogueOptions& options) {
  size_t most = kSmtpMaxCommandLine - (options.accept_bare_lf ? 1 : 0);
  return std::min<size_t>(options.max_line, most);
}

static_assert(sizeof(Smtp) <= kNegotiatorSize);

}  // namespace

Smtp::Smtp(const DialogueOptions& options, bool lmtp)
    : options_(options),
      reader_(LineLimit(options), options.accept_bare_lf),
      leg_(options, lmtp),
      lmtp_(lmtp) {}

// --- events -----------------------------------------------------------------

Step Smtp::OnEvent(const Event& event, Output& out) {
  Step step;
  switch (event.kind) {
    case EventKind::kStart:
      Start(event, out);
      break;
    case EventKind::kUpgraded:
      Forget();
      break;
    case EventKind::kLegUp:
      LegUp(event);
      break;
    case EventKind::kClientEnd:
      client_ended_ = true;
      if (offer_is_last_) step.Note(Signal::kOfferThenClose);
      if (phase_ == Phase::kOpening) step.verdict = Verdict::kHold;
      FinishIfDone(step);
      break;
    case EventKind::kBackendEnd:
      if (phase_ == Phase::kUpgrading) break;
      return End(event, out);
    default:
      return End(event, out);
  }
  return step;
}

void Smtp::Start(const Event& event, Output& out) {
  if (!require() && (event.capabilities & kSmtpKnown) != 0) capabilities_ = event.capabilities;
  // RFC 2033 section 5: LMTP servers must have both.
  if (lmtp_) capabilities_ |= kSmtpDefaultCapabilities;
  Say(out.client, {"220 ", options_.hostname, lmtp_ ? " LMTP ready\r\n" : " ESMTP ready\r\n"});
}

// Nothing that was said in plaintext counts inside TLS.
void Smtp::Forget() {
  phase_ = Phase::kInsideTls;
  reader_.Reset();
  leg_ = SmtpLeg(options_, lmtp_);
  leg_.OpenInsideTls();
  hello_.fill(0);
  hello_size_ = 0;
  discard_ = 0;
  offer_is_last_ = false;
  blocked_ = waits_for_backend_ = false;
}

void Smtp::LegUp(const Event& event) {
  assert(phase_ == (event.inside_tls ? Phase::kInsideTls : Phase::kOpening));
  if (event.inside_tls) return;
  phase_ = Phase::kLeg;
  leg_.Open(std::string_view(hello_.data(), hello_size_));
}

Step Smtp::End(const Event& event, Output& out) {
  Step step;
  EndReason reason = ReasonOf(event);
  if (event.kind == EventKind::kBackendEnd && phase_ == Phase::kLeg && leg_.established()) {
    reason = EndReason::kBackendClosed;
  }
  leg_.EndOpenLine(out.client);
  RefuseSmtp(RefusalOf(event), options_, out.client);
  Close(step, reason);
  return step;
}

void Smtp::FinishIfDone(Step& step) const {
  if (!client_ended_ || (step.verdict != Verdict::kContinue && step.verdict != Verdict::kHold))
    return;
  if (phase_ == Phase::kLeg) {
    if (!blocked_ && leg_.idle()) Close(step, EndReason::kClientClosed);
  } else if (phase_ != Phase::kOpening && !blocked_) {
    Close(step, EndReason::kClientLeftEarly);
  }
}

// --- octets -----------------------------------------------------------------

Step Smtp::OnClient(ByteView in, Output& out) {
  Step step;
  if (phase_ != Phase::kDialogue && phase_ != Phase::kLeg) {
    step.verdict = Verdict::kHold;
    return step;
  }
  blocked_ = waits_for_backend_ = false;
  while (step.consumed < in.size() && step.verdict == Verdict::kContinue) {
    if (!Advance(in.subspan(step.consumed), out, step)) break;
  }
  if (waits_for_backend_ && step.verdict == Verdict::kContinue) step.verdict = Verdict::kHold;
  FinishIfDone(step);
  return step;
}

Step Smtp::OnBackend(ByteView in, Output& out) {
  Step step;
  if (phase_ != Phase::kLeg && phase_ != Phase::kInsideTls) {
    step.consumed = in.size();
    return step;
  }
  step = leg_.OnBackend(in, out);
  if (leg_.TakeOffered()) NoteOffer(step);
  FinishIfDone(step);
  return step;
}

bool Smtp::Advance(ByteView in, Output& out, Step& step) {
  if (phase_ == Phase::kLeg) {
    if (leg_.opaque()) return PassOpaque(in, out, step);
    waits_for_backend_ = !leg_.ready();
    blocked_ = waits_for_backend_ || out.backend.room() < kSmtpMaxCommandLine;
  }
  blocked_ = blocked_ || out.client.room() < kReplyRoom;
  if (blocked_) return false;
  if (discard_ > 0) return Discard(in, step);
  if (BeginsLikeTls(in)) {
    Close(step, EndReason::kTlsOnPlainPort);
    return false;
  }
  return TakeLine(in, out, step);
}

bool Smtp::PassOpaque(ByteView in, Output& out, Step& step) {
  SmtpLeg::Passed passed = leg_.PassOpaque(in, out.backend);
  step.consumed += passed.consumed;
  blocked_ = passed.blocked;
  if (passed.error != EndReason::kNone) {
    if (out.client.room() < kReplyRoom) {
      blocked_ = true;
      return false;
    }
    leg_.EndOpenLine(out.client);
    Say(out.client, {Text(passed.words)});
    Close(step, passed.error);
  }
  return passed.consumed > 0;
}

bool Smtp::Discard(ByteView in, Step& step) {
  size_t dropped = std::min(in.size(), discard_);
  discard_ -= dropped;
  step.consumed += dropped;
  return true;
}

bool Smtp::TakeLine(ByteView in, Output& out, Step& step) {
  LineReader::Line line = reader_.Next(in);
  switch (line.status) {
    case LineReader::Status::kNeedMore:
      return false;
    case LineReader::Status::kTooLong:
      return Goodbye(SmtpReply::kLineTooLong, EndReason::kLineTooLong, out, step);
    case LineReader::Status::kBareLf:
      return Goodbye(SmtpReply::kBareLf, EndReason::kBadOctet, out, step);
    case LineReader::Status::kBareCr:
      return Goodbye(SmtpReply::kBareCr, EndReason::kBadOctet, out, step);
    case LineReader::Status::kNul:
      return Goodbye(SmtpReply::kNul, EndReason::kBadOctet, out, step);
    case LineReader::Status::kLine:
      break;
  }
  const std::string_view text = Trim(line.text, kBlanks);
  const SmtpCommand command = ParseSmtpCommand(text);
  if (!Handle(command, text, out, step)) return false;
  step.consumed += line.consumed;
  step.understood = step.understood || command.verb != SmtpVerb::kUnknown;
  return true;
}

// --- commands ---------------------------------------------------------------

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

Negotiator* CreateSmtp(void* storage, const DialogueOptions& options) {
  return new (storage) Smtp(options, false);
}

Negotiator* CreateLmtp(void* storage, const DialogueOptions& options) {
  return new (storage) Smtp(options, true);
}

}  // namespace starling
