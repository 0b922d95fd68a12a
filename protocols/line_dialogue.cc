#include "protocols/line_dialogue.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocols/limits.h"
#include "protocols/mangled.h"

namespace starling {

namespace {

std::string_view GoodbyeText(EndReason reason) {
  switch (reason) {
    case EndReason::kCrossProtocol:
      return "Another protocol is spoken here";
    case EndReason::kLineTooLong:
      return "Line too long";
    case EndReason::kBadOctet:
      return "Octet not allowed";
    case EndReason::kTooManyErrors:
      return "Too many commands without TLS";
    case EndReason::kBackendPreauth:
    case EndReason::kBackendProtocol:
      return "Server broken, try again later";
    default:
      return "Goodbye";
  }
}

// "...{12}" and "...{12+}". A number that does not fit in 64 bits is as large as
// any number can be.
struct Literal {
  bool present = false;
  bool synchronizing = false;
  uint64_t size = 0;
};

Literal ParseLiteral(std::string_view line) {
  if (!line.ends_with('}')) return {};
  size_t open = line.rfind('{');
  if (open == std::string_view::npos) return {};
  std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  bool synchronizing = !digits.ends_with('+');
  if (!synchronizing) digits.remove_suffix(1);
  Literal literal{true, synchronizing, 0};
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), literal.size);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) return {};
  if (error == std::errc::result_out_of_range) literal.size = UINT64_MAX;
  return literal;
}

}  // namespace

LineDialogue::LineDialogue(const DialogueOptions& options)
    : options_(&options),
      client_lines_(options.max_line, options.accept_bare_lf),
      backend_lines_(kMaxBackendGreeting, /*accept_bare_lf=*/true) {}

void LineDialogue::NoteOffer() { offer_written_ = offer_is_last_ = true; }

void LineDialogue::NoteLogin(Step& step) {
  step.Note(Attack::kPlaintextAuth);
  // A client that has sent everything at once has not seen the offer.
  if (!offer_seen_ || not_taken_) return;
  not_taken_ = true;
  step.Note(Signal::kNotTaken);
}

void LineDialogue::NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step) {
  if (LooksMangled(verb, upgrade_verb)) step.Note(Signal::kMangledCommand);
}

void LineDialogue::Upgrade(Step& step) {
  phase_ = Phase::kUpgrading;
  step.verdict = Verdict::kUpgrade;
}

void LineDialogue::Abort(EndReason reason, Step& step, Writer& out) {
  SayGoodbye(GoodbyeText(reason), out);
  Close(step, reason);
}

LineDialogue::Tail LineDialogue::TakeLiteral(std::string_view line, bool first, Step& step,
                                             Writer& out) {
  if (first) literal_total_ = 0;
  Literal literal = ParseLiteral(line);
  if (!literal.present) return Tail::kNone;
  if (literal.synchronizing) return Tail::kSync;
  if (literal.size > kMaxLiteral - literal_total_) {
    Abort(EndReason::kLineTooLong, step, out);
    return Tail::kTooLong;
  }
  literal_total_ += literal.size;
  to_drop_ = literal.size;
  return Tail::kSkipped;
}

void LineDialogue::ReadLine(ByteView rest, Step& step, Writer& out) {
  LineReader::Line line = client_lines_.Next(rest);
  switch (line.status) {
    case LineReader::Status::kNeedMore:
      return;
    case LineReader::Status::kTooLong:
      Abort(EndReason::kLineTooLong, step, out);
      return;
    case LineReader::Status::kBareLf:
    case LineReader::Status::kBadOctet:
      Abort(EndReason::kBadOctet, step, out);
      return;
    case LineReader::Status::kLine:
      break;
  }
  step.consumed += line.consumed;
  offer_is_last_ = false;
  if (lines_ == 0 && LooksLikeHttp(line.text)) {
    Abort(EndReason::kCrossProtocol, step, out);
    return;
  }
  if (++lines_ > options_->max_commands) {
    Abort(EndReason::kTooManyErrors, step, out);
    return;
  }
  OnLine(line.text, step, out);
}

void LineDialogue::DropLiteral(ByteView rest, Step& step, Writer& out) {
  size_t count = std::min(to_drop_, rest.size());
  to_drop_ -= count;
  step.consumed += count;
  if (std::memchr(rest.data(), 0, count) != nullptr) Abort(EndReason::kBadOctet, step, out);
}

Step LineDialogue::OnClient(ByteView in, Output& out) {
  Step step;
  if (phase_ != Phase::kPlain) {
    step.verdict = Verdict::kHold;
    return step;
  }
  offer_seen_ = offer_written_;
  while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
    ByteView rest = in.subspan(step.consumed);
    if (to_drop_ > 0) {
      DropLiteral(rest, step, out.client);
      continue;
    }
    if (out.client.room() < kReplyRoom) break;
    if (BeginsLikeTls(rest)) {
      // Nothing is said in words: the other side could not read them.
      Close(step, EndReason::kTlsOnPlainPort);
      break;
    }
    size_t before = step.consumed;
    ReadLine(rest, step, out.client);
    if (step.consumed == before) break;
  }
  step.offered = offer_written_;
  return step;
}

Step LineDialogue::OnBackend(ByteView in, Output& out) {
  Step step;
  if (phase_ != Phase::kPreamble) {
    step.consumed = in.size();
    step.Note(Attack::kBackendInjection);
    Abort(EndReason::kBackendProtocol, step, out.client);
    return step;
  }
  // Again only after kReplay, which Judge says once at most.
  size_t before = 0;
  do {
    before = step.consumed;
    ReadPreamble(in.subspan(before), step, out);
  } while (step.verdict == Verdict::kContinue && step.consumed > before &&
           step.consumed < in.size());
  return step;
}

void LineDialogue::ReadPreamble(ByteView rest, Step& step, Output& out) {
  LineReader::Line line = backend_lines_.Next(rest);
  if (line.status == LineReader::Status::kNeedMore) return;
  if (line.status != LineReader::Status::kLine) {
    Abort(EndReason::kBackendProtocol, step, out.client);
    return;
  }
  Greeting greeting = Judge(line.text);
  if (greeting != Greeting::kPassOn) step.consumed += line.consumed;
  switch (greeting) {
    case Greeting::kSuccess:
    case Greeting::kPassOn:
      step.verdict = Verdict::kRelay;
      break;
    case Greeting::kReplay:
      SayAgain(out.backend);
      break;
    case Greeting::kPreauth:
      Abort(EndReason::kBackendPreauth, step, out.client);
      break;
    case Greeting::kRefusal:
      Say(out.client, {line.text, "\r\n"});
      Close(step, EndReason::kBackendRefused);
      break;
  }
}

Step LineDialogue::OnEvent(const Event& event, Output& out) {
  Step step;
  switch (event.kind) {
    case EventKind::kStart:
      Learn(event.capabilities);
      SayGreeting(out.client);
      step.offered = offer_written_;
      return step;
    case EventKind::kUpgraded:
      // Nothing needs wiping: from here on no octet of the client is parsed.
      phase_ = Phase::kUpgrading;
      return step;
    case EventKind::kLegUp:
      if (phase_ == Phase::kUpgrading && event.inside_tls) phase_ = Phase::kPreamble;
      return step;
    case EventKind::kClientEnd:
      // Only the offer was looked at: nothing has come since.
      if (offer_is_last_ && phase_ == Phase::kPlain) step.Note(Signal::kOfferThenClose);
      break;
    case EventKind::kLegFailed:
    case EventKind::kGreetingDeadline:
    case EventKind::kDeadline:
    case EventKind::kDrain:
    case EventKind::kBackendEnd:
      SayRefusal(RefusalOf(event.kind), out.client);
      break;
  }
  Close(step, ReasonOf(event.kind));
  return step;
}

}  // namespace starling
