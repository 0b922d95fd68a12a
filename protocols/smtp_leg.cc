#include "protocols/smtp_leg.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocols/dialogue.h"
#include "protocols/smtp.h"

namespace starling {

namespace {

// Room that one line of the backend may need: the line itself or the answer to
// EHLO in its place, and then all replies of the gateway's own behind it.
constexpr size_t kRoomForReply =
    std::max(kSmtpMaxReplyLine, kReplyRoom) + kSmtpMaxOwnOutstanding * kSmtpMaxOwnReply;
static_assert(kRoomForReply <= kMinOutputRoom);
static_assert(kSmtpMaxOutstanding <= UINT8_MAX);
static_assert(kSmtpReplyCount < 0x80);

constexpr int kServiceReady = 220;
constexpr int kCompleted = 250;
constexpr int kAuthGoAhead = 334;
constexpr int kDataGoAhead = 354;
constexpr int kClosingDown = 421;

// Room for what was checked before: never fails.
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

SmtpLeg::Due SmtpLeg::DueFor(SmtpVerb verb) {
  switch (verb) {
    case SmtpVerb::kEhlo:
    case SmtpVerb::kLhlo:
      return Due::kEhlo;
    case SmtpVerb::kHelo:
      return Due::kHelo;
    case SmtpVerb::kMail:
      return Due::kMail;
    case SmtpVerb::kRcpt:
      return Due::kRcpt;
    case SmtpVerb::kData:
      return Due::kData;
    case SmtpVerb::kReset:
      return Due::kReset;
    case SmtpVerb::kAuth:
      return Due::kAuth;
    case SmtpVerb::kQuit:
      return Due::kQuit;
    default:
      return Due::kAny;
  }
}

void SmtpLeg::Pass(SmtpVerb verb, std::string_view line, Writer& backend) {
  Say(backend, {line, "\r\n"});
  Due due = DueFor(verb);
  Push(static_cast<uint8_t>(due));
  if (due == Due::kData || due == Due::kAuth) stage_ = Stage::kAwaitGoAhead;
}

void SmtpLeg::Reply(SmtpReply reply, Writer& client) {
  if (idle()) return Say(client, {Text(reply)});
  Push(static_cast<uint8_t>(reply) | kOwn);
  ++own_;
}

void SmtpLeg::ReplyAndClose(SmtpReply reply, EndReason reason, Writer& client, Step& step) {
  Reply(reply, client);
  stage_ = Stage::kClosing;
  last_reason_ = reason;
  Flush(client, step);
}

void SmtpLeg::Push(uint8_t entry) {
  queue_[(head_ + size_) % queue_.size()] = entry;
  ++size_;
}

void SmtpLeg::Pop() {
  head_ = static_cast<uint8_t>((head_ + 1) % queue_.size());
  --size_;
}

void SmtpLeg::Flush(Writer& client, Step& step) {
  while (size_ > 0 && (queue_[head_] & kOwn) != 0) {
    Say(client, {Text(static_cast<SmtpReply>(queue_[head_] & ~kOwn))});
    --own_;
    Pop();
  }
  if (stage_ == Stage::kClosing && idle() && step.verdict == Verdict::kContinue) {
    step.verdict = Verdict::kClose;
    step.reason = last_reason_;
  }
}

SmtpLeg::Passed SmtpLeg::PassOpaque(ByteView in, Writer& backend) {
  return stage_ == Stage::kData ? PassData(in, backend) : PassAuthLine(in, backend);
}

SmtpLeg::Passed SmtpLeg::PassData(ByteView in, Writer& backend) {
  ByteView fits = in.first(std::min(in.size(), backend.room()));
  size_t consumed = data_end_.Scan(fits);
  Copy(fits.first(consumed), backend);
  if (data_end_.found()) {
    stage_ = Stage::kCommands;
    finals_ = lmtp_ ? recipients_ : 1;
    Push(static_cast<uint8_t>(Due::kFinal));
  }
  return {consumed, consumed == 0, EndReason::kNone};
}

SmtpLeg::Passed SmtpLeg::PassAuthLine(ByteView in, Writer& backend) {
  constexpr std::string_view kEnd = "\r\n";
  if (backend.room() <= kEnd.size()) return {0, true, EndReason::kNone};
  std::string_view text = AsText(in.first(std::min(in.size(), backend.room() - kEnd.size())));
  text = text.substr(0, text.find_first_of(std::string_view("\r\n\0", 3)));
  const size_t most = kSmtpMaxAuthLine - kEnd.size() - auth_octets_;
  const bool too_long = text.size() > most;
  text = text.substr(0, most);
  Say(backend, {text});
  auth_octets_ += text.size();
  Passed passed{text.size(), false, EndReason::kNone};
  if (too_long) {
    passed.error = EndReason::kLineTooLong;
    return passed;
  }
  std::string_view rest = AsText(in).substr(text.size());
  // More of the line, or a CR that is judged by what follows it.
  if (rest.empty() || rest == "\r") return passed;
  if (rest[0] != '\r' && rest[0] != '\n' && rest[0] != '\0') return passed;
  const bool bare_lf = rest[0] == '\n' && options_->accept_bare_lf;
  if (!bare_lf && !rest.starts_with(kEnd)) {
    passed.error = EndReason::kBadOctet;
    return passed;
  }
  Say(backend, {kEnd});
  passed.consumed += bare_lf ? 1 : kEnd.size();
  auth_octets_ = 0;
  Push(static_cast<uint8_t>(Due::kAuth));
  stage_ = Stage::kAwaitGoAhead;
  return passed;
}

Step SmtpLeg::OnBackend(ByteView in, Output& out) {
  Step step;
  while (step.consumed < in.size() && step.verdict == Verdict::kContinue) {
    if (out.client.room() < kRoomForReply) break;
    // Data has no reply before its end: such a backend took something in the
    // data for the end, and for commands what came after it.
    if (stage_ == Stage::kData) {
      Fail(out, step);
      break;
    }
    ByteView rest = in.subspan(step.consumed);
    LineReader::Line line = reader_.Next(rest);
    if (line.status == LineReader::Status::kNeedMore) break;
    SmtpReplyLine reply;
    if (line.status == LineReader::Status::kLine) reply = ParseSmtpReplyLine(line.text);
    if (reply.code == 0) {
      Fail(out, step);
      break;
    }
    ByteView raw = rest.first(line.consumed);
    step.consumed += line.consumed;
    if (stage_ == Stage::kGreeting) {
      OnGreeting(reply, raw, out, step);
    } else if (stage_ == Stage::kReplay) {
      OnReplay(reply, raw, out, step);
    } else {
      OnReply(reply, raw, out, step);
    }
  }
  return step;
}

void SmtpLeg::OnGreeting(const SmtpReplyLine& reply, ByteView raw, Output& out, Step& step) {
  swallowed_ += raw.size();
  if (swallowed_ > kSmtpMaxSwallowed) return Fail(out, step);
  // Each line by its own code: a "220-" teaser may be followed by a refusal.
  if (reply.code != kServiceReady) Copy(raw, out.client);
  if (!reply.last) return;
  if (reply.code != kServiceReady) return Close(step, EndReason::kBackendRefused);
  swallowed_ = 0;
  if (inside_tls_) {
    step.verdict = Verdict::kRelay;
  } else if (hello_.empty()) {
    stage_ = Stage::kCommands;
  } else {
    Say(out.backend, {hello_, "\r\n"});
    stage_ = Stage::kReplay;
  }
}

void SmtpLeg::OnReplay(const SmtpReplyLine& reply, ByteView raw, Output& out, Step& step) {
  swallowed_ += raw.size();
  if (swallowed_ > kSmtpMaxSwallowed) return Fail(out, step);
  // The client had its answer to EHLO from the gateway. A refusal now is told
  // as the answer to the command that opened the leg.
  if (!reply.ok()) Copy(raw, out.client);
  if (!reply.last) return;
  if (reply.code == kClosingDown) return Close(step, EndReason::kBackendRefused);
  answered_ = !reply.ok();
  stage_ = Stage::kCommands;
}

void SmtpLeg::OnReply(const SmtpReplyLine& reply, ByteView raw, Output& out, Step& step) {
  if (idle()) {
    // The one thing a server may say unasked (RFC 5321 section 3.8).
    if (reply.code != kClosingDown) {
      step.Note(Attack::kBackendInjection);
      return Fail(out, step);
    }
    Copy(raw, out.client);
    if (reply.last) Close(step, EndReason::kBackendClosed);
    return;
  }
  const Due due = static_cast<Due>(queue_[head_]);
  const bool is_first = std::exchange(first_line_, reply.last);
  if (due == Due::kEhlo && reply.code == kCompleted) {
    if (is_first) {
      keywords_ = lmtp_ ? kSmtpDefaultCapabilities : 0;
    } else {
      AddSmtpKeyword(reply.text, keywords_);
    }
    if (reply.last) WriteEhloReply(*options_, keywords_, out.client);
  } else if (reply.code / 100 != 3 || IsGoAhead(due, reply.code)) {
    Copy(raw, out.client);
  } else {
    return Fail(out, step);
  }
  if (!reply.last) return;
  if (reply.code == kClosingDown) return Close(step, EndReason::kBackendClosed);
  if (!Settle(due, reply, step)) return;
  Pop();
  Flush(out.client, step);
}

bool SmtpLeg::IsGoAhead(Due due, int code) const {
  if (due == Due::kAuth) return code == kAuthGoAhead;
  // LMTP owes a reply a recipient, so without one data would have no answer.
  return due == Due::kData && code == kDataGoAhead && (!lmtp_ || recipients_ > 0);
}

bool SmtpLeg::Settle(Due due, const SmtpReplyLine& reply, Step& step) {
  switch (due) {
    case Due::kEhlo:
      offered_ = offered_ || reply.ok();
      [[fallthrough]];
    case Due::kHelo:
    case Due::kReset:
      if (reply.ok()) transaction_ = false;
      break;
    case Due::kMail:
      if (!reply.ok()) break;
      transaction_ = true;
      recipients_ = 0;
      break;
    case Due::kRcpt:
      if (reply.ok()) ++recipients_;
      break;
    case Due::kData:
      stage_ = IsGoAhead(due, reply.code) ? Stage::kData : Stage::kCommands;
      data_end_.Reset();
      break;
    case Due::kFinal:
      if (--finals_ > 0) return false;
      transaction_ = false;
      break;
    case Due::kAuth:
      stage_ = IsGoAhead(due, reply.code) ? Stage::kAuthLine : Stage::kCommands;
      break;
    case Due::kQuit:
      Close(step, EndReason::kClientClosed);
      break;
    case Due::kAny:
      break;
  }
  return true;
}

void SmtpLeg::Fail(Output& out, Step& step) const {
  RefuseSmtp(Refusal::kUnavailable, *options_, out.client);
  Close(step, EndReason::kBackendProtocol);
}

}  // namespace starling
