// The backend's side of FTP's control connection: its greeting, and which replies the
// gateway passes on, holds, replaces or edits.
#include <algorithm>
#include <array>
#include <iterator>

#include "protocols/frames/dialogue.h"
#include "protocols/ftp/ftp_control.h"

namespace starling {

namespace {

// What the gateway may have to say when a line begins or is over: another reply instead, or
// features, and all of its own replies after it.
constexpr size_t kRoomForReply = (kFtpMaxOwnOutstanding + 4) * kFtpMaxOwnReply;
// The same, and a piece of the line.
constexpr size_t kRoomForPiece = kRoomForReply + LongLines::kMinRoom;
static_assert(kRoomForPiece <= kMinOutputRoom);

constexpr std::string_view kOwnFeatures = " AUTH TLS\r\n PBSZ\r\n PROT\r\n";

// The backend's features that the gateway itself answers, or refuses.
bool IsForeignFeature(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  const std::string_view word = line.substr(0, line.find_first_of(" ;="));
  return TraitsOf(FindFtpVerb(word)).hides_feature;
}

}  // namespace

Step FtpControl::OnBackend(ByteView in, Output& out) {
  Step step;
  while (step.verdict == Verdict::kContinue && request_.ask == DataAsk::kNone &&
         step.consumed < in.size()) {
    if (out.client.room() < kRoomForPiece) break;
    const ByteView rest = in.subspan(step.consumed);
    const bool more = IsAtStart() ? ReadReply(rest, step, out) : ReadRestOfReply(rest, step, out);
    if (!more) break;
  }
  return step;
}

bool FtpControl::ReadReply(ByteView rest, Step& step, Output& out) {
  const LongLines::Piece piece = server_lines_.Look(rest);
  if (piece.status == LongLines::Status::kNeedMore) return false;
  FtpReplyLine line = ParseFtpReplyLine(piece.text, reply_code_);
  line.cut = !piece.whole();
  const bool broken = piece.status == LongLines::Status::kBroken;
  if (broken || line.code == 0) {
    AbortMisplaced(broken ? Misplaced::kOctets : Misplaced::kLine, 0, step, out);
    return false;
  }
  const bool awaited = greeted_ && !queue_.empty();
  if (awaited && line.first && fate_ != Fate::kHeld) Align(line, step, out);
  fate_ = awaited && MustHold(line) ? Fate::kHeld : Fate::kNone;
  if (fate_ == Fate::kHeld) return false;
  reply_code_ = line.last ? 0 : line.code;
  line_ = line;
  line_.text = {};
  fate_ = Judge(line, step, out);
  return true;
}

bool FtpControl::ReadRestOfReply(ByteView rest, Step& step, Output& out) {
  const bool pass = fate_ == Fate::kPass;
  const LongLines::Piece piece =
      pass ? server_lines_.Next(rest, out.client.room() - kRoomForReply) : server_lines_.Next(rest);
  step.consumed += piece.consumed;
  const bool is_piece = piece.status == LongLines::Status::kPiece;
  if (pass && is_piece) open_line_.Give({piece.text}, piece.last, out.client);
  if (!pass && !greeted_) swallowed_ += piece.consumed;
  if (swallowed_ > kFtpMaxGreeting) {
    Abort(EndReason::kBackendTooLong, "The server's greeting is longer than this gateway allows",
          step, out);
  } else if (piece.status == LongLines::Status::kBroken) {
    AbortMisplaced(Misplaced::kOctets, 0, step, out);
  } else if (piece.last) {
    fate_ = Fate::kNone;
    OnLineOver(step, out);
  }
  return piece.consumed > 0;
}

FtpControl::Fate FtpControl::Judge(const FtpReplyLine& line, Step& step, Output& out) {
  Fate fate = Fate::kPass;
  if (!greeted_) {
    const bool welcome = line.code == kFtpReady || line.preliminary();
    if (welcome && !passes_greeting_) fate = Fate::kDrop;
    if (IsPassiveCode(line.code)) fate = Fate::kDrop;
    if (line.first && IsPassiveCode(line.code)) NoteDiversion(step);
  } else if (queue_.empty()) {
    fate = JudgeUnasked(line, step, out);
  } else {
    fate = JudgeReply(line, step, out);
  }
  // Inside a reply this is not a reply, but a client may take it for one.
  if (fate == Fate::kPass && !line.first && !line.last && NamesDataAddress(line.text, line.cut)) {
    NoteDiversion(step);
    Say(out.client, {" (an address of the server's)\r\n"});
    fate = Fate::kDrop;
  }
  return fate;
}

// A server may say only one thing unasked: that it closes (RFC 959 section 5.4).
FtpControl::Fate FtpControl::JudgeUnasked(const FtpReplyLine& line, Step& step, Output& out) {
  answer_.replaced = false;
  if (line.code == kFtpClosing) return Fate::kPass;
  AbortMisplaced(Misplaced::kLine, static_cast<uint16_t>(line.code), step, out);
  return Fate::kDrop;
}

Awaited FtpControl::awaited() const {
  if (!greeted_) return Awaited::kGreeting;
  return queue_.empty() ? Awaited::kNothing : Awaited::kReply;
}

void FtpControl::AbortMisplaced(Misplaced what, uint16_t code, Step& step, Output& out) {
  EndLine(out.client);
  Say(out.client, {"421 Server broken, try again later\r\n"});
  CloseMisplaced(step, awaited(), what, code);
}

FtpControl::Fate FtpControl::JudgeReply(const FtpReplyLine& line, Step& step, Output& out) {
  if (line.first) {
    answer_ = {.replaced = MustReplace(line)};
    if (answer_.replaced && IsPassiveCode(line.code)) NoteDiversion(step);
  }
  if (answer_.replaced) return Fate::kDrop;
  if (IsPassiveHead() && line.ok()) {
    LookForPort(line);
    return Fate::kDrop;
  }
  const bool features = queue_.head() == Due::kFeat || doubted_ == Due::kFeat;
  if (features && line.code == kFtpFeatures) return JudgeFeature(line, out);
  return Fate::kPass;
}

FtpControl::Fate FtpControl::JudgeFeature(const FtpReplyLine& line, Output& out) {
  if (line.first && line.last) {
    Say(out.client, {"211-Features:\r\n", kOwnFeatures, "211 End\r\n"});
    return Fate::kDrop;
  }
  if (line.last) Say(out.client, {kOwnFeatures});
  const bool foreign = !line.first && !line.last && IsForeignFeature(line.text);
  return foreign ? Fate::kDrop : Fate::kPass;
}

void FtpControl::OnLineOver(Step& step, Output& out) {
  const FtpReplyLine line = line_;
  if (!line.last) return;
  if (line.code == kFtpClosing) {
    step.reply = kFtpClosing;
    return Close(step, greeted_ ? EndReason::kBackendClosed : EndReason::kBackendRefused);
  }
  if (greeted_) return OnReplyOver(line, step, out);
  if (line.preliminary()) return;
  greeted_ = line.code == kFtpReady;
  if (!greeted_) {
    step.reply = static_cast<uint16_t>(line.code);
    return Close(step, EndReason::kBackendRefused);
  }
  step.verdict = Verdict::kReadInside;
  step.established = true;
}

// A transfer has succeeded only if its data channel has. Backends also say 226 when the
// client could not read anything.
bool FtpControl::MustHold(const FtpReplyLine& line) const {
  return queue_.TransferIsHead() && line.ok() && data_.channel == Channel::kOpen;
}

// A reply that tells the client where to connect must answer the command that asked for it,
// and the gateway then writes it anew. Otherwise the client gets another reply instead.
bool FtpControl::MustReplace(const FtpReplyLine& line) const {
  switch (queue_.head()) {
    case Due::kPasv:
    case Due::kEpsv: {
      const int wanted = queue_.head() == Due::kPasv ? kFtpPassive : kFtpExtendedPassive;
      const bool refusal = line.code / 100 == 4 || line.code / 100 == 5;
      return !refusal && line.code != wanted;
    }
    case Due::kRetrieve:
    case Due::kStore:
      if (!line.ok()) break;
      if (data_.channel != Channel::kOver || data_.outcome != DataOutcome::kWhole) return true;
      break;
    case Due::kAborted:
      if (line.ok()) return true;
      break;
    default:
      break;
  }
  return IsPassiveCode(line.code);
}

void FtpControl::LookForPort(const FtpReplyLine& line) {
  answer_.cut |= line.cut;
  if (answer_.port != 0 || line.cut) return;
  const auto port = queue_.head() == Due::kPasv ? PortOf227(line.text) : PortOf229(line.text);
  answer_.port = port.value_or(0);
}

void FtpControl::Align(const FtpReplyLine& line, Step& step, Output& out) {
  for (uint8_t skip = queue_.Align(line.code); skip > 0; --skip) {
    if (queue_.head() == Due::kOwn) {
      SayOwn(static_cast<Own>(*queue_.TakeOwnAtHead()), out);
      continue;
    }
    if (!queue_.HeadIsDoubtful()) ForgetSetup(queue_.head());
    if (queue_.TransferIsHead()) DropChannel(line, step);
    queue_.Skip();
  }
  Flush(out);
  doubted_ = queue_.Doubt(line.code);
  if (doubted_) ForgetSetup(*doubted_);
}

// A server may have accepted PORT without a reply, so the gateway keeps listening for it.
void FtpControl::ForgetSetup(Due due) {
  const bool passive = due == Due::kPasv || due == Due::kEpsv;
  if (passive) data_.channel = Channel::kNone;
  if (passive || due == Due::kPort) data_.setup = Setup::kNone;
}

void FtpControl::OnReplyOver(const FtpReplyLine& line, Step& step, Output& out) {
  if (IsPassiveHead() && line.ok() && !answer_.replaced) {
    if (answer_.port != 0) {
      data_.setup = Setup::kPassive;
      request_ = {.ask = DataAsk::kFromClient, .port = answer_.port};
      return;
    }
    answer_.replaced = true;
  }
  if (line.preliminary()) {
    if (!queue_.TransferIsHead()) return;
    queue_.Begin();
    if (data_.channel == Channel::kOver && data_.held) Drop();
    return;
  }
  if (answer_.replaced) SayInstead(out);
  logged_in_ |= line.code == kFtpLoggedIn || line.code == kFtpLoggedInBySecurityData;
  Settle(line, step);
  Pop(out);
}

void FtpControl::SayInstead(Output& out) {
  const bool transfer = queue_.TransferIsHead() && data_.channel == Channel::kOver;
  if (queue_.head() == Due::kAborted) return SayOwn(Own::kDataCut, out);
  if (IsPassiveHead()) return SayOwn(answer_.cut ? Own::kReplyTooLong : Own::kCannotOpen, out);
  if (!queue_.TransferIsHead()) return SayOwn(Own::kMisplaced, out);
  if (!transfer || data_.outcome == DataOutcome::kNotMade) return SayOwn(Own::kCannotOpen, out);
  if (data_.outcome == DataOutcome::kTlsFailed) return SayOwn(Own::kDataTls, out);
  SayOwn(data_.outcome == DataOutcome::kWhole ? Own::kMisplaced : Own::kDataCut, out);
}

void FtpControl::Settle(const FtpReplyLine& line, Step& step) {
  const bool failed = answer_.replaced || !line.ok();
  switch (queue_.head()) {
    case Due::kPasv:
    case Due::kEpsv:
    case Due::kPort:
      // ForgetSetup() was called when the command became doubtful, and `data_.setup` may
      // belong to a later command.
      if (queue_.HeadIsDoubtful()) return;
      data_.setup = Setup::kNone;
      if (!failed) return;
      return DropChannel(line, step);
    case Due::kRetrieve:
    case Due::kStore:
      DropChannel(line, step);
      if (quitting_) Close(step, EndReason::kClientClosed);
      return;
    case Due::kAbor:
      // Nothing more needs to come for the transfer. A doubtful ABOR belongs to an earlier
      // one.
      if (!queue_.transfer() || failed || queue_.HeadIsDoubtful()) return;
      queue_.GiveUpTransfer();
      return DropChannel(line, step);
    case Due::kQuit:
      // A transfer in progress still gets its result (RFC 959 section 4.1.1).
      if (line.code != kFtpGoodbye) return;
      quitting_ = queue_.transfer();
      if (!quitting_) Close(step, EndReason::kClientClosed);
      return;
    default:
      return;
  }
}

void FtpControl::DropChannel(const FtpReplyLine& line, Step& step) {
  data_.channel = Channel::kNone;
  if (!data_.held) return;
  Drop();
  step.reply = request_.reply = static_cast<uint16_t>(line.code);
}

}  // namespace starling
