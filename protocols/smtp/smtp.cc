// The frame of an SMTP or LMTP dialogue: its phases, what each event leads to, and what the
// octets of either side are: a command, a line of a SASL exchange, message data, a reply.
//
// Not for: what a command leads to (smtp_commands.cc).
#include "protocols/smtp/smtp.h"

#include <algorithm>
#include <cassert>
#include <new>

#include "protocols/frames/dialogue.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp_dialogue.h"

namespace starling {

namespace {

// A bare LF becomes CRLF when its line passes.
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
  // LMTP servers must have both (RFC 2033 section 5).
  if (lmtp_) capabilities_ |= kSmtpDefaultCapabilities;
  Say(out.client, {"220 ", options_.hostname, lmtp_ ? " LMTP ready\r\n" : " ESMTP ready\r\n"});
}

// Nothing that came in plaintext counts inside TLS.
void Smtp::Forget() {
  assert(phase_ == Phase::kUpgrading);
  reader_.Reset();
  leg_ = SmtpLeg(options_, lmtp_);
  hello_.fill(0);
  hello_size_ = 0;
  discard_ = 0;
  offer_is_last_ = false;
  blocked_ = waits_for_backend_ = false;
}

void Smtp::LegUp(const Event& event) {
  assert(phase_ == (event.inside_tls ? Phase::kUpgrading : Phase::kOpening));
  phase_ = event.inside_tls ? Phase::kInsideTls : Phase::kLeg;
  if (event.inside_tls) return leg_.OpenInsideTls();
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
    RefuseSmtp(Refusal::kUnavailable, options_, out.client);
    CloseMisplaced(step, Awaited::kNothing, Misplaced::kOctets);
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

Negotiator* CreateSmtp(void* storage, const DialogueOptions& options) {
  return new (storage) Smtp(options, false);
}

Negotiator* CreateLmtp(void* storage, const DialogueOptions& options) {
  return new (storage) Smtp(options, true);
}

}  // namespace starling
