// The plaintext leg of an SMTP or LMTP session under the opportunistic policy,
// from the backend's greeting to its end: which reply belongs to which command,
// where a transaction begins and ends, and where message data ends, so that a
// command of the client is always seen as one. The greeting of the fresh leg
// inside TLS is swallowed here too.
//
// Not for: what a client may say (smtp.h), nor what a reply may be (smtp_replies.h).
// Replies wait in one bounded queue; those of the gateway's own stand among them, so
// the client reads all in order.
// RFC 5321, 2920 (pipelining), 2033 (a reply a recipient after LMTP's data).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/frames/open_line.h"
#include "protocols/frames/ring_queue.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp_replies.h"
#include "protocols/smtp/smtp_wire.h"

namespace starling {

// Finds the end of message data, CRLF.CRLF, across any boundaries of reads.
// Nothing else ends data: not LF.LF, not LF.CRLF.
class SmtpDataEnd {
 public:
  // How many octets of `in` belong to the data, its end included.
  size_t Scan(ByteView in);
  bool found() const { return state_ == State::kEnd; }
  // Data begins at the start of a line: ".CRLF" alone ends it.
  void Reset() { state_ = State::kLineStart; }

 private:
  enum class State : uint8_t { kText, kCr, kLineStart, kDot, kDotCr, kEnd };
  State state_ = State::kLineStart;
};

class SmtpLeg {
 public:
  SmtpLeg(const DialogueOptions& options, bool lmtp) : options_(&options), lmtp_(lmtp) {}

  // The leg is connected. `hello` (without CRLF; empty: none) is sent after the
  // greeting and its reply swallowed; it must outlive the leg.
  void Open(std::string_view hello);
  // The same for the fresh leg inside TLS: after the greeting all is opaque.
  void OpenInsideTls();

  // --- the client's side ---

  // A command can be passed on, or a reply queued, now.
  bool ready() const {
    const bool unasked = idle() && code_ != 0;  // the server is saying goodbye
    return stage_ == Stage::kCommands && !queue_.full() && own_ < kSmtpMaxOwnOutstanding &&
           !unasked;
  }
  // Octets of the client are data or a line of a SASL exchange.
  bool opaque() const { return stage_ == Stage::kData || stage_ == Stage::kAuthLine; }
  // Every reply due has been passed on.
  bool idle() const { return queue_.empty(); }
  bool in_transaction() const { return transaction_; }
  // The backend has greeted and the client's commands flow.
  bool established() const { return stage_ != Stage::kGreeting && stage_ != Stage::kReplay; }

  // True once if the backend refused the replayed hello: the command that
  // opened the leg has got that refusal as its answer and is dropped.
  bool TakeAnswered();
  // True once for each EHLO that the backend has accepted on the open leg.
  bool TakeOffered();

  // Passes a command line (without its end) on. Requires ready() and room.
  void Pass(SmtpVerb verb, std::string_view line, Writer& backend);
  // Gives a reply of the gateway's own when all before it have been given.
  // Requires ready(), and kReplyRoom of room.
  void Reply(SmtpReply reply, Writer& client);
  // The same for a last reply; nothing of the client is read any more.
  void ReplyAndClose(SmtpReply reply, EndReason reason, Writer& client, Step& step);

  struct Passed {
    size_t consumed = 0;
    bool blocked = false;                // for want of room
    EndReason error = EndReason::kNone;  // the line breaks a rule
    SmtpReply words = SmtpReply::kOk;    // and the client is told so
  };
  // Requires opaque().
  Passed PassOpaque(ByteView in, Writer& backend);

  // --- the backend's side ---

  Step OnBackend(ByteView in, Output& out);
  // Before words of the gateway's own that end the session: ends the line that the client
  // has a part of.
  void EndOpenLine(Writer& client) { open_line_.End(client); }

 private:
  enum class Stage : uint8_t {
    kGreeting,
    kReplay,
    kCommands,
    kAwaitGoAhead,  // DATA or AUTH was passed on: what follows depends on the reply
    kData,
    kAuthLine,
    kClosing,  // the last reply is queued
  };
  // What is due at a place of the queue: the reply to a command, or one of the gateway's own.
  struct Place {
    SmtpDue due = SmtpDue::kNothing;
    bool is_own = false;
    SmtpReply own = SmtpReply::kOk;
  };

  Passed PassData(ByteView in, Writer& backend);
  Passed PassAuthLine(ByteView in, Writer& backend);
  // Gives those replies of the gateway's own that have come to the head.
  void Flush(Writer& client, Step& step);

  SmtpDue due() const;
  void OnPiece(const LongLines::Piece& piece, Output& out, Step& step);
  void PassPiece(const LongLines::Piece& piece, Writer& client);
  // The line that `piece` begins. False: no such line may come here, and the session ends.
  bool BeginLine(const LongLines::Piece& piece, Output& out, Step& step);
  bool MayCome(const SmtpReplyLine& line) const;
  // Whether octets that come amid data are a reply; then `line` has its code.
  static bool AnswersData(std::string_view octets, SmtpReplyLine& line);
  void EndReply(Output& out, Step& step);
  void EndGreeting(Output& out, Step& step);
  // The reply at the head is complete; true if that place is done with.
  bool Settle(SmtpDue due, Step& step);
  // What the server is to say next.
  Awaited awaited() const;
  // Ends the session because of what the server has said: it may not come, or is too long.
  void Fail(Misplaced what, uint16_t code, Output& out, Step& step);
  void FailTooLong(Output& out, Step& step);

  const DialogueOptions* options_;
  std::string_view hello_;
  LongLines lines_{kSmtpMaxReplyLine, /*accept_bare_lf=*/true};
  size_t swallowed_ = 0;
  size_t auth_octets_ = 0;
  uint64_t keywords_ = 0;    // of the EHLO reply being read
  uint32_t recipients_ = 0;  // accepted in this transaction
  uint32_t finals_ = 0;      // replies still due for the data
  EndReason last_reason_ = EndReason::kNone;
  Stage stage_ = Stage::kGreeting;
  bool lmtp_;
  bool inside_tls_ = false;
  bool transaction_ = false;
  bool answered_ = false;
  bool offered_ = false;
  uint16_t code_ = 0;       // of the reply being read; 0: none is
  bool last_line_ = false;  // of it, at hand
  bool passes_ = false;     // the line at hand goes to the client
  OpenLine open_line_;      // the part of it that the client has
  SmtpDataEnd data_end_;
  uint8_t own_ = 0;  // places of the queue that are the gateway's own
  RingQueue<Place, kSmtpMaxOutstanding> queue_;
};

}  // namespace starling
