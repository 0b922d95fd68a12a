#include "protocols/ftp_control.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "protocols/dialogue.h"

namespace starling {

namespace {

constexpr std::array<std::string_view, 25> kOwnReplies = {
    "200 PBSZ=0\r\n",
    "501 PBSZ takes a number\r\n",
    "503 PBSZ first\r\n",
    "200 Data is private\r\n",
    "200 Data is clear: no transfer without PROT P\r\n",
    "536 Use PROT P\r\n",
    "504 Unknown protection\r\n",
    "503 TLS is active already\r\n",
    "534 The control connection stays protected\r\n",
    "502 Not available here\r\n",
    "200 EPSV ALL\r\n",
    "503 Only EPSV after EPSV ALL\r\n",
    "521 PROT P first\r\n",
    "425 Use PASV, EPSV, PORT or EPRT first\r\n",
    "425 PASV is for IPv4, use EPSV\r\n",
    "425 Cannot open a data connection\r\n",
    "501 Syntax error\r\n",
    "504 Only your own address, and a port from 1024 on\r\n",
    "522 Network protocol not supported, use (1)\r\n",
    "522 Network protocol not supported, use (2)\r\n",
    "500 Unknown command\r\n",
    "504 A file ends with its connection here\r\n",
    "530 Log in first\r\n",
    "522 TLS on the data connection failed\r\n",
    "426 Data connection closed, transfer aborted\r\n",
};

static_assert(std::ranges::all_of(kOwnReplies, [](std::string_view text) {
  return text.size() <= kFtpMaxOwnReply;
}));

}  // namespace

FtpControl::FtpControl(const DialogueOptions& options)
    : client_lines_(std::min<size_t>(options.max_line, kMinOutputRoom - 1),
                    options.accept_bare_lf) {}

void FtpControl::Open(const Endpoint& client, bool greets) {
  client_ = client;
  passes_greeting_ = private_ = buffer_size_ = greets;
}

void FtpControl::Abort(EndReason reason, std::string_view text, Step& step, Output& out) {
  Say(out.client, {"421 ", text, "\r\n"});
  Close(step, reason);
}

// --- the client's side ---

Step FtpControl::OnClient(ByteView in, Output& out) {
  Step step;
  if (!greeted_) return step;  // it is not asked before
  while (step.verdict == Verdict::kContinue && step.data == DataAsk::kNone &&
         step.consumed < in.size()) {
    if (size_ == queue_.size() || own_ == kFtpMaxOwnOutstanding) break;
    if (out.client.room() < kReplyRoom || out.backend.room() < kMinOutputRoom) break;
    const LineReader::Line line = client_lines_.Next(in.subspan(step.consumed));
    if (line.status == LineReader::Status::kNeedMore) break;
    if (line.status == LineReader::Status::kTooLong) {
      Abort(EndReason::kLineTooLong, "Line too long", step, out);
      break;
    }
    if (line.status != LineReader::Status::kLine) {
      Abort(EndReason::kBadOctet, "Octet not allowed", step, out);
      break;
    }
    const std::string_view text = StripTelnet(line.text);
    if (MustWait(FindFtpVerb(text.substr(0, text.find(' '))))) break;
    step.consumed += line.consumed;
    OnCommand(text, step, out);
  }
  return step;
}

// One data channel at a time, and its transfer is bound to it when the command is read.
bool FtpControl::MustWait(FtpVerb verb) const {
  switch (verb) {
    case FtpVerb::kPort:
    case FtpVerb::kEprt:
      // Log-in may be under way.
      if (!logged_in_ && size_ > 0) return true;
      [[fallthrough]];
    case FtpVerb::kPasv:
    case FtpVerb::kEpsv:
      return transfer_ || setup_ != Setup::kNone;
    case FtpVerb::kTransfer:
      return transfer_;
    default:
      return false;
  }
}

void FtpControl::OnCommand(std::string_view line, Step& step, Output& out) {
  std::string_view argument = line;
  const FtpVerb verb = FindFtpVerb(TakeWord(argument));
  switch (verb) {
    case FtpVerb::kUnknown:
      return Reply(Own::kUnknown, out);
    case FtpVerb::kOther:
      return Pass(Due::kAny, line, out);
    case FtpVerb::kTransfer:
      return OnTransfer(line, out);
    case FtpVerb::kAbor:
      // It must overtake nothing: the backend has the transfer already.
      Pass(Due::kAny, line, out);
      if (transfer_ && held_) {
        channel_ = Channel::kOver;
        outcome_ = DataOutcome::kCut;
        Drop(step);
      }
      return;
    case FtpVerb::kQuit:
      return Pass(Due::kQuit, line, out);
    case FtpVerb::kFeat:
      return Pass(Due::kFeat, line, out);
    case FtpVerb::kPasv:
    case FtpVerb::kEpsv:
      return OnPassive(verb, line, argument, out);
    case FtpVerb::kPort:
    case FtpVerb::kEprt:
      return OnActive(verb, argument, step, out);
    case FtpVerb::kMode:
      // In block and compressed mode a file's end is not the connection's.
      if (EqualsIgnoreCase(argument, "B") || EqualsIgnoreCase(argument, "C")) {
        return Reply(Own::kOtherMode, out);
      }
      return Pass(Due::kAny, line, out);
    case FtpVerb::kAuth:
      return Reply(Own::kTlsActive, out);
    case FtpVerb::kPbsz: {
      const bool digits = !argument.empty() && std::ranges::all_of(argument, [](char c) {
        return c >= '0' && c <= '9';
      });
      buffer_size_ |= digits;
      return Reply(digits ? Own::kPbsz : Own::kPbszBad, out);
    }
    case FtpVerb::kProt:
      return OnProt(argument, out);
    case FtpVerb::kCcc:
      return Reply(Own::kNoClear, out);
    case FtpVerb::kRefused:
      return Reply(Own::kNotHere, out);
  }
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

void FtpControl::OnPassive(FtpVerb verb, std::string_view line, std::string_view argument,
                           Output& out) {
  const bool v4 = client_.family == Endpoint::Family::kV4;
  if (verb == FtpVerb::kPasv) {
    if (epsv_only_) return Reply(Own::kAfterEpsvAll, out);
    if (!v4) return Reply(Own::kUseEpsv, out);
  } else if (EqualsIgnoreCase(argument, "ALL")) {
    epsv_only_ = true;
    return Reply(Own::kEpsvAll, out);
  } else if (!argument.empty() && argument != (v4 ? "1" : "2")) {
    return Reply(v4 ? Own::kUseV4 : Own::kUseV6, out);
  } else {
    // Which protocol the backend is reached by is another matter.
    line = line.substr(0, line.find(' '));
  }
  setup_ = Setup::kReply;
  channel_ = Channel::kComing;
  Pass(verb == FtpVerb::kPasv ? Due::kPasv : Due::kEpsv, line, out);
}

void FtpControl::OnActive(FtpVerb verb, std::string_view argument, Step& step, Output& out) {
  if (epsv_only_) return Reply(Own::kAfterEpsvAll, out);
  // A server asks for as much before it has PASV cost anything.
  if (!logged_in_) return Reply(Own::kLogInFirst, out);
  const auto address = verb == FtpVerb::kPort ? ParsePort(argument) : ParseEprt(argument);
  if (!address) return Reply(Own::kSyntax, out);
  if (!SameHost(*address, client_) || address->port < kFtpLeastPort) {
    return Reply(Own::kForeign, out);
  }
  setup_ = Setup::kActive;
  step.data = DataAsk::kFromServer;
  step.data_port = address->port;
}

void FtpControl::OnTransfer(std::string_view line, Output& out) {
  const bool usable = channel_ == Channel::kComing || channel_ == Channel::kOpen;
  if (!private_) return Reply(Own::kProtFirst, out);
  if (!usable) {
    channel_ = Channel::kNone;
    return Reply(Own::kNoChannel, out);
  }
  transfer_ = true;
  preliminary_ = false;
  Pass(Due::kTransfer, line, out);
}

void FtpControl::Pass(Due due, std::string_view line, Output& out) {
  Say(out.backend, {line, "\r\n"});
  Push(static_cast<uint8_t>(due));
}

void FtpControl::Reply(Own own, Output& out) {
  if (size_ == 0) return SayOwn(own, out);
  Push(static_cast<uint8_t>(own) | kOwn);
  ++own_;
}

void FtpControl::SayOwn(Own own, Output& out) {
  Say(out.client, {kOwnReplies[static_cast<size_t>(own)]});
}

void FtpControl::Drop(Step& step) {
  held_ = false;
  step.data = DataAsk::kDrop;
}

void FtpControl::Push(uint8_t entry) {
  queue_[(head_ + size_) % queue_.size()] = entry;
  ++size_;
}

void FtpControl::Pop(Output& out) {
  head_ = static_cast<uint8_t>((head_ + 1) % queue_.size());
  --size_;
  Flush(out);
}

void FtpControl::Flush(Output& out) {
  while (size_ > 0 && (queue_[head_] & kOwn) != 0) {
    Say(out.client, {kOwnReplies[queue_[head_] & ~kOwn]});
    --own_;
    head_ = static_cast<uint8_t>((head_ + 1) % queue_.size());
    --size_;
  }
}

// --- the data channel ---

Step FtpControl::OnData(const DataNews& news, Output& out) {
  Step step;
  const Setup setup = std::exchange(setup_, Setup::kNone);
  held_ = news.ready_at != nullptr;
  if (setup == Setup::kPassive) {
    channel_ = held_ ? Channel::kOpen : Channel::kNone;
    held_ ? SayPassive(*news.ready_at, out) : SayOwn(Own::kCannotOpen, out);
    Pop(out);
  } else if (setup == Setup::kActive && held_) {
    channel_ = Channel::kOpen;
    setup_ = Setup::kReply;
    SayPortCommand(*news.ready_at, out.backend);
    Push(static_cast<uint8_t>(Due::kPort));
  } else if (setup == Setup::kActive) {
    channel_ = Channel::kNone;
    Reply(Own::kCannotOpen, out);
  } else {
    // Of one that was there before, and whose successor may be under way.
    setup_ = setup;
    OnDataOver(news.outcome, step);
  }
  return step;
}

// The session keeps the server's side of what was broken off, until the server has
// looked at it: its first reply to the transfer says so.
void FtpControl::OnDataOver(DataOutcome outcome, Step& step) {
  const bool bound = channel_ == Channel::kOpen;
  if (bound) {
    channel_ = Channel::kOver;
    outcome_ = outcome;
  }
  if (outcome == DataOutcome::kWhole) return;
  held_ = bound && transfer_ && !preliminary_;
  if (!held_) Drop(step);
}

void FtpControl::SayPassive(const Endpoint& address, Output& out) {
  if (head() == Due::kPasv) {
    Say(out.client, {"227 Entering Passive Mode ("});
    SayHostPort(address, out.client);
    return Say(out.client, {").\r\n"});
  }
  std::array<char, 8> port{};
  std::to_chars(port.data(), port.data() + port.size() - 1, address.port);
  Say(out.client, {"229 Entering Extended Passive Mode (|||", port.data(), "|)\r\n"});
}

// RFC 959 section 5.4: 421 ends the control connection, whatever was asked.
void RefuseFtp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  switch (refusal) {
    case Refusal::kTooBusy:
      Say(out, {"421 Too many connections, try again later\r\n"});
      break;
    case Refusal::kUnavailable:
      Say(out, {"421 Server not available, try again later\r\n"});
      break;
    case Refusal::kTimeout:
      Say(out, {"421 Timeout, closing control connection\r\n"});
      break;
    case Refusal::kShutdown:
      Say(out, {"421 Server shutting down, closing control connection\r\n"});
      break;
    case Refusal::kTlsExpected:
      Say(out, {"421 TLS is spoken here from the first octet\r\n"});
      break;
  }
}

}  // namespace starling
