// FTP's control connection inside TLS, read on both sides to its end (RFC 959, 2389,
// 2428, 4217): which reply belongs to which command, where a data channel is wanted, and
// what its end means for the reply. A data channel always speaks TLS with the client.
//
// Replies wait in one bounded queue; those of the gateway's own stand among them, so the
// client reads all in order. There is one data channel at a time: what would make another
// waits, unread, until the transfer before it is over.
//
// Not for: the sockets of the data channel (gateway/session/data.cc), or what comes
// before TLS (ftp.cc).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/endpoint.h"
#include "protocols/ftp_wire.h"
#include "protocols/limits.h"
#include "protocols/line_reader.h"
#include "protocols/negotiator.h"

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
  Step OnData(const DataNews& news, Output& out);
  // The client may be read.
  bool greeted() const { return greeted_; }

 private:
  // What is due at a place of the queue: the reply to a command ...
  enum class Due : uint8_t { kAny, kTransfer, kPasv, kEpsv, kPort, kFeat, kQuit };
  // ... or, with this bit, one of the gateway's own (kOwnReplies).
  static constexpr uint8_t kOwn = 0x80;
  enum class Own : uint8_t {
    kPbsz,
    kPbszBad,
    kPbszFirst,
    kPrivate,
    kClear,
    kOtherLevel,
    kUnknownLevel,
    kTlsActive,
    kNoClear,
    kNotHere,
    kEpsvAll,
    kAfterEpsvAll,
    kProtFirst,
    kNoChannel,
    kUseEpsv,
    kCannotOpen,
    kSyntax,
    kForeign,
    kUseV4,
    kUseV6,
    kUnknown,
    kOtherMode,
    kLogInFirst,
    kDataTls,
    kDataCut,
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

  void OnCommand(std::string_view line, Step& step, Output& out);
  bool MustWait(FtpVerb verb) const;
  void Pass(Due due, std::string_view line, Output& out);
  void Reply(Own own, Output& out);
  void OnPassive(FtpVerb verb, std::string_view line, std::string_view argument, Output& out);
  void OnActive(FtpVerb verb, std::string_view argument, Step& step, Output& out);
  void OnTransfer(std::string_view line, Output& out);
  void OnDataOver(DataOutcome outcome, Step& step);
  void OnProt(std::string_view argument, Output& out);
  static void SayOwn(Own own, Output& out);
  void SayPassive(const Endpoint& address, Output& out);
  void Drop(Step& step);

  void OnGreeting(const FtpReplyLine& line, ByteView raw, Step& step, Output& out);
  static void OnUnasked(const FtpReplyLine& line, ByteView raw, Step& step, Output& out);
  void OnReply(const FtpReplyLine& line, ByteView raw, Step& step, Output& out);
  bool MustReplace(const FtpReplyLine& line) const;
  void SayInstead(Output& out);
  void PassFeatReply(const FtpReplyLine& line, ByteView raw, Output& out);
  // The last line of the reply at the head has been passed on.
  void Settle(const FtpReplyLine& line, Step& step);
  bool MustHold(const FtpReplyLine& line) const;
  void LetOvertake(const FtpReplyLine& line, Output& out);

  Due head() const { return static_cast<Due>(queue_[head_]); }
  void Push(uint8_t entry);
  void Pop(Output& out);
  // Gives those of the gateway's own that have come to the head.
  void Flush(Output& out);
  static void Abort(EndReason reason, std::string_view text, Step& step, Output& out);

  LineReader client_lines_;
  FtpReplyReader replies_;
  Endpoint client_;
  uint32_t swallowed_ = 0;  // octets of the backend's greeting
  Channel channel_ = Channel::kNone;
  Setup setup_ = Setup::kNone;
  DataOutcome outcome_ = DataOutcome::kWhole;
  bool greeted_ = false;  // the backend's greeting is over
  bool passes_greeting_ = false;
  bool replaced_ = false;     // the reply at the head is swallowed: another is given for it
  bool holding_ = false;      // the backend's next line was judged, and waits for the data channel
  bool held_ = false;         // the session has a channel
  bool transfer_ = false;     // a transfer's final reply is due
  bool preliminary_ = false;  // the transfer has begun
  bool logged_in_ = false;    // once at least
  bool buffer_size_ = false;  // PBSZ has come
  bool private_ = false;      // PROT P
  bool epsv_only_ = false;    // EPSV ALL
  uint8_t own_ = 0;           // places of the queue that are the gateway's own
  uint8_t head_ = 0;
  uint8_t size_ = 0;
  std::array<uint8_t, kFtpMaxOutstanding> queue_{};
};

// Words for a refusal: RFC 959's 421 ends the control connection.
void RefuseFtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
