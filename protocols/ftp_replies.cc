// The backend's side of FTP's control connection: its greeting, and which reply is passed on,
// held, replaced or edited.
#include <algorithm>
#include <array>
#include <iterator>

#include "protocols/dialogue.h"
#include "protocols/ftp_control.h"

namespace starling {

namespace {

// Room that one line of the backend may need: itself, what is added to it, and all
// replies of the gateway's own behind it.
constexpr size_t kAdded = 64;
constexpr size_t kRoomForReply =
    kFtpMaxReplyLine + kAdded + kFtpMaxOwnOutstanding * kFtpMaxOwnReply;
static_assert(kRoomForReply <= kMinOutputRoom);

constexpr int kFeatures = 211;
constexpr int kReady = 220;
constexpr int kGoodbye = 221;
constexpr int kPassive = 227;
constexpr int kExtendedPassive = 229;
constexpr int kLoggedIn = 230;
constexpr int kLoggedInBySecurityData = 232;  // RFC 2228: PASS is not needed
constexpr int kClosingDown = 421;

constexpr std::string_view kOwnFeatures = " AUTH TLS\r\n PBSZ\r\n PROT\r\n";

// Of a backend's features those that the gateway itself answers, or refuses.
bool IsForeignFeature(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  const std::string_view word = line.substr(0, line.find_first_of(" ;="));
  switch (FindFtpVerb(word)) {
    case FtpVerb::kAuth:
    case FtpVerb::kPbsz:
    case FtpVerb::kProt:
    case FtpVerb::kCcc:
    case FtpVerb::kRefused:
      return true;
    default:
      return false;
  }
}

// Codes that a transfer does not end with, so that they answer what came behind it:
// servers that read commands while they send data answer them at once.
bool IsNoTransferReply(int code) {
  constexpr int kDone[] = {225, 226, 250};
  return code / 100 == 2 && std::ranges::find(kDone, code) == std::end(kDone);
}

void Copy(ByteView bytes, Writer& out) { Say(out, {AsText(bytes)}); }

}  // namespace

Step FtpControl::OnBackend(ByteView in, Output& out) {
  Step step;
  while (step.verdict == Verdict::kContinue && step.data == DataAsk::kNone &&
         step.consumed < in.size()) {
    if (out.client.room() < kRoomForReply) break;
    const ByteView rest = in.subspan(step.consumed);
    const FtpReplyLine line = replies_.Next(rest);
    if (line.status == LineReader::Status::kNeedMore) break;
    if (line.code == 0) {
      Abort(EndReason::kBackendProtocol, "Server broken, try again later", step, out);
      break;
    }
    const bool awaited = greeted_ && size_ > 0;
    if (awaited && !holding_) LetOvertake(line, out);
    holding_ = awaited && MustHold(line);
    if (holding_) break;
    replies_.Take(line);
    step.consumed += line.consumed;
    const ByteView raw = rest.first(line.consumed);
    if (!greeted_) {
      OnGreeting(line, raw, step, out);
    } else if (size_ == 0) {
      OnUnasked(line, raw, step, out);
    } else {
      OnReply(line, raw, step, out);
    }
  }
  return step;
}

void FtpControl::OnGreeting(const FtpReplyLine& line, ByteView raw, Step& step, Output& out) {
  swallowed_ += static_cast<uint32_t>(raw.size());
  if (swallowed_ > kFtpMaxGreeting) {
    return Abort(EndReason::kBackendProtocol, "Server broken, try again later", step, out);
  }
  const bool welcome = line.code == kReady;
  if (passes_greeting_ || !(welcome || line.preliminary())) Copy(raw, out.client);
  if (!line.last || line.preliminary()) return;
  greeted_ = welcome;
  if (!welcome) return Close(step, EndReason::kBackendRefused);
  step.verdict = Verdict::kReadInside;
  step.established = true;
}

// The one thing that a server says unasked is that it closes (RFC 959 section 5.4).
void FtpControl::OnUnasked(const FtpReplyLine& line, ByteView raw, Step& step, Output& out) {
  if (line.code != kClosingDown) {
    step.Note(Attack::kBackendInjection);
    return Abort(EndReason::kBackendProtocol, "Server broken, try again later", step, out);
  }
  Copy(raw, out.client);
  if (line.last) Close(step, EndReason::kBackendClosed);
}

// A transfer has succeeded when its data channel has: backends say 226 to one whose
// client could not read a thing.
bool FtpControl::MustHold(const FtpReplyLine& line) const {
  return head() == Due::kTransfer && line.ok() && channel_ == Channel::kOpen;
}

bool FtpControl::MustReplace(const FtpReplyLine& line) const {
  if (!line.ok()) return false;
  switch (head()) {
    case Due::kPasv:
      return !line.last || line.code != kPassive || !PortOf227(line.text);
    case Due::kEpsv:
      return !line.last || line.code != kExtendedPassive || !PortOf229(line.text);
    case Due::kTransfer:
      return channel_ != Channel::kOver || outcome_ != DataOutcome::kWhole;
    default:
      return false;
  }
}

void FtpControl::LetOvertake(const FtpReplyLine& line, Output& out) {
  if (!line.first || head() != Due::kTransfer || !preliminary_) return;
  if (!IsNoTransferReply(line.code)) return;
  const auto place = [this](uint8_t i) -> uint8_t& { return queue_[(head_ + i) % queue_.size()]; };
  uint8_t next = 1;
  while (next < size_ && (place(next) & kOwn) != 0) ++next;
  if (next >= size_) return;
  for (uint8_t i = 0; i < next; ++i) place(i) = place(i + 1);
  place(next) = static_cast<uint8_t>(Due::kTransfer);
  Flush(out);
}

void FtpControl::OnReply(const FtpReplyLine& line, ByteView raw, Step& step, Output& out) {
  if (line.first) replaced_ = MustReplace(line);
  const bool passive = head() == Due::kPasv || head() == Due::kEpsv;
  if (passive && line.ok() && !replaced_) {
    const auto port = head() == Due::kPasv ? PortOf227(line.text) : PortOf229(line.text);
    setup_ = Setup::kPassive;
    step.data = DataAsk::kFromClient;
    step.data_port = *port;
    return;
  }
  if (replaced_) {
    if (line.last) SayInstead(out);
  } else if (head() == Due::kFeat && line.code == kFeatures) {
    PassFeatReply(line, raw, out);
  } else {
    Copy(raw, out.client);
  }
  if (!line.last) return;
  if (line.code == kClosingDown) return Close(step, EndReason::kBackendClosed);
  logged_in_ |= line.code == kLoggedIn || line.code == kLoggedInBySecurityData;
  if (line.preliminary()) {
    preliminary_ = true;
    if (channel_ == Channel::kOver && held_) Drop(step);
    return;
  }
  Settle(line, step);
  Pop(out);
}

void FtpControl::SayInstead(Output& out) {
  const bool ended = head() == Due::kTransfer && channel_ == Channel::kOver;
  if (ended && outcome_ == DataOutcome::kTlsFailed) return SayOwn(Own::kDataTls, out);
  if (ended && outcome_ != DataOutcome::kNotMade) return SayOwn(Own::kDataCut, out);
  SayOwn(Own::kCannotOpen, out);
}

void FtpControl::PassFeatReply(const FtpReplyLine& line, ByteView raw, Output& out) {
  if (line.first && line.last) {
    return Say(out.client, {"211-Features:\r\n", kOwnFeatures, "211 End\r\n"});
  }
  if (line.last) Say(out.client, {kOwnFeatures});
  if (line.first || line.last || !IsForeignFeature(line.text)) Copy(raw, out.client);
}

void FtpControl::Settle(const FtpReplyLine& line, Step& step) {
  const bool failed = replaced_ || !line.ok();
  switch (head()) {
    case Due::kPasv:
    case Due::kEpsv:
    case Due::kPort:
      setup_ = Setup::kNone;
      if (!failed) return;
      break;
    case Due::kTransfer:
      transfer_ = false;
      break;
    case Due::kQuit:
      if (line.code == kGoodbye) Close(step, EndReason::kClientClosed);
      return;
    default:
      return;
  }
  channel_ = Channel::kNone;
  if (held_) Drop(step);
}

}  // namespace starling
