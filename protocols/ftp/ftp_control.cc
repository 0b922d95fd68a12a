#include "protocols/ftp/ftp_control.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <utility>

#include "protocols/frames/dialogue.h"

namespace starling {

namespace {

// What one command writes at once, but a long argument, which is written piece by piece.
constexpr size_t kRoomForCommand = 1'024;
static_assert(kFtpMaxVerb + kFtpMaxOwnArgument + 3 <= kRoomForCommand &&
              LongLines::kMinRoom <= kRoomForCommand && kRoomForCommand <= kMinOutputRoom);

}  // namespace

FtpControl::FtpControl(const DialogueOptions& options)
    : client_lines_(kFtpMaxLine, options.accept_bare_lf, /*tail=*/0) {}

void FtpControl::Open(const Endpoint& client, bool greets) {
  client_ = client;
  passes_greeting_ = private_ = buffer_size_ = greets;
}

void FtpControl::Abort(EndReason reason, std::string_view text, Step& step, Output& out) {
  EndLine(out.client);
  Say(out.client, {"421 ", text, "\r\n"});
  Close(step, reason);
}

// --- the client's side ---

Step FtpControl::OnClient(ByteView in, Output& out) {
  Step step;
  if (!greeted_) return step;  // the server must greet first
  while (step.verdict == Verdict::kContinue && request_.ask == DataAsk::kNone &&
         step.consumed < in.size()) {
    if (out.client.room() < kReplyRoom || out.backend.room() < kRoomForCommand) break;
    const ByteView rest = in.subspan(step.consumed);
    const bool more = client_fate_ == Fate::kNone ? ReadCommand(rest, step, out)
                                                  : ReadRestOfCommand(rest, step, out);
    if (!more) break;
  }
  return step;
}

bool FtpControl::ReadCommand(ByteView rest, Step& step, Output& out) {
  const LongLines::Piece line = client_lines_.Look(rest);
  if (line.status == LongLines::Status::kNeedMore) return false;
  if (line.status == LongLines::Status::kBroken) {
    Abort(EndReason::kBadOctet, FaultOf(line.fault), step, out);
    return false;
  }
  if (!line.whole()) {
    if (!HasRoom(Due::kOwn, out)) return false;
    // The server gets no line before the gateway has seen its end. A server that gave up in
    // the middle of a line would take the rest for a command that the gateway has not
    // judged.
    Reply(Own::kLineTooLong, out);
    client_fate_ = Fate::kDrop;
    return true;
  }
  const std::string_view text = line.text;
  const FtpCommand command = ParseFtpCommand(text);
  if (MustWait(command.verb) || !HasRoom(PlaceFor(command), out)) return false;
  // A long line goes to the server only when the server has read everything before it, so
  // that the line arrives in one piece. Some servers (pyftpdlib) give up in the middle of a
  // line that comes in several.
  if (line.consumed > kFtpMaxShared && !queue_.OnlyDoubtful()) return false;
  OnCommand(command, out);
  if (client_fate_ == Fate::kPass) {
    client_lines_.TakeBeginning();
    step.consumed += static_cast<size_t>(command.argument.data() - text.data());
  } else {
    step.consumed += line.consumed;
  }
  return true;
}

bool FtpControl::ReadRestOfCommand(ByteView rest, Step& step, Output& out) {
  const bool pass = client_fate_ == Fate::kPass;
  const LongLines::Piece piece =
      pass ? client_lines_.Next(rest, out.backend.room()) : client_lines_.Next(rest);
  step.consumed += piece.consumed;
  if (pass) Say(out.backend, {piece.text});
  if (piece.status == LongLines::Status::kBroken) {
    Abort(EndReason::kBadOctet, FaultOf(piece.fault), step, out);
  } else if (piece.last) {
    if (pass) Say(out.backend, {"\r\n"});
    client_fate_ = Fate::kNone;
  }
  return piece.consumed > 0;
}

FtpQueue::Due FtpControl::PlaceFor(const FtpCommand& command) {
  const bool acted_on = command.argument.size() <= kFtpMaxOwnArgument;
  if (command.verb == FtpVerb::kOther) return Due::kAny;
  if (command.verb == FtpVerb::kNoop) return Due::kNoop;
  if (command.verb == FtpVerb::kAbor && acted_on) return Due::kAbor;
  if (command.verb == FtpVerb::kQuit && acted_on) return Due::kQuit;
  return Due::kOwn;
}

bool FtpControl::HasRoom(Due due, Output& out) {
  if (!queue_.HasRoom(due) && IsOwedNothing()) {
    FlushBehindDoubtful(out);
    queue_.MergeDoubtful();
  }
  return queue_.HasRoom(due);
}

// There is one data channel at a time. The gateway binds its transfer to it when it reads
// the command.
bool FtpControl::MustWait(FtpVerb verb) const {
  switch (TraitsOf(verb).waits) {
    case FtpVerbTraits::Waits::kForNothing:
      return false;
    case FtpVerbTraits::Waits::kForLogInAndChannel:
      // Log-in may be in progress.
      if (!logged_in_ && !queue_.empty()) return true;
      [[fallthrough]];
    case FtpVerbTraits::Waits::kForChannel:
      return queue_.transfer() || data_.setup != Setup::kNone;
    case FtpVerbTraits::Waits::kForTransfer:
      return queue_.transfer();
  }
  return false;
}

void FtpControl::OnCommand(const FtpCommand& command, Output& out) {
  if (!TraitsOf(command.verb).streams && command.argument.size() > kFtpMaxOwnArgument) {
    return Reply(Own::kLineTooLong, out);
  }
  switch (command.verb) {
    case FtpVerb::kUnknown:
      return Reply(Own::kUnknown, out);
    case FtpVerb::kOther:
      return Pass(Due::kAny, command, out);
    case FtpVerb::kNoop:
      return Pass(Due::kNoop, command, out);
    case FtpVerb::kRetrieve:
    case FtpVerb::kStore:
      return OnTransfer(command, out);
    case FtpVerb::kAbor:
      return OnAbort(command, out);
    case FtpVerb::kQuit:
      return Pass(Due::kQuit, command, out);
    case FtpVerb::kFeat:
      return Pass(Due::kFeat, command, out);
    case FtpVerb::kPasv:
    case FtpVerb::kEpsv:
      return OnPassive(command, out);
    case FtpVerb::kPort:
    case FtpVerb::kEprt:
      return OnActive(command, out);
    case FtpVerb::kMode:
      // In block and compressed mode, the end of a file is not the end of the connection.
      if (EqualsIgnoreCase(command.argument, "B") || EqualsIgnoreCase(command.argument, "C")) {
        return Reply(Own::kOtherMode, out);
      }
      return Pass(Due::kAny, command, out);
    case FtpVerb::kAuth:
      return Reply(Own::kTlsActive, out);
    case FtpVerb::kPbsz:
      return OnPbsz(command.argument, out);
    case FtpVerb::kProt:
      return OnProt(command.argument, out);
    case FtpVerb::kCcc:
      return Reply(Own::kNoClear, out);
    case FtpVerb::kRefused:
      return Reply(Own::kNotHere, out);
  }
}

void FtpControl::OnPbsz(std::string_view argument, Output& out) {
  const bool digits = IsNumber(argument);
  buffer_size_ |= digits;
  Reply(digits ? Own::kPbsz : Own::kPbszBad, out);
}

void FtpControl::OnProt(std::string_view argument, Output& out) {
  if (!buffer_size_) return Reply(Own::kPbszFirst, out);
  if (EqualsIgnoreCase(argument, "P")) {
    private_ = true;
    Reply(Own::kPrivate, out);
  } else if (EqualsIgnoreCase(argument, "C")) {
    private_ = false;
    Reply(Own::kClear, out);
  } else if (EqualsIgnoreCase(argument, "S") || EqualsIgnoreCase(argument, "E")) {
    Reply(Own::kOtherLevel, out);
  } else {
    Reply(Own::kUnknownLevel, out);
  }
}

void FtpControl::OnPassive(const FtpCommand& command, Output& out) {
  const bool v4 = client_.family == Endpoint::Family::kV4;
  FtpCommand passed = command;
  if (command.verb == FtpVerb::kPasv) {
    if (epsv_only_) return Reply(Own::kAfterEpsvAll, out);
    if (!v4) return Reply(Own::kUseEpsv, out);
  } else if (EqualsIgnoreCase(command.argument, "ALL")) {
    epsv_only_ = true;
    return Reply(Own::kEpsvAll, out);
  } else if (!command.argument.empty() && command.argument != (v4 ? "1" : "2")) {
    return Reply(v4 ? Own::kUseV4 : Own::kUseV6, out);
  } else {
    // The backend may be reached by another protocol than the client asks for.
    passed.argument = {};
  }
  queue_.GiveUpTransfer();
  data_.setup = Setup::kReply;
  data_.channel = Channel::kComing;
  Pass(command.verb == FtpVerb::kPasv ? Due::kPasv : Due::kEpsv, passed, out);
}

void FtpControl::OnActive(const FtpCommand& command, Output& out) {
  if (epsv_only_) return Reply(Own::kAfterEpsvAll, out);
  // Servers demand log-in, too, before a PASV makes them listen.
  if (!logged_in_) return Reply(Own::kLogInFirst, out);
  const auto address =
      command.verb == FtpVerb::kPort ? ParsePort(command.argument) : ParseEprt(command.argument);
  if (!address) return Reply(Own::kSyntax, out);
  if (!SameHost(*address, client_) || address->port < kFtpLeastPort) {
    return Reply(Own::kForeign, out);
  }
  queue_.GiveUpTransfer();
  data_.setup = Setup::kActive;
  request_ = {.ask = DataAsk::kFromServer, .port = address->port};
}

void FtpControl::OnTransfer(const FtpCommand& command, Output& out) {
  const bool usable = data_.channel == Channel::kComing || data_.channel == Channel::kOpen;
  if (!private_) return Reply(Own::kProtFirst, out);
  if (!usable) {
    data_.channel = Channel::kNone;
    return Reply(Own::kNoChannel, out);
  }
  queue_.GiveUpTransfer();
  Pass(command.verb == FtpVerb::kStore ? Due::kStore : Due::kRetrieve, command, out);
}

// ABOR must not overtake anything: the backend has the transfer already.
void FtpControl::OnAbort(const FtpCommand& command, Output& out) {
  Pass(Due::kAbor, command, out);
  if (!queue_.transfer() || !data_.held) return;
  data_.channel = Channel::kOver;
  data_.outcome = DataOutcome::kCut;
  Drop();
}

// The gateway passes a command on with one space before its argument, so that the backend
// reads the same command as the gateway.
void FtpControl::Pass(Due due, const FtpCommand& command, Output& out) {
  queue_.Push(due);
  if (command.argument.empty()) {
    Say(out.backend, {command.word, "\r\n"});
  } else if (!command.blanks_count && command.argument.size() <= kFtpMaxOwnArgument) {
    Say(out.backend, {command.word, " ", command.argument, "\r\n"});
  } else {
    Say(out.backend, {command.word, " "});
    client_fate_ = Fate::kPass;
  }
}

void FtpControl::Reply(Own own, Output& out) {
  if (!IsOwedNothing()) return queue_.PushOwn(static_cast<uint8_t>(own));
  FlushBehindDoubtful(out);
  SayOwn(own, out);
}

bool FtpControl::IsOwedNothing() const {
  const bool amid_reply = fate_ != Fate::kNone || reply_code_ != 0;
  return !amid_reply && queue_.OnlyDoubtful();
}

void FtpControl::FlushBehindDoubtful(Output& out) {
  while (const auto own = queue_.TakeOwnBehindDoubtful()) SayOwn(static_cast<Own>(*own), out);
}

void FtpControl::SayOwn(Own own, Output& out) { Say(out.client, {Text(own)}); }

void FtpControl::Drop() {
  data_.held = false;
  request_ = {.ask = DataAsk::kDrop};
}

void FtpControl::Pop(Output& out) {
  queue_.Pop();
  Flush(out);
  // That may have been the last reply that the server owed.
  if (std::exchange(doubted_, std::nullopt)) FlushBehindDoubtful(out);
}

void FtpControl::Flush(Output& out) {
  while (const auto own = queue_.TakeOwnAtHead()) SayOwn(static_cast<Own>(*own), out);
}

// --- the data channel ---

Step FtpControl::OnData(const DataNews& news, Output& out) {
  Step step;
  const Setup setup = std::exchange(data_.setup, Setup::kNone);
  // News of a channel comes only if the dialogue has asked for one, and at once.
  assert(news.ready_at == nullptr || setup == Setup::kPassive || setup == Setup::kActive);
  assert(setup != Setup::kPassive || IsPassiveHead());
  data_.held = news.ready_at != nullptr;
  if (setup == Setup::kPassive) {
    data_.channel = data_.held ? Channel::kOpen : Channel::kNone;
    data_.held ? SayPassive(*news.ready_at, out) : SayOwn(Own::kCannotOpen, out);
    Pop(out);
  } else if (setup == Setup::kActive && data_.held) {
    data_.channel = Channel::kOpen;
    data_.setup = Setup::kReply;
    SayPortCommand(*news.ready_at, out.backend);
    queue_.Push(Due::kPort);
  } else if (setup == Setup::kActive) {
    data_.channel = Channel::kNone;
    Reply(Own::kCannotOpen, out);
  } else {
    // This is about an earlier channel, whose successor may be opening.
    data_.setup = setup;
    OnDataOver(news.outcome);
  }
  return step;
}

// If a transfer was broken off, the session keeps the server's side until the server has
// looked at it. Its first reply to the transfer shows that.
void FtpControl::OnDataOver(DataOutcome outcome) {
  const bool bound = data_.channel == Channel::kOpen;
  if (bound) {
    data_.channel = Channel::kOver;
    data_.outcome = outcome;
  }
  if (outcome == DataOutcome::kWhole) return;
  data_.held = bound && queue_.transfer() && !queue_.begun();
  if (!data_.held) Drop();
}

void FtpControl::SayPassive(const Endpoint& address, Output& out) {
  if (queue_.head() == Due::kPasv) {
    Say(out.client, {"227 Entering Passive Mode ("});
    SayHostPort(address, out.client);
    return Say(out.client, {").\r\n"});
  }
  std::array<char, 8> port{};
  std::to_chars(port.data(), port.data() + port.size() - 1, address.port);
  Say(out.client, {"229 Entering Extended Passive Mode (|||", port.data(), "|)\r\n"});
}

// 421 ends the control connection, whatever it answers (RFC 959 section 5.4).
void RefuseFtp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  std::string_view text = TextOf(refusal);
  if (refusal == Refusal::kTimeout) text = "Timeout, closing control connection";
  if (refusal == Refusal::kShutdown) text = "Server shutting down, closing control connection";
  Say(out, {"421 ", text, "\r\n"});
}

}  // namespace starling
