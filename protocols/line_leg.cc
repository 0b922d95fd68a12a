// The plaintext leg of a LineDialogue: one command is outstanding at a time, so
// that each line of the backend has one meaning, and none is passed on that could
// forge a mailbox before log-in (CVE-2020-14093, CVE-2021-22947).
#include <algorithm>

#include "protocols/limits.h"
#include "protocols/line_dialogue.h"
#include "protocols/literal.h"

namespace starling {

LineDialogue::LegLine LineDialogue::OnLegGreeting(std::string_view line, Step& /*step*/,
                                                  Writer& out) {
  switch (Judge(line)) {
    case Greeting::kSuccess:
    case Greeting::kPassOn:
    case Greeting::kReplay:  // there is nothing to be said again: no upgrade was before this
      return LegLine::kDone;
    case Greeting::kPreauth:
      return LegLine::kPreauth;
    case Greeting::kRefusal:
      break;
  }
  Say(out, {line, "\r\n"});
  return LegLine::kBye;
}

LineDialogue::LegLine LineDialogue::OnLegLine(std::string_view /*line*/, Step& /*step*/,
                                              Writer& /*out*/) {
  return LegLine::kForbidden;
}

// --- the client's side ---

void LineDialogue::PassOn(Due due, bool literals) {
  pass_ = true;
  due_ = due;
  literals_ = literals;
  literal_total_ = 0;
}

void LineDialogue::OpenLeg(Step& step) {
  phase_ = Phase::kOpening;
  replayed_ = true;
  due_ = Due::kNothing;
  step.verdict = Verdict::kOpenLeg;
}

void LineDialogue::PassLine(std::string_view line, Step& step, Output& out) {
  const Literal literal = literals_ ? ParseLiteral(line) : Literal{};
  continues_ = literal.present;
  if (literal.present) {
    if (literal.size > kMaxLiteral - literal_total_) {
      Abort(EndReason::kLineTooLong, step, out.client);
      return;
    }
    literal_total_ += literal.size;
    call_due_ = literal.synchronizing;
    (literal.synchronizing ? called_for_ : to_pass_) = literal.size;
  }
  Say(out.backend, {line, "\r\n"});
  waits_ = !literal.present || literal.synchronizing;
  if (waits_) step.verdict = Verdict::kHold;
}

void LineDialogue::PassOpaque(ByteView rest, Step& step, Output& out) {
  if (to_pass_ > 0) {
    const size_t count = std::min({to_pass_, rest.size(), out.backend.room()});
    Say(out.backend, {AsText(rest.first(count))});
    to_pass_ -= count;
    step.consumed += count;
    return;
  }
  std::string_view line;
  if (NextLine(rest, line, step, out.client)) PassLine(line, step, out);
}

// --- the backend's side ---

bool LineDialogue::TakeBackendLiteral(std::string_view line) {
  const Literal literal = ParseLiteral(line);
  // One that is too long is no literal; the line that follows is then out of place.
  if (!literal.present || literal.size > kMaxLiteral) return false;
  backend_literal_ = literal.size;
  return true;
}

void LineDialogue::PassBackendLiteral(ByteView rest, Step& step, Writer& out) {
  size_t count = std::min(backend_literal_, rest.size());
  if (phase_ == Phase::kLegGreeting) {
    swallowed_ += count;
  } else {
    count = std::min(count, out.room());
    Say(out, {AsText(rest.first(count))});
  }
  backend_literal_ -= count;
  step.consumed += count;
}

Step LineDialogue::OnLeg(ByteView in, Output& out) {
  Step step;
  const bool greets = phase_ == Phase::kLegGreeting;
  bool client_is_next = false;
  // A complete reply ends the call: commands that the client has sent already come
  // before what the backend says next, or it would depend on how octets were cut.
  while (step.consumed < in.size() && step.verdict == Verdict::kContinue && !client_is_next) {
    if (out.client.room() < kMinOutputRoom) break;
    ByteView rest = in.subspan(step.consumed);
    if (backend_literal_ > 0) {
      PassBackendLiteral(rest, step, out.client);
      continue;
    }
    LineReader::Line line = leg_lines_.Next(rest);
    if (line.status == LineReader::Status::kNeedMore) break;
    if (line.status != LineReader::Status::kLine) {
      Abort(EndReason::kBackendProtocol, step, out.client);
      break;
    }
    step.consumed += line.consumed;
    if (greets) swallowed_ += line.consumed;
    if (swallowed_ > kMaxLegGreeting) {
      Abort(EndReason::kBackendProtocol, step, out.client);
      break;
    }
    const LegLine what = greets ? OnLegGreeting(line.text, step, out.client)
                                : OnLegLine(line.text, step, out.client);
    Act(what, step, out.client);
    client_is_next = what == LegLine::kDone || what == LegLine::kGoAhead;
  }
  const bool held = waits_ || phase_ == Phase::kLegGreeting;
  if (step.verdict == Verdict::kContinue && held) step.verdict = Verdict::kHold;
  step.offered = offer_written_;
  return step;
}

// The rest of the command would be taken for others. Only a challenge may be answered
// by either side.
bool LineDialogue::AnsweredEarly() const {
  return to_pass_ > 0 || (continues_ && !waits_ && due_ != Due::kSasl);
}

void LineDialogue::Act(LegLine what, Step& step, Writer& out) {
  switch (what) {
    case LegLine::kMore:
      break;
    case LegLine::kDone:
      if (AnsweredEarly()) {
        Close(step, EndReason::kBackendProtocol);
        break;
      }
      phase_ = Phase::kLeg;
      due_ = Due::kNothing;
      waits_ = call_due_ = continues_ = false;
      break;
    case LegLine::kGoAhead:
      if (call_due_) to_pass_ = called_for_;
      waits_ = call_due_ = false;
      continues_ = true;
      break;
    case LegLine::kLoggedIn:
      if (AnsweredEarly()) {
        Close(step, EndReason::kBackendProtocol);
        break;
      }
      step.verdict = Verdict::kRelay;
      break;
    case LegLine::kBye:
      Close(step,
            phase_ == Phase::kLegGreeting ? EndReason::kBackendRefused : EndReason::kBackendClosed);
      break;
    case LegLine::kPreauth:
      Abort(EndReason::kBackendPreauth, step, out);
      break;
    case LegLine::kForbidden:
      step.Note(Attack::kBackendInjection);
      Abort(EndReason::kBackendProtocol, step, out);
      break;
  }
}

// Nothing that was said in plaintext counts inside TLS.
void LineDialogue::Forget() {
  phase_ = Phase::kUpgrading;
  client_lines_.Reset();
  leg_lines_.Reset();
  to_drop_ = to_pass_ = called_for_ = backend_literal_ = swallowed_ = 0;
  due_ = Due::kNothing;
  pass_ = replayed_ = waits_ = call_due_ = continues_ = false;
}

}  // namespace starling
