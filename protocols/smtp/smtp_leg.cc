#include "protocols/smtp/smtp_leg.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "protocols/frames/dialogue.h"
#include "protocols/smtp/smtp.h"

namespace starling {

namespace {

// The room that one line of the backend may need: the line itself, or the answer to EHLO
// instead, and then all of the gateway's own replies after it. A bare LF becomes CRLF when
// its line passes.
constexpr size_t kRoomForReply =
    std::max(kSmtpMaxReplyLine + 1, kReplyRoom) + kSmtpMaxOwnOutstanding * kSmtpMaxOwnReply;
static_assert(kRoomForReply <= kMinOutputRoom);

constexpr std::string_view kTooLong =
    " The mail server's greeting is longer than this gateway allows\r\n";

constexpr size_t kCodeDigits = 3;

// The code at the beginning of a reply, or the octets of it that have come.
std::string_view CodeAt(std::string_view octets) {
  const std::string_view code = octets.substr(0, kCodeDigits);
  return code.substr(0, code.find_first_not_of("0123456789"));
}

// The caller has checked the room, so this never fails.
void Copy(ByteView bytes, Writer& out) { Say(out, {AsText(bytes)}); }

}  // namespace

size_t SmtpDataEnd::Scan(ByteView in) {
  size_t i = 0;
  while (i < in.size() && state_ != State::kEnd) {
    if (state_ == State::kText) {
      const void* cr = std::memchr(in.data() + i, '\r', in.size() - i);
      if (cr == nullptr) return in.size();
      i = static_cast<size_t>(static_cast<const uint8_t*>(cr) - in.data());
    }
    const uint8_t octet = in[i++];
    if (octet == '\r') {
      state_ = state_ == State::kDot ? State::kDotCr : State::kCr;
    } else if (octet == '\n' && state_ == State::kDotCr) {
      state_ = State::kEnd;
    } else if (octet == '\n' && state_ == State::kCr) {
      state_ = State::kLineStart;
    } else {
      state_ = octet == '.' && state_ == State::kLineStart ? State::kDot : State::kText;
    }
  }
  return i;
}

void SmtpLeg::Open(std::string_view hello) { hello_ = hello; }

void SmtpLeg::OpenInsideTls() { inside_tls_ = true; }

bool SmtpLeg::TakeAnswered() { return std::exchange(answered_, false); }

bool SmtpLeg::TakeOffered() { return std::exchange(offered_, false); }

void SmtpLeg::Pass(SmtpVerb verb, std::string_view line, Writer& backend) {
  assert(ready());
  SayWords(backend, line, kBlanks);
  const SmtpDue due = DueFor(verb);
  queue_.Push({.due = due});
  if (due == SmtpDue::kData || due == SmtpDue::kAuth) stage_ = Stage::kAwaitGoAhead;
}

void SmtpLeg::Reply(SmtpReply reply, Writer& client) {
  assert(ready());
  if (idle()) return Say(client, {Text(reply)});
  queue_.Push({.is_own = true, .own = reply});
  ++own_;
}

void SmtpLeg::ReplyAndClose(SmtpReply reply, EndReason reason, Writer& client, Step& step) {
  Reply(reply, client);
  stage_ = Stage::kClosing;
  last_reason_ = reason;
  Flush(client, step);
}

void SmtpLeg::Flush(Writer& client, Step& step) {
  while (!idle() && queue_.head().is_own) {
    Say(client, {Text(queue_.head().own)});
    --own_;
    queue_.Remove(0);
  }
  if (stage_ == Stage::kClosing && idle() && step.verdict == Verdict::kContinue) {
    step.verdict = Verdict::kClose;
    step.reason = last_reason_;
  }
}

SmtpLeg::Passed SmtpLeg::PassOpaque(ByteView in, Writer& backend) {
  assert(opaque());
  return stage_ == Stage::kData ? PassData(in, backend) : PassAuthLine(in, backend);
}

SmtpLeg::Passed SmtpLeg::PassData(ByteView in, Writer& backend) {
  ByteView fits = in.first(std::min(in.size(), backend.room()));
  size_t consumed = data_end_.Scan(fits);
  Copy(fits.first(consumed), backend);
  if (data_end_.found()) {
    stage_ = Stage::kCommands;
    finals_ = lmtp_ ? recipients_ : 1;
    queue_.Push({.due = SmtpDue::kFinal});
  }
  return {.consumed = consumed, .blocked = consumed == 0};
}

SmtpLeg::Passed SmtpLeg::PassAuthLine(ByteView in, Writer& backend) {
  constexpr std::string_view kEnd = "\r\n";
  if (backend.room() <= kEnd.size()) return {.blocked = true};
  std::string_view text = AsText(in.first(std::min(in.size(), backend.room() - kEnd.size())));
  text = text.substr(0, FindNotInLine(AsBytes(text), 0));
  const size_t most = kSmtpMaxAuthLine - kEnd.size() - auth_octets_;
  const bool too_long = text.size() > most;
  text = text.substr(0, most);
  Say(backend, {text});
  auth_octets_ += text.size();
  Passed passed{.consumed = text.size()};
  if (too_long) {
    passed.error = EndReason::kLineTooLong;
    passed.words = SmtpReply::kLineTooLong;
    return passed;
  }
  std::string_view rest = AsText(in).substr(text.size());
  // The rest of the line is missing, or the octet after a CR.
  if (rest.empty() || rest == "\r") return passed;
  if (rest[0] != '\r' && rest[0] != '\n' && rest[0] != '\0') return passed;
  const bool bare_lf = rest[0] == '\n' && options_->accept_bare_lf;
  if (!bare_lf && !rest.starts_with(kEnd)) {
    passed.error = EndReason::kBadOctet;
    passed.words = rest[0] == '\n'   ? SmtpReply::kBareLf
                   : rest[0] == '\r' ? SmtpReply::kBareCr
                                     : SmtpReply::kNul;
    return passed;
  }
  Say(backend, {kEnd});
  passed.consumed += bare_lf ? 1 : kEnd.size();
  auth_octets_ = 0;
  queue_.Push({.due = SmtpDue::kAuth});
  stage_ = Stage::kAwaitGoAhead;
  return passed;
}

Step SmtpLeg::OnBackend(ByteView in, Output& out) {
  Step step;
  while (step.consumed < in.size() && step.verdict == Verdict::kContinue) {
    if (out.client.room() < kRoomForReply) break;
    ByteView rest = in.subspan(step.consumed);
    SmtpReplyLine early;
    if (stage_ == Stage::kData && !lines_.amid_line() && AnswersData(AsText(rest), early)) {
      Fail(Misplaced::kLine, early.code, out, step);
      break;
    }
    const LongLines::Piece piece = lines_.Next(rest);
    if (piece.status == LongLines::Status::kNeedMore) break;
    step.consumed += piece.consumed;
    if (piece.status == LongLines::Status::kBroken) {
      Fail(Misplaced::kOctets, 0, out, step);
      break;
    }
    if (piece.first && !BeginLine(piece, out, step)) break;
    OnPiece(piece, out, step);
  }
  return step;
}

SmtpDue SmtpLeg::due() const {
  if (stage_ == Stage::kGreeting) return SmtpDue::kGreeting;
  if (stage_ == Stage::kReplay) return SmtpDue::kEhlo;
  return idle() ? SmtpDue::kNothing : queue_.head().due;
}

bool SmtpLeg::MayCome(const SmtpReplyLine& line) const {
  if (line.code == 0) return false;
  if (line.code == kSmtpClosing) return true;
  if (code_ != 0) return line.code == code_ || MayFollow(due(), code_, line.code);
  // LMTP owes a reply for each recipient, so without a recipient data would have no answer.
  const bool no_recipient = lmtp_ && recipients_ == 0 && line.code == kSmtpDataGoAhead;
  return MayAnswer(due(), line.code) && !no_recipient;
}

// There is no reply to data before its end. If a backend does reply, it has taken something
// in the data for the end, and what came after it for commands. The leg waits for no more
// of its reply than the code.
bool SmtpLeg::AnswersData(std::string_view octets, SmtpReplyLine& line) {
  const std::string_view code = CodeAt(octets);
  if (code.size() == octets.size() && code.size() < kCodeDigits) return false;
  line = ParseSmtpReplyLine(code);
  return line.code != kSmtpClosing;
}

Awaited SmtpLeg::awaited() const {
  switch (due()) {
    case SmtpDue::kGreeting:
      return Awaited::kGreeting;
    case SmtpDue::kNothing:
      return Awaited::kNothing;
    default:
      return Awaited::kReply;
  }
}

bool SmtpLeg::BeginLine(const LongLines::Piece& piece, Output& out, Step& step) {
  const SmtpReplyLine line = ParseSmtpReplyLine(WholeWords(piece));
  if (!MayCome(line)) {
    Fail(Misplaced::kLine, line.code, out, step);
    return false;
  }
  const bool begins = code_ == 0;
  if (!GoesOn(code_, line.code)) code_ = line.code;
  last_line_ = line.last;
  const bool ehlo = due() == SmtpDue::kEhlo && line.code == kSmtpCompleted;
  // The gateway has already given the client a greeting and an answer to EHLO, so the leg
  // swallows the server's. It writes the answer to a later EHLO anew.
  passes_ = !ehlo && !(stage_ == Stage::kGreeting && line.code == kSmtpReady);
  if (!ehlo || stage_ == Stage::kReplay) return true;
  if (begins) {
    keywords_ = lmtp_ ? kSmtpDefaultCapabilities : 0;
  } else {
    AddSmtpKeyword(line.text, keywords_);
  }
  return true;
}

// The code is that of the reply's first line. After it comes what every client takes for
// the end of a code.
void SmtpLeg::PassPiece(const LongLines::Piece& piece, Writer& client) {
  std::string_view text = piece.text;
  if (piece.first) {
    const char digits[kCodeDigits] = {static_cast<char>('0' + code_ / 100),
                                      static_cast<char>('0' + code_ / 10 % 10),
                                      static_cast<char>('0' + code_ % 10)};
    text.remove_prefix(kCodeDigits);
    const bool tab = text.starts_with('\t');
    if (tab) text.remove_prefix(1);
    Say(client, {{digits, kCodeDigits}, tab ? " " : ""});
  }
  open_line_.Give({text}, piece.last, client);
}

void SmtpLeg::OnPiece(const LongLines::Piece& piece, Output& out, Step& step) {
  if (passes_) {
    PassPiece(piece, out.client);
  } else if (!established()) {
    swallowed_ += piece.consumed;
    if (swallowed_ > kSmtpMaxSwallowed) {
      return FailTooLong(out, step);
    }
  }
  if (piece.last && last_line_) EndReply(out, step);
}

void SmtpLeg::EndReply(Output& out, Step& step) {
  if (stage_ == Stage::kGreeting) return EndGreeting(out, step);
  if (code_ == kSmtpClosing) {
    step.reply = code_;
    // A server may say only this unasked (RFC 5321 section 3.8).
    return Close(step, established() ? EndReason::kBackendClosed : EndReason::kBackendRefused);
  }
  if (stage_ == Stage::kReplay) {
    // The gateway has answered the client's EHLO. If the server now refuses its hello, the
    // refusal answers the command that opened the leg.
    answered_ = code_ != kSmtpCompleted;
    stage_ = Stage::kCommands;
    code_ = 0;
    return;
  }
  const SmtpDue due = this->due();
  if (due == SmtpDue::kEhlo && code_ == kSmtpCompleted) {
    WriteEhloReply(*options_, keywords_, out.client);
  }
  if (Settle(due, step)) {
    queue_.Remove(0);
    Flush(out.client, step);
  }
  code_ = 0;
}

void SmtpLeg::EndGreeting(Output& out, Step& step) {
  if (code_ != kSmtpReady) {
    step.reply = code_;
    return Close(step, EndReason::kBackendRefused);
  }
  code_ = 0;
  swallowed_ = 0;
  if (inside_tls_) {
    step.verdict = Verdict::kRelay;
  } else if (hello_.empty()) {
    stage_ = Stage::kCommands;
  } else {
    SayWords(out.backend, hello_, kBlanks);
    stage_ = Stage::kReplay;
  }
}

bool SmtpLeg::Settle(SmtpDue due, Step& step) {
  const bool ok = code_ / 100 == 2;
  switch (due) {
    case SmtpDue::kEhlo:
      offered_ = offered_ || ok;
      [[fallthrough]];
    case SmtpDue::kHelo:
    case SmtpDue::kReset:
      if (ok) transaction_ = false;
      break;
    case SmtpDue::kMail:
      if (!ok) break;
      transaction_ = true;
      recipients_ = 0;
      break;
    case SmtpDue::kRcpt:
      if (ok) ++recipients_;
      break;
    case SmtpDue::kData:
      stage_ = code_ == kSmtpDataGoAhead ? Stage::kData : Stage::kCommands;
      data_end_.Reset();
      break;
    case SmtpDue::kFinal:
      if (--finals_ > 0) return false;
      transaction_ = false;
      break;
    case SmtpDue::kAuth:
      stage_ = code_ == kSmtpAuthGoAhead ? Stage::kAuthLine : Stage::kCommands;
      break;
    case SmtpDue::kQuit:
      Close(step, EndReason::kClientClosed);
      break;
    case SmtpDue::kOther:
    case SmtpDue::kGreeting:
    case SmtpDue::kNothing:
      break;
  }
  return true;
}

void SmtpLeg::Fail(Misplaced what, uint16_t code, Output& out, Step& step) {
  open_line_.End(out.client);
  RefuseSmtp(Refusal::kUnavailable, *options_, out.client);
  CloseMisplaced(step, awaited(), what, code);
}

void SmtpLeg::FailTooLong(Output& out, Step& step) {
  open_line_.End(out.client);
  Say(out.client, {"421 4.3.0 ", options_->hostname, kTooLong});
  step.reply = code_;
  Close(step, EndReason::kBackendTooLong);
}

}  // namespace starling
