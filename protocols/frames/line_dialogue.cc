#include "protocols/frames/line_dialogue.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocols/frames/limits.h"
#include "protocols/frames/literal.h"
#include "protocols/frames/mangled.h"

namespace starling {

namespace {

std::string_view GoodbyeText(EndReason reason) {
  switch (reason) {
    case EndReason::kCrossProtocol:
      return "Another protocol is spoken here";
    case EndReason::kBadOctet:
      return "8-bit octet in a command";
    case EndReason::kLineTooLong:
      return "Literal too long";
    case EndReason::kTooManyErrors:
      return "Too many commands without TLS";
    case EndReason::kBackendPreauth:
    case EndReason::kBackendProtocol:
      return "Server broken, try again later";
    case EndReason::kBackendTooLong:
      return "The server's greeting is longer than this gateway allows";
    default:
      return "Goodbye";
  }
}

// A bare LF becomes CRLF when its line passes.
size_t MaxLine(const DialogueOptions& options) {
  const size_t most = kMinOutputRoom - (options.accept_bare_lf ? 1 : 0);
  return options.policy == Policy::kOpportunistic ? std::min<size_t>(options.max_line, most)
                                                  : options.max_line;
}

}  // namespace

LineDialogue::LineDialogue(const DialogueOptions& options)
    : options_(&options),
      client_lines_(MaxLine(options), options.accept_bare_lf),
      server_lines_(kMaxServerLine, /*accept_bare_lf=*/true) {}

void LineDialogue::NoteOffer() { offer_.written = offer_.is_last = true; }

void LineDialogue::NoteLogin(Step& step) {
  step.Note(Attack::kPlaintextAuth);
  NoteNotTaken(step);
}

void LineDialogue::NoteNotTaken(Step& step) {
  // If a client has sent everything at once, it has not seen the offer.
  if (!offer_.seen || offer_.not_taken) return;
  offer_.not_taken = true;
  step.Note(Signal::kNotTaken);
}

void LineDialogue::NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step) {
  NoteNoise();
  if (LooksMangled(verb, upgrade_verb)) step.Note(Signal::kMangledCommand);
}

void LineDialogue::Upgrade(Step& step) {
  phase_ = Phase::kUpgrading;
  step.verdict = Verdict::kUpgrade;
}

void LineDialogue::Abort(EndReason reason, Step& step, Writer& out) {
  if (EndOpenLine(out)) SayGoodbye(GoodbyeText(reason), out);
  Close(step, reason);
}

Awaited LineDialogue::awaited() const {
  if (!has_leg() || leg_.due == Due::kNothing) return Awaited::kNothing;
  return leg_.due == Due::kGreeting ? Awaited::kGreeting : Awaited::kReply;
}

void LineDialogue::AbortMisplaced(Awaited awaited, Misplaced what, Step& step, Writer& out) {
  if (EndOpenLine(out)) SayGoodbye(GoodbyeText(EndReason::kBackendProtocol), out);
  CloseMisplaced(step, awaited, what);
}

void LineDialogue::AbortFor(LineReader::Status fault, Step& step, Writer& out) {
  SayGoodbye(FaultOf(fault), out);
  const bool too_long = fault == LineReader::Status::kTooLong;
  Close(step, too_long ? EndReason::kLineTooLong : EndReason::kBadOctet);
}

LineDialogue::Tail LineDialogue::TakeLiteral(std::string_view line, bool first, Step& step,
                                             Writer& out) {
  if (first) leg_.command.literal_total = 0;
  Literal literal = ParseLiteral(line);
  if (!literal.present) return HasBrokenLiteral(line) ? Tail::kBroken : Tail::kNone;
  if (literal.synchronizing) return Tail::kSync;
  if (literal.size > kMaxLiteral - leg_.command.literal_total) {
    Abort(EndReason::kLineTooLong, step, out);
    return Tail::kTooLong;
  }
  leg_.command.literal_total += literal.size;
  leg_.command.to_drop = literal.size;
  return Tail::kSkipped;
}

bool LineDialogue::NextLine(ByteView rest, std::string_view& line, Step& step, Writer& out) {
  LineReader::Line next = client_lines_.Next(rest);
  if (next.status == LineReader::Status::kNeedMore) return false;
  if (next.status != LineReader::Status::kLine) {
    AbortFor(next.status, step, out);
    return false;
  }
  line = next.text;
  step.consumed += next.consumed;
  return true;
}

void LineDialogue::ReadLine(ByteView rest, Step& step, Output& out) {
  const Step before = step;
  std::string_view line;
  if (!NextLine(rest, line, step, out.client)) return;
  offer_.is_last = false;
  if (lines_ == 0 && LooksLikeHttp(line)) {
    Abort(EndReason::kCrossProtocol, step, out.client);
    return;
  }
  if (!leg_.command.replayed && ++lines_ > options_->max_commands) {
    Abort(EndReason::kTooManyErrors, step, out.client);
    return;
  }
  leg_.command.noise = line.empty();
  OnLine(line, step, out.client);
  step.understood = step.understood || !leg_.command.noise;
  if (leg_.command.replayed) {
    // The dialogue noted its signals when the line opened the leg.
    step.signals = before.signals;
    step.attacks = before.attacks;
    leg_.command.replayed = false;
  }
  if (!leg_.command.pass) return;
  leg_.command.pass = false;
  if (phase_ == Phase::kLeg) {
    PassLine(line, leg_.command.spacing, step, out);
  } else {
    step.consumed = before.consumed;
    OpenLeg(step);
  }
}

void LineDialogue::DropLiteral(ByteView rest, Step& step, Writer& out) {
  size_t count = std::min(leg_.command.to_drop, rest.size());
  leg_.command.to_drop -= count;
  step.consumed += count;
  if (std::memchr(rest.data(), 0, count) != nullptr) AbortFor(LineReader::Status::kNul, step, out);
}

Step LineDialogue::OnClient(ByteView in, Output& out) {
  Step step;
  if ((phase_ != Phase::kPlain && phase_ != Phase::kLeg) || leg_.command.waits || amid_line()) {
    step.verdict = Verdict::kHold;
    return step;
  }
  offer_.seen = offer_.written;
  while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
    ByteView rest = in.subspan(step.consumed);
    const size_t before = step.consumed;
    if (leg_.command.to_drop > 0) {
      DropLiteral(rest, step, out.client);
      continue;
    }
    if (out.client.room() < kReplyRoom) break;
    if (phase_ == Phase::kLeg && out.backend.room() < kMinOutputRoom) break;
    if (opaque()) {
      PassOpaque(rest, step, out);
    } else if (BeginsLikeTls(rest)) {
      // The gateway says nothing in words, because the other side could not read them.
      Close(step, EndReason::kTlsOnPlainPort);
    } else {
      ReadLine(rest, step, out);
    }
    if (step.consumed == before) break;
  }
  step.offered = offer_.written;
  return step;
}

Step LineDialogue::OnBackend(ByteView in, Output& out) {
  switch (phase_) {
    case Phase::kLegGreeting:
    case Phase::kLeg:
      return OnLeg(in, out);
    case Phase::kPreamble:
      return OnPreamble(in, out);
    default:
      break;
  }
  Step step;
  step.consumed = in.size();
  AbortMisplaced(awaited(), Misplaced::kOctets, step, out.client);
  return step;
}

LineDialogue::Greeting LineDialogue::Judge(std::string_view line) const {
  switch (Read(line)) {
    case LegLine::kYes:
      return Greeting::kSuccess;
    case LegLine::kBye:
      return Greeting::kRefusal;
    case LegLine::kPreauth:
      return Greeting::kPreauth;
    default:
      return Greeting::kBroken;
  }
}

Step LineDialogue::OnPreamble(ByteView in, Output& out) {
  Step step;
  // Repeats for each piece of a long line, and after kReplay, which Judge returns at most
  // once.
  size_t before = 0;
  do {
    before = step.consumed;
    ReadPreamble(in.subspan(before), step, out);
  } while (step.verdict == Verdict::kContinue && step.consumed > before &&
           step.consumed < in.size());
  return step;
}

void LineDialogue::ReadPreamble(ByteView rest, Step& step, Output& out) {
  if (out.client.room() < kMinOutputRoom) return;
  const LongLines::Piece piece = server_lines_.Next(rest);
  if (piece.status == LongLines::Status::kNeedMore) return;
  if (piece.status == LongLines::Status::kBroken) {
    AbortMisplaced(awaited(), Misplaced::kOctets, step, out.client);
    return;
  }
  if (piece.first) leg_.greeting = Judge(piece.text);
  if (leg_.greeting != Greeting::kPassOn) step.consumed += piece.consumed;
  OnGreeting(piece, step, out);
}

void LineDialogue::OnGreeting(const LongLines::Piece& piece, Step& step, Output& out) {
  switch (leg_.greeting) {
    case Greeting::kPassOn:
      step.verdict = Verdict::kRelay;
      break;
    case Greeting::kSuccess:
    case Greeting::kReplay:
      if (!Swallow(piece.consumed, step, out.client) || !piece.last) break;
      if (leg_.greeting == Greeting::kReplay) {
        SayAgain(out.backend);
        leg_.due = Due::kReply;
      } else {
        step.verdict = Verdict::kRelay;
      }
      break;
    case Greeting::kRefusal:
      GivePiece(piece, out.client);
      if (piece.last) Close(step, EndReason::kBackendRefused);
      break;
    case Greeting::kPreauth:
      Abort(EndReason::kBackendPreauth, step, out.client);
      break;
    case Greeting::kBroken:
      AbortMisplaced(awaited(), Misplaced::kLine, step, out.client);
      break;
  }
}

bool LineDialogue::Swallow(size_t octets, Step& step, Writer& out) {
  leg_.swallowed += octets;
  if (leg_.swallowed <= kMaxLegGreeting) return true;
  Abort(EndReason::kBackendTooLong, step, out);
  return false;
}

void LineDialogue::GiveLine(std::initializer_list<std::string_view> parts, Writer& out) {
  leg_.line.gives = true;
  leg_.line.given.Give(parts, is_whole(), out);
}

void LineDialogue::GivePiece(const LongLines::Piece& piece, Writer& out) {
  leg_.line.given.Give({piece.text}, piece.last, out);
}

bool LineDialogue::EndOpenLine(Writer& out) {
  if (leg_.line.gives && leg_.line.literal > 0) return false;
  ServerLine& line = leg_.line;
  if (line.gives && line.in_tail) line.given.NoteOpen();
  line.given.End(out);
  line.in_tail = false;
  return true;
}

Step LineDialogue::OnEvent(const Event& event, Output& out) {
  Step step;
  switch (event.kind) {
    case EventKind::kStart:
      Learn(event.capabilities);
      SayGreeting(out.client);
      step.offered = offer_.written;
      return step;
    case EventKind::kUpgraded:
      assert(phase_ == Phase::kUpgrading);
      // From here on no octet of the client is parsed.
      Forget();
      return step;
    case EventKind::kLegUp:
      assert(phase_ == (event.inside_tls ? Phase::kUpgrading : Phase::kOpening));
      phase_ = event.inside_tls ? Phase::kPreamble : Phase::kLegGreeting;
      leg_.due = Due::kGreeting;
      return step;
    case EventKind::kClientEnd:
      // The client has only looked at the offer: nothing has come since.
      if (offer_.is_last && phase_ == Phase::kPlain) step.Note(Signal::kOfferThenClose);
      break;
    case EventKind::kLegFailed:
    case EventKind::kGreetingDeadline:
    case EventKind::kDeadline:
    case EventKind::kDrain:
    case EventKind::kBackendEnd:
      if (EndOpenLine(out.client)) SayRefusal(RefusalOf(event), out.client);
      break;
    case EventKind::kPatienceOver:
      assert(false);  // a protocol that asks for Patience::kShort overrides OnEvent
      break;
  }
  Close(step, EndOf(event));
  return step;
}

EndReason LineDialogue::EndOf(const Event& event) const {
  if (phase_ == Phase::kLeg && event.kind == EventKind::kClientEnd) return EndReason::kClientClosed;
  if (phase_ == Phase::kLeg && event.kind == EventKind::kBackendEnd) {
    return EndReason::kBackendClosed;
  }
  return ReasonOf(event);
}

}  // namespace starling
