// FTP's control connection inside TLS, read on both sides to its end (RFC 959, 2389,
// 2428, 4217): which reply belongs to which command, where a data channel is wanted, and
// what its end means for the reply. A data channel always speaks TLS with the client.
//
// Commands wait for their replies in one bounded queue (ftp_queue.h); replies of the gateway's
// own stand among them, so the client reads all in order. There is one data channel at a time:
// what would make another waits, unread, until the transfer before it is over.
//
// A line is judged by its beginning, and what may be passed on of it follows piece by piece,
// however long it is. Two things are never passed on: a second data channel's command while
// one is in use, and a reply that tells the client to connect to anything but the gateway.
//
// Not for: the sockets of the data channel (gateway/session/data_channel.h), or what comes
// before TLS (ftp.cc).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "protocols/contract/data_channel.h"
#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/frames/open_line.h"
#include "protocols/ftp/ftp_queue.h"
#include "protocols/ftp/ftp_wire.h"

namespace starling {

class FtpControl {
 public:
  // `options` outlives it.
  explicit FtpControl(const DialogueOptions& options);

  // On the fresh leg. `greets`: the client has had no greeting (implicit TLS), and what it
  // sends by default is private.
  void Open(const Endpoint& client, bool greets);
  Step OnClient(ByteView in, Output& out);
  Step OnBackend(ByteView in, Output& out);
  DataRequest TakeDataRequest() { return std::exchange(request_, {}); }
  Step OnData(const DataNews& news, Output& out);
  // The client may be read.
  bool greeted() const { return greeted_; }
  // The server has said goodbye already; it closes when the transfer is over.
  bool quitting() const { return quitting_; }
  // To be called before the gateway's own last word, which may come amid a line of the
  // server: ends that line.
  void EndLine(Writer& out) { open_line_.End(out); }

 private:
  using Due = FtpQueue::Due;
  using Own = FtpReply;
  // What becomes of the rest of a line whose beginning has been judged.
  enum class Fate : uint8_t {
    kNone,  // no line has been begun
    kHeld,  // of the server: it has been judged, and waits for the data channel
    kPass,
    kDrop,
  };
  enum class Channel : uint8_t {
    kNone,
    kComing,  // PASV or EPSV was passed on
    kOpen,    // the session has it
    kOver,    // as `outcome_` says; its transfer's reply is still due
  };
  // What of PASV, EPSV, PORT or EPRT is to come yet.
  enum class Setup : uint8_t {
    kNone,
    kReply,    // the backend's reply
    kPassive,  // OnData, and then the reply to the client
    kActive,   // OnData, and then the command to the backend
  };

  // The data channel, and the commands about it.
  struct Data {
    Setup setup = Setup::kNone;
    Channel channel = Channel::kNone;
    DataOutcome outcome = DataOutcome::kWhole;  // with kOver
    bool held = false;                          // the session has a channel
  };
  // The server's reply to the command at the head of the queue.
  struct Answer {
    uint16_t port = 0;      // that it names, if it answers PASV or EPSV
    bool replaced = false;  // the client gets another in its place
    bool cut = false;       // a line of it is too long to look for a port
  };

  // A line of the client. False: it cannot be read now, or not at all.
  bool ReadCommand(ByteView rest, Step& step, Output& out);
  bool ReadRestOfCommand(ByteView rest, Step& step, Output& out);
  void OnCommand(const FtpCommand& command, Output& out);
  bool MustWait(FtpVerb verb) const;
  // The place in which the reply to this command waits; the strictest that it may need.
  static Due PlaceFor(const FtpCommand& command);
  bool HasRoom(Due due, Output& out);
  void Pass(Due due, const FtpCommand& command, Output& out);
  void Reply(Own own, Output& out);
  void OnPassive(const FtpCommand& command, Output& out);
  void OnActive(const FtpCommand& command, Output& out);
  void OnTransfer(const FtpCommand& command, Output& out);
  void OnAbort(const FtpCommand& command, Output& out);
  void OnDataOver(DataOutcome outcome);
  void OnPbsz(std::string_view argument, Output& out);
  void OnProt(std::string_view argument, Output& out);
  static void SayOwn(Own own, Output& out);
  void SayPassive(const Endpoint& address, Output& out);
  void Drop();

  // A line of the backend: what becomes of it, by its beginning ...
  bool IsAtStart() const { return fate_ == Fate::kNone || fate_ == Fate::kHeld; }
  bool ReadReply(ByteView rest, Step& step, Output& out);
  bool ReadRestOfReply(ByteView rest, Step& step, Output& out);
  Fate Judge(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeUnasked(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeReply(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeFeature(const FtpReplyLine& line, Output& out);
  bool MustReplace(const FtpReplyLine& line) const;
  void LookForPort(const FtpReplyLine& line);
  // ... and, when it is over, what it leads to.
  void OnLineOver(Step& step, Output& out);
  void OnReplyOver(const FtpReplyLine& line, Step& step, Output& out);
  void SayInstead(Output& out);
  // The reply at the head has been passed on.
  void Settle(const FtpReplyLine& line, Step& step);
  void DropChannel(const FtpReplyLine& line, Step& step);
  bool MustHold(const FtpReplyLine& line) const;
  void Align(const FtpReplyLine& line, Step& step, Output& out);
  // Nothing waits any longer for the reply to this command, if it sets up a channel.
  void ForgetSetup(Due due);

  bool IsPassiveHead() const {
    return !queue_.empty() && (queue_.head() == Due::kPasv || queue_.head() == Due::kEpsv);
  }
  void Pop(Output& out);
  // Gives those of the gateway's own that have come to the head.
  void Flush(Output& out);
  void FlushBehindDoubtful(Output& out);
  // No reply of the server's is due for certain, or under way.
  bool IsOwedNothing() const;
  void Abort(EndReason reason, std::string_view text, Step& step, Output& out);
  // The same where the server has said what may not come.
  void AbortMisplaced(Misplaced what, uint16_t code, Step& step, Output& out);
  Awaited awaited() const;

  LongLines client_lines_;
  LongLines server_lines_{kFtpMaxLine, /*accept_bare_lf=*/true, /*tail=*/0};
  FtpQueue queue_;
  OpenLine open_line_;  // of the server: what the client has of the line at hand
  FtpReplyLine line_;   // the backend's at hand; its text is gone
  // The command that the reply at hand may answer instead of the doubtful one at the head.
  std::optional<Due> doubted_;
  Endpoint client_;
  Data data_;
  Answer answer_;
  DataRequest request_;      // not taken yet
  size_t swallowed_ = 0;     // octets of a greeting
  int reply_code_ = 0;       // of the server's reply whose lines are still to come; 0: none are
  Fate fate_ = Fate::kNone;  // of the line at hand
  Fate client_fate_ = Fate::kNone;
  bool greeted_ = false;  // the backend's greeting is over
  bool passes_greeting_ = false;
  bool quitting_ = false;
  bool logged_in_ = false;    // once at least
  bool buffer_size_ = false;  // PBSZ has come
  bool private_ = false;      // PROT P
  bool epsv_only_ = false;    // EPSV ALL
};

// Words for a refusal: RFC 959's 421 ends the control connection.
void RefuseFtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
