// The plaintext leg of a LineDialogue: one command is outstanding at a time, so
// that each line of the backend has one meaning, and none is passed on that could
// forge a mailbox before log-in (CVE-2020-14093, CVE-2021-22947).
#include <algorithm>

#include "protocols/frames/limits.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/frames/literal.h"

namespace starling {

namespace {

constexpr uint64_t kMaxNumber = UINT32_MAX;  // RFC 3501 section 9, RFC 5804 section 4

constexpr uint8_t Bit(auto what) { return static_cast<uint8_t>(1u << static_cast<unsigned>(what)); }

}  // namespace

// Which lines may come, by what is due. Beside these a call for a literal that was announced
// may; a success may not where the rest of the command is still to come.
bool LineDialogue::MayCome(LegLine what) const {
  constexpr uint8_t kAny = Bit(LegLine::kWord) | Bit(LegLine::kBye);
  constexpr uint8_t kEnd = Bit(LegLine::kYes) | Bit(LegLine::kNo);
  uint8_t may_be = 0;
  switch (due_) {
    case Due::kNothing:
      may_be = kAny;
      break;
    case Due::kGreeting:
      may_be = Bit(LegLine::kYes) | Bit(LegLine::kList) | Bit(LegLine::kBye);
      break;
    case Due::kReply:
    case Due::kLogin:
      may_be = kAny | kEnd;
      break;
    case Due::kList:
      may_be = kAny | kEnd | Bit(LegLine::kList);
      break;
    case Due::kSasl:
      may_be = kAny | kEnd | (waits_ ? Bit(LegLine::kGoOn) : 0);
      break;
  }
  if (waits_ && call_due_) may_be |= Bit(LegLine::kGoOn);
  if (what == LegLine::kYes && AnsweredEarly()) return false;
  return (may_be & Bit(what)) != 0;
}

// --- the client's side ---

void LineDialogue::PassOn(Due due, bool literals, Spacing spacing) {
  pass_ = true;
  spacing_ = spacing;
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

void LineDialogue::PassLine(std::string_view line, Spacing spacing, Step& step, Output& out) {
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
  if (spacing == Spacing::kOne) {
    SayWords(out.backend, line, kSpace);
  } else {
    Say(out.backend, {line, "\r\n"});
  }
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
  // It continues a command: behind a literal a space may stand, and a challenge's answer
  // is the backend's to judge.
  if (NextLine(rest, line, step, out.client)) PassLine(line, Spacing::kAsSent, step, out);
}

// --- the backend's side ---

bool LineDialogue::TakeBackendLiteral(std::string_view line, Step& step, Writer& out) {
  // Behind a log-in all is opaque, a literal of the same line too.
  if (!has_literals() || LogsIn(said_)) return false;
  const Literal literal = ParseLiteral(line);
  if (!literal.present) return false;
  if (literal.size > kMaxNumber) {
    Abort(EndReason::kBackendProtocol, step, out);
    return true;
  }
  backend_literal_ = literal.size;
  in_tail_ = true;
  return true;
}

void LineDialogue::PassBackendLiteral(ByteView rest, Step& step, Writer& out) {
  size_t count = std::min(backend_literal_, rest.size());
  if (gives_) {
    count = std::min(count, out.room());
    Say(out, {AsText(rest.first(count))});
  } else if (due_ == Due::kGreeting && !Swallow(count, step, out)) {
    return;
  }
  backend_literal_ -= count;
  step.consumed += count;
}

Step LineDialogue::OnLeg(ByteView in, Output& out) {
  Step step;
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
    const ServerLines::Piece piece = NextPiece(rest);
    if (piece.status == ServerLines::Status::kNeedMore) break;
    step.consumed += piece.consumed;
    if (piece.status == ServerLines::Status::kBroken) {
      Abort(EndReason::kBackendProtocol, step, out.client);
      break;
    }
    OnLegPiece(piece, step, out.client);
    client_is_next = piece.last && !in_tail_ &&
                     (said_ == LegLine::kYes || said_ == LegLine::kNo || said_ == LegLine::kGoOn);
  }
  const bool held = waits_ || phase_ == Phase::kLegGreeting || amid_line();
  if (step.verdict == Verdict::kContinue && held) step.verdict = Verdict::kHold;
  step.offered = offer_written_;
  return step;
}

void LineDialogue::OnLegPiece(const ServerLines::Piece& piece, Step& step, Writer& out) {
  const bool begins = piece.first && !in_tail_;
  if (begins && !BeginLegLine(piece.text, step, out)) return;
  if (!begins && gives_) GivePiece(piece, out);
  if (due_ == Due::kGreeting && !gives_ && !Swallow(piece.consumed, step, out)) return;
  if (!piece.last) return;
  in_tail_ = false;
  // The last piece of a long line has the literal that it ends with.
  if (!TakeBackendLiteral(piece.text, step, out)) Act(step, out);
}

bool LineDialogue::BeginLegLine(std::string_view line, Step& step, Writer& out) {
  said_ = Read(line);
  gives_ = false;
  if (said_ == LegLine::kPreauth) {
    Abort(EndReason::kBackendPreauth, step, out);
    return false;
  }
  if (!MayCome(said_)) {
    step.Note(Attack::kBackendInjection);
    Abort(EndReason::kBackendProtocol, step, out);
    return false;
  }
  // The client has had a greeting from the gateway.
  if (due_ != Due::kGreeting || said_ == LegLine::kBye) Give(said_, line, step, out);
  return true;
}

bool LineDialogue::LogsIn(LegLine what) const {
  return what == LegLine::kYes && (due_ == Due::kLogin || due_ == Due::kSasl);
}

// The rest of the command would be taken for others. Only a challenge may be answered
// by either side.
bool LineDialogue::AnsweredEarly() const {
  return to_pass_ > 0 || (continues_ && !waits_ && due_ != Due::kSasl);
}

void LineDialogue::Act(Step& step, Writer& out) {
  switch (said_) {
    case LegLine::kYes:
      if (LogsIn(said_)) {
        step.verdict = Verdict::kRelay;
        break;
      }
      [[fallthrough]];
    case LegLine::kNo:
      if (AnsweredEarly()) {
        Abort(EndReason::kBackendProtocol, step, out);
        break;
      }
      phase_ = Phase::kLeg;
      due_ = Due::kNothing;
      waits_ = call_due_ = continues_ = false;
      break;
    case LegLine::kGoOn:
      if (call_due_) to_pass_ = called_for_;
      waits_ = call_due_ = false;
      continues_ = true;
      break;
    case LegLine::kBye:
      Close(step, due_ == Due::kGreeting ? EndReason::kBackendRefused : EndReason::kBackendClosed);
      break;
    default:
      break;
  }
}

// Nothing that was said in plaintext counts inside TLS.
void LineDialogue::Forget() {
  phase_ = Phase::kUpgrading;
  client_lines_.Reset();
  server_lines_.Reset();
  to_drop_ = to_pass_ = called_for_ = backend_literal_ = swallowed_ = 0;
  due_ = Due::kNothing;
  pass_ = replayed_ = waits_ = call_due_ = continues_ = false;
  gives_ = line_open_ = in_tail_ = false;
}

}  // namespace starling
