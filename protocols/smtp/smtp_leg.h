// The plaintext leg of an SMTP or LMTP session under the opportunistic policy, from the
// backend's greeting to its end: which reply belongs to which command, where a transaction
// begins and ends, and where message data ends. So the dialogue never takes data for
// commands, nor commands for data. This class also swallows the greeting of the fresh leg
// inside TLS.
//
// Not for: what a client may say (smtp.h), or what a reply may be (smtp_replies.h). Replies
// wait in one bounded queue, with the gateway's own among them, so the client reads all of
// them in order. RFC 5321, 2920 (pipelining), 2033 (a reply for each recipient after LMTP's
// data).
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

// Finds the end of message data, CRLF.CRLF, wherever the reads are cut. Nothing else ends
// data: not LF.LF, not LF.CRLF.
class SmtpDataEnd {
 public:
  // How many octets of `in` belong to the data, including its end.
  size_t Scan(ByteView in);
  bool found() const { return state_ == State::kEnd; }
  // Data begins at the start of a line, so ".CRLF" alone ends it.
  void Reset() { state_ = State::kLineStart; }

 private:
  enum class State : uint8_t { kText, kCr, kLineStart, kDot, kDotCr, kEnd };
  State state_ = State::kLineStart;
};

class SmtpLeg {
 public:
  SmtpLeg(const DialogueOptions& options, bool lmtp) : options_(&options), lmtp_(lmtp) {}

  // The leg is connected. After the greeting the leg sends `hello` (without CRLF; empty:
  // none) and swallows the reply. `hello` must outlive the leg.
  void Open(std::string_view hello);
  // The same for the fresh leg inside TLS. Everything after the greeting is opaque.
  void OpenInsideTls();

  // --- the client's side ---

  // Whether the leg can pass a command on, or queue a reply, now.
  bool ready() const {
    const bool unasked = idle() && code_ != 0;  // the server is saying goodbye
    return stage_ == Stage::kCommands && !queue_.full() && own_ < kSmtpMaxOwnOutstanding &&
           !unasked;
  }
  // Whether the client's octets are data or a line of a SASL exchange.
  bool opaque() const { return stage_ == Stage::kData || stage_ == Stage::kAuthLine; }
  // Whether the client has got every reply that is due.
  bool idle() const { return queue_.empty(); }
  bool in_transaction() const { return transaction_; }
  // Whether the backend has greeted and the client's commands flow.
  bool established() const { return stage_ != Stage::kGreeting && stage_ != Stage::kReplay; }

  // True once, if the backend has refused the repeated hello. That refusal has answered the
  // command that opened the leg, and the leg drops the command.
  bool TakeAnswered();
  // True once for each EHLO that the backend has accepted on the open leg.
  bool TakeOffered();

  // Passes a command line on, without its end. Requires ready() and room.
  void Pass(SmtpVerb verb, std::string_view line, Writer& backend);
  // Gives a reply of the gateway's own, after all earlier ones. Requires ready(), and
  // kReplyRoom of room.
  void Reply(SmtpReply reply, Writer& client);
  // The same for a last reply. The leg reads nothing more from the client.
  void ReplyAndClose(SmtpReply reply, EndReason reason, Writer& client, Step& step);

  struct Passed {
    size_t consumed = 0;
    bool blocked = false;                // there is too little room
    EndReason error = EndReason::kNone;  // the line breaks a rule
    SmtpReply words = SmtpReply::kOk;    // and the client gets this reply
  };
  // Requires opaque().
  Passed PassOpaque(ByteView in, Writer& backend);

  // --- the backend's side ---

  Step OnBackend(ByteView in, Output& out);
  // Call this before words of the gateway's own that end the session. It ends the line that
  // the client has a part of.
  void EndOpenLine(Writer& client) { open_line_.End(client); }

 private:
  enum class Stage : uint8_t {
    kGreeting,
    kReplay,
    kCommands,
    kAwaitGoAhead,  // the leg has passed DATA or AUTH on; the reply decides what follows
    kData,
    kAuthLine,
    kClosing,  // the last reply is in the queue
  };
  // What is due at a place of the queue: the reply to a command, or a reply of the
  // gateway's own.
  struct Place {
    SmtpDue due = SmtpDue::kNothing;
    bool is_own = false;
    SmtpReply own = SmtpReply::kOk;
  };

  Passed PassData(ByteView in, Writer& backend);
  Passed PassAuthLine(ByteView in, Writer& backend);
  // Gives the gateway's own replies that have come to the head.
  void Flush(Writer& client, Step& step);

  SmtpDue due() const;
  void OnPiece(const LongLines::Piece& piece, Output& out, Step& step);
  void PassPiece(const LongLines::Piece& piece, Writer& client);
  // Judges the line that `piece` begins. If no such line may come here, returns false and
  // ends the session.
  bool BeginLine(const LongLines::Piece& piece, Output& out, Step& step);
  bool MayCome(const SmtpReplyLine& line) const;
  // Whether octets that come amid data are a reply; then `line` has its code.
  static bool AnswersData(std::string_view octets, SmtpReplyLine& line);
  void EndReply(Output& out, Step& step);
  void EndGreeting(Output& out, Step& step);
  // The reply at the head is complete. Returns true if its place is free now.
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
  uint64_t keywords_ = 0;    // of the current EHLO reply
  uint32_t recipients_ = 0;  // accepted in this transaction
  uint32_t finals_ = 0;      // replies still due for the data
  EndReason last_reason_ = EndReason::kNone;
  Stage stage_ = Stage::kGreeting;
  bool lmtp_;
  bool inside_tls_ = false;
  bool transaction_ = false;
  bool answered_ = false;
  bool offered_ = false;
  uint16_t code_ = 0;       // of the current reply; 0: no reply has begun
  bool last_line_ = false;  // the current line is the reply's last
  bool passes_ = false;     // the current line goes to the client
  OpenLine open_line_;      // the part of the line that the client has
  SmtpDataEnd data_end_;
  uint8_t own_ = 0;  // places of the queue with the gateway's own replies
  RingQueue<Place, kSmtpMaxOutstanding> queue_;
};

}  // namespace starling
