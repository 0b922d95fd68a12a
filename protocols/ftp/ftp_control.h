// FTP's control connection inside TLS, read on both sides to its end (RFC 959, 2389, 2428,
// 4217): which reply belongs to which command, when a data channel is wanted, and what the
// channel's end means for the reply. A data channel always speaks TLS with the client.
//
// Commands wait for their replies in one bounded queue (ftp_queue.h), with the gateway's
// own replies among them, so the client reads all of them in order. There is one data
// channel at a time: a command that would make another waits, unread, until the transfer
// before it is over.
//
// The gateway judges a line by its beginning. If the line passes, the rest follows piece by
// piece, whatever its length. Two things never pass: a command for a second data channel
// while one is in use, and a reply that tells the client to connect to anything but the
// gateway.
//
// Not for: the sockets of the data channel (gateway/session/data_channel.h), or the
// dialogue before TLS (ftp.cc).
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
  // `options` must outlive the object.
  explicit FtpControl(const DialogueOptions& options);

  // Begins on the fresh leg. `greets`: the client has had no greeting (implicit TLS), and
  // its data is private by default.
  void Open(const Endpoint& client, bool greets);
  Step OnClient(ByteView in, Output& out);
  Step OnBackend(ByteView in, Output& out);
  DataRequest TakeDataRequest() { return std::exchange(request_, {}); }
  Step OnData(const DataNews& news, Output& out);
  // Whether the server is to say something now. The end of a transfer may be hours away.
  bool IsOwedAnswer() const {
    return greeted_ && !IsOwedNothing() && !queue_.begun() && data_.setup != Setup::kPassive;
  }
  // Whether the gateway may read the client.
  bool greeted() const { return greeted_; }
  // The server has said goodbye. It closes when the transfer is over.
  bool quitting() const { return quitting_; }
  // Call this before the gateway's own last word, which may come in the middle of a
  // server's line. It ends that line.
  void EndLine(Writer& out) { open_line_.End(out); }

 private:
  using Due = FtpQueue::Due;
  using Own = FtpReply;
  // What happens to the rest of a line whose beginning the gateway has judged.
  enum class Fate : uint8_t {
    kNone,  // no line has begun
    kHeld,  // a server's line that the gateway has judged; it waits for the data channel
    kPass,
    kDrop,
  };
  enum class Channel : uint8_t {
    kNone,
    kComing,  // the gateway has passed PASV or EPSV on
    kOpen,    // the session has it
    kOver,    // over, with `outcome`; the reply of its transfer is still due
  };
  // What is still to come for PASV, EPSV, PORT or EPRT.
  enum class Setup : uint8_t {
    kNone,
    kReply,    // the backend's reply
    kPassive,  // OnData, and then the reply to the client
    kActive,   // OnData, and then the command to the backend
  };

  // The data channel, and the commands that set it up.
  struct Data {
    Setup setup = Setup::kNone;
    Channel channel = Channel::kNone;
    DataOutcome outcome = DataOutcome::kWhole;  // with kOver
    bool held = false;                          // the session has a channel
  };
  // The server's reply to the command at the head of the queue.
  struct Answer {
    uint16_t port = 0;      // the port that it names, if it answers PASV or EPSV
    bool replaced = false;  // the client gets another reply instead
    bool cut = false;       // a line of it is too long to search for a port
  };

  // Reads a line of the client. Returns false if it cannot read it now, or not at all.
  bool ReadCommand(ByteView rest, Step& step, Output& out);
  bool ReadRestOfCommand(ByteView rest, Step& step, Output& out);
  void OnCommand(const FtpCommand& command, Output& out);
  bool MustWait(FtpVerb verb) const;
  // The place in the queue for the reply to this command, the strictest that it may need.
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

  // Judges a line of the backend by its beginning ...
  bool IsAtStart() const { return fate_ == Fate::kNone || fate_ == Fate::kHeld; }
  bool ReadReply(ByteView rest, Step& step, Output& out);
  bool ReadRestOfReply(ByteView rest, Step& step, Output& out);
  Fate Judge(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeUnasked(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeReply(const FtpReplyLine& line, Step& step, Output& out);
  Fate JudgeFeature(const FtpReplyLine& line, Output& out);
  bool MustReplace(const FtpReplyLine& line) const;
  void LookForPort(const FtpReplyLine& line);
  // ... and acts on it when it is over.
  void OnLineOver(Step& step, Output& out);
  void OnReplyOver(const FtpReplyLine& line, Step& step, Output& out);
  void SayInstead(Output& out);
  // The client has got the reply at the head.
  void Settle(const FtpReplyLine& line, Step& step);
  void DropChannel(const FtpReplyLine& line, Step& step);
  bool MustHold(const FtpReplyLine& line) const;
  void Align(const FtpReplyLine& line, Step& step, Output& out);
  // If this command sets up a channel, nothing waits for its reply any longer.
  void ForgetSetup(Due due);

  bool IsPassiveHead() const {
    return !queue_.empty() && (queue_.head() == Due::kPasv || queue_.head() == Due::kEpsv);
  }
  void Pop(Output& out);
  // Gives the gateway's own replies that have come to the head.
  void Flush(Output& out);
  void FlushBehindDoubtful(Output& out);
  // Whether no reply of the server is certainly due, or in progress.
  bool IsOwedNothing() const;
  void Abort(EndReason reason, std::string_view text, Step& step, Output& out);
  // The same where the server has said what may not come.
  void AbortMisplaced(Misplaced what, uint16_t code, Step& step, Output& out);
  Awaited awaited() const;

  LongLines client_lines_;
  LongLines server_lines_{kFtpMaxLine, /*accept_bare_lf=*/true, /*tail=*/0};
  FtpQueue queue_;
  OpenLine open_line_;  // what the client has of the server's current line
  FtpReplyLine line_;   // the backend's current line; its text is gone
  // The command that the current reply may answer instead of the doubtful one at the head.
  std::optional<Due> doubted_;
  Endpoint client_;
  Data data_;
  Answer answer_;
  DataRequest request_;      // the gateway has not taken it yet
  size_t swallowed_ = 0;     // swallowed octets of the greeting
  int reply_code_ = 0;       // of the server's reply whose lines are still to come; 0: none are
  Fate fate_ = Fate::kNone;  // of the server's current line
  Fate client_fate_ = Fate::kNone;
  bool greeted_ = false;  // the backend's greeting is over
  bool passes_greeting_ = false;
  bool quitting_ = false;
  bool logged_in_ = false;    // once at least
  bool buffer_size_ = false;  // the client has sent PBSZ
  bool private_ = false;      // PROT P
  bool epsv_only_ = false;    // EPSV ALL
};

// Writes a refusal. RFC 959's 421 ends the control connection.
void RefuseFtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
