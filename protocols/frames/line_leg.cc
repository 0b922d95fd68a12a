// The plaintext leg of a LineDialogue. One command is outstanding at a time, so each line
// of the backend has one meaning. No line passes that could forge a mailbox before log-in
// (CVE-2020-14093, CVE-2021-22947).
#include <algorithm>

#include "protocols/frames/limits.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/frames/literal.h"

namespace starling {

namespace {

constexpr uint64_t kMaxNumber = UINT32_MAX;  // RFC 3501 section 9, RFC 5804 section 4

constexpr uint8_t Bit(auto what) { return static_cast<uint8_t>(1u << static_cast<unsigned>(what)); }

}  // namespace

// The lines that may come, by what is due. A request for an announced literal may come too.
// A success may not come while the rest of the command is missing.
bool LineDialogue::MayCome(LegLine what) const {
  constexpr uint8_t kAny = Bit(LegLine::kWord) | Bit(LegLine::kBye);
  constexpr uint8_t kEnd = Bit(LegLine::kYes) | Bit(LegLine::kNo);
  uint8_t may_be = 0;
  switch (leg_.due) {
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
      may_be = kAny | kEnd | (leg_.command.waits ? Bit(LegLine::kGoOn) : 0);
      break;
  }
  if (leg_.command.waits && leg_.command.call_due) may_be |= Bit(LegLine::kGoOn);
  if (what == LegLine::kYes && AnsweredEarly()) return false;
  return (may_be & Bit(what)) != 0;
}

// --- the client's side ---

void LineDialogue::PassOn(Due due, bool literals, Spacing spacing) {
  leg_.command.pass = true;
  leg_.command.spacing = spacing;
  leg_.due = due;
  leg_.command.literals = literals;
  leg_.command.literal_total = 0;
}

void LineDialogue::OpenLeg(Step& step) {
  phase_ = Phase::kOpening;
  leg_.command.replayed = true;
  leg_.due = Due::kNothing;
  step.verdict = Verdict::kOpenLeg;
}

void LineDialogue::PassLine(std::string_view line, Spacing spacing, Step& step, Output& out) {
  const Literal literal = leg_.command.literals ? ParseLiteral(line) : Literal{};
  leg_.command.continues = literal.present;
  if (literal.present) {
    if (literal.size > kMaxLiteral - leg_.command.literal_total) {
      Abort(EndReason::kLineTooLong, step, out.client);
      return;
    }
    leg_.command.literal_total += literal.size;
    leg_.command.call_due = literal.synchronizing;
    (literal.synchronizing ? leg_.command.called_for : leg_.command.to_pass) = literal.size;
  }
  if (spacing == Spacing::kOne) {
    SayWords(out.backend, line, kSpace);
  } else {
    Say(out.backend, {line, "\r\n"});
  }
  leg_.command.waits = !literal.present || literal.synchronizing;
  if (leg_.command.waits) step.verdict = Verdict::kHold;
}

void LineDialogue::PassOpaque(ByteView rest, Step& step, Output& out) {
  if (leg_.command.to_pass > 0) {
    const size_t count = std::min({leg_.command.to_pass, rest.size(), out.backend.room()});
    Say(out.backend, {AsText(rest.first(count))});
    leg_.command.to_pass -= count;
    step.consumed += count;
    return;
  }
  std::string_view line;
  // This line continues a command: a space may follow a literal, and the backend judges the
  // answer to a challenge.
  if (NextLine(rest, line, step, out.client)) PassLine(line, Spacing::kAsSent, step, out);
}

// --- the backend's side ---

bool LineDialogue::TakeBackendLiteral(std::string_view line, Step& step, Writer& out) {
  // After a log-in everything is opaque, including a literal of the same line.
  if (!has_literals() || LogsIn(leg_.line.said)) return false;
  const Literal literal = ParseLiteral(line);
  if (!literal.present) return false;
  if (literal.size > kMaxNumber) {
    Abort(EndReason::kBackendProtocol, step, out);
    return true;
  }
  leg_.line.literal = literal.size;
  leg_.line.in_tail = true;
  return true;
}

void LineDialogue::PassBackendLiteral(ByteView rest, Step& step, Writer& out) {
  size_t count = std::min(leg_.line.literal, rest.size());
  if (leg_.line.gives) {
    count = std::min(count, out.room());
    Say(out, {AsText(rest.first(count))});
  } else if (leg_.due == Due::kGreeting && !Swallow(count, step, out)) {
    return;
  }
  leg_.line.literal -= count;
  step.consumed += count;
}

Step LineDialogue::OnLeg(ByteView in, Output& out) {
  Step step;
  bool client_is_next = false;
  // A complete reply ends the call, so that commands that the client has already sent come
  // before the backend's next words. Otherwise the result would depend on how octets were
  // cut.
  while (step.consumed < in.size() && step.verdict == Verdict::kContinue && !client_is_next) {
    if (out.client.room() < kMinOutputRoom) break;
    ByteView rest = in.subspan(step.consumed);
    if (leg_.line.literal > 0) {
      PassBackendLiteral(rest, step, out.client);
      continue;
    }
    const LongLines::Piece piece = server_lines_.Next(rest);
    if (piece.status == LongLines::Status::kNeedMore) break;
    step.consumed += piece.consumed;
    if (piece.status == LongLines::Status::kBroken) {
      AbortMisplaced(awaited(), Misplaced::kOctets, step, out.client);
      break;
    }
    OnLegPiece(piece, step, out.client);
    client_is_next = piece.last && !leg_.line.in_tail &&
                     (leg_.line.said == LegLine::kYes || leg_.line.said == LegLine::kNo ||
                      leg_.line.said == LegLine::kGoOn);
  }
  const bool held = leg_.command.waits || phase_ == Phase::kLegGreeting || amid_line();
  if (step.verdict == Verdict::kContinue && held) step.verdict = Verdict::kHold;
  step.offered = offer_.written;
  return step;
}

void LineDialogue::OnLegPiece(const LongLines::Piece& piece, Step& step, Writer& out) {
  const bool begins = piece.first && !leg_.line.in_tail;
  if (begins && !BeginLegLine(piece.text, step, out)) return;
  if (!begins && leg_.line.gives) GivePiece(piece, out);
  if (leg_.due == Due::kGreeting && !leg_.line.gives && !Swallow(piece.consumed, step, out)) return;
  if (!piece.last) return;
  leg_.line.in_tail = false;
  // The last piece of a long line has the literal at its end.
  if (!TakeBackendLiteral(piece.text, step, out)) Act(step, out);
}

bool LineDialogue::BeginLegLine(std::string_view line, Step& step, Writer& out) {
  leg_.line.said = Read(line);
  leg_.line.gives = false;
  if (leg_.line.said == LegLine::kPreauth) {
    Abort(EndReason::kBackendPreauth, step, out);
    return false;
  }
  if (!MayCome(leg_.line.said)) {
    AbortMisplaced(awaited(), Misplaced::kLine, step, out);
    return false;
  }
  // The gateway has already greeted the client.
  if (leg_.due != Due::kGreeting || leg_.line.said == LegLine::kBye)
    Give(leg_.line.said, line, step, out);
  return true;
}

bool LineDialogue::LogsIn(LegLine what) const {
  return what == LegLine::kYes && (leg_.due == Due::kLogin || leg_.due == Due::kSasl);
}

// The backend has answered early. It would take the rest of the command for other commands.
// Only a challenge may be answered by either side.
bool LineDialogue::AnsweredEarly() const {
  return leg_.command.to_pass > 0 ||
         (leg_.command.continues && !leg_.command.waits && leg_.due != Due::kSasl);
}

void LineDialogue::Act(Step& step, Writer& out) {
  switch (leg_.line.said) {
    case LegLine::kYes:
      if (LogsIn(leg_.line.said)) {
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
      leg_.due = Due::kNothing;
      leg_.command.waits = leg_.command.call_due = leg_.command.continues = false;
      break;
    case LegLine::kGoOn:
      if (leg_.command.call_due) leg_.command.to_pass = leg_.command.called_for;
      leg_.command.waits = leg_.command.call_due = false;
      leg_.command.continues = true;
      break;
    case LegLine::kBye:
      Close(step,
            leg_.due == Due::kGreeting ? EndReason::kBackendRefused : EndReason::kBackendClosed);
      break;
    default:
      break;
  }
}

// Nothing that came in plaintext counts inside TLS.
void LineDialogue::Forget() {
  phase_ = Phase::kUpgrading;
  client_lines_.Reset();
  server_lines_.Reset();
  leg_ = {};
}

}  // namespace starling
