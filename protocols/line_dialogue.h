// The frame of the dialogues of IMAP, POP3, ManageSieve, NNTP, ACAP and IRC: before TLS the
// gateway answers lines; on the fresh leg after TLS the backend's greeting is
// swallowed or passed on, and a line may be said again for the client. Under `policy:
// opportunistic` a line that it cannot answer opens a plaintext leg, on which one command is
// outstanding at a time and every line of the backend is judged, until log-in has succeeded; from
// then on all is opaque (line_leg.cc).
//
// A protocol derives from it and says its words. What is the same for all is
// here: framing, limits, strangers, literals, signs of a downgrade, the order
// of the phases, and how every event ends a session.
//
// Not for: SMTP, whose plaintext leg needs far more (smtp.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/dialogue.h"
#include "protocols/line_reader.h"
#include "protocols/negotiator.h"

namespace starling {

class LineDialogue : public Negotiator {
 public:
  // A protocol that reads both sides on the fresh leg (IRC) overrides them for that alone.
  Step OnClient(ByteView in, Output& out) override;
  Step OnBackend(ByteView in, Output& out) override;
  Step OnEvent(const Event& event, Output& out) override;

 protected:
  // What a line of the backend on the fresh leg is: its greeting, and after kReplay
  // the answer to what was said again.
  enum class Greeting : uint8_t {
    kSuccess,  // swallowed: the client has had a greeting
    kReplay,   // swallowed; SayAgain is next, and one more line is awaited
    kPassOn,   // the protocol asks for a second greeting: this line and all after it
    kPreauth,  // already authenticated: never passed on
    kRefusal,  // passed on inside TLS, then the session ends
  };

  // What a line ends with, where the protocol has literals (RFC 3501 4.3, RFC
  // 7888, RFC 5804 4).
  enum class Tail : uint8_t {
    kNone,     // no literal: the command is complete
    kSync,     // {n}: the client waits to be asked
    kSkipped,  // {n+}: its octets are being dropped; the command's next line follows
    kTooLong,  // more than kMaxLiteral: the session has been ended
  };

  // What the reply of a backend on the plaintext leg will be.
  enum class Due : uint8_t {
    kNothing,
    kReply,  // to a command that changes nothing here
    kList,   // capabilities
    kLogin,  // its success logs in
    kSasl,   // the same, after any number of challenges
  };

  // What a line of that backend was. The protocol has written to the client what
  // may be passed on of it; nothing before one of the last four.
  enum class LegLine : uint8_t {
    kMore,       // the reply goes on
    kDone,       // the reply (or the greeting) is complete
    kGoAhead,    // the client goes on with its command
    kLoggedIn,   // the reply is complete, and from here on all is opaque
    kBye,        // passed on; the backend ends the session
    kPreauth,    // already authenticated: never passed on
    kForbidden,  // no line that may come here
  };

  // `options` outlives the dialogue.
  explicit LineDialogue(const DialogueOptions& options);

  // The words of the protocol. Each writes whole lines.
  virtual void SayGreeting(Writer& out) = 0;
  virtual void SayGoodbye(std::string_view text, Writer& out) = 0;
  virtual void SayRefusal(Refusal refusal, Writer& out) = 0;
  // A line of the client, without its end, possibly empty. Leaves step.verdict at
  // kContinue, or uses one of the helpers below.
  virtual void OnLine(std::string_view line, Step& step, Writer& out) = 0;
  virtual Greeting Judge(std::string_view line) const = 0;
  // At kStart, before the greeting: what the backend was last seen to offer.
  virtual void Learn(uint64_t /*capabilities*/) {}
  // After kReplay: writes one whole line to the backend.
  virtual void SayAgain(Writer& /*backend*/) {}
  // A line of the backend on the plaintext leg, in the greeting and after it. Only
  // protocols that call PassOn need these.
  virtual LegLine OnLegGreeting(std::string_view line, Step& step, Writer& out);
  virtual LegLine OnLegLine(std::string_view line, Step& step, Writer& out);

  const DialogueOptions& options() const { return *options_; }
  bool opportunistic() const { return options_->policy == Policy::kOpportunistic; }
  // Log-in in plaintext is passed on.
  bool may_log_in() const { return opportunistic() && options_->plaintext_auth; }
  bool on_leg() const { return phase_ == Phase::kLeg; }
  Due due() const { return due_; }
  // A challenge, or a call for a literal, may come now.
  bool may_go_ahead() const { return waits_ && (due_ == Due::kSasl || call_due_); }

  // The line at hand is the backend's, whose reply is `due`; opens the leg first
  // where there is none. `literals`: what the line ends with may be one.
  void PassOn(Due due, bool literals = false);
  // A line of the backend announces a literal: true, and its octets are passed on
  // (in the greeting: dropped) before the next line, which continues this one.
  bool TakeBackendLiteral(std::string_view line);

  // The upgrade was listed in what has just been written.
  void NoteOffer();
  // Log-in was attempted before TLS, and is being refused.
  void NoteLogin(Step& step);
  // The client goes on in plaintext though it has seen the offer.
  void NoteNotTaken(Step& step);
  // An unknown verb: notes what it may have been.
  static void NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step);
  // The go-ahead has been written: TLS comes next.
  void Upgrade(Step& step);
  // Ends the session for `reason`, with the protocol's goodbye. kBadOctet is for 8-bit octets
  // where a command has none, kLineTooLong for a literal; lines themselves are judged here.
  void Abort(EndReason reason, Step& step, Writer& out);
  // Looks for a literal at the end of `line`, and begins to drop what it announces.
  // All literals of one command together may have kMaxLiteral octets; `first` says
  // that this line begins a command.
  Tail TakeLiteral(std::string_view line, bool first, Step& step, Writer& out);

 private:
  enum class Phase : uint8_t {
    kPlain,        // before TLS: the gateway answers
    kOpening,      // the plaintext leg is being opened; its command waits
    kLegGreeting,  // it is up, its greeting is awaited
    kLeg,          // both sides are read
    kUpgrading,    // the go-ahead is given; no octet is read until the leg is up
    kPreamble,     // the fresh leg is up, its greeting is awaited
  };

  // The same for a line, or for NUL in a literal.
  void AbortFor(LineReader::Status fault, Step& step, Writer& out);
  void DropLiteral(ByteView rest, Step& step, Writer& out);
  void ReadPreamble(ByteView rest, Step& step, Output& out);
  // Takes one line off `rest`. False: there is none, or the session ends.
  bool NextLine(ByteView rest, std::string_view& line, Step& step, Writer& out);
  void ReadLine(ByteView rest, Step& step, Output& out);
  Step OnPreamble(ByteView in, Output& out);
  EndReason EndOf(EventKind kind) const;

  // --- the plaintext leg (line_leg.cc) ---

  // The client's octets go to the backend unread: a literal, or a line that
  // continues a command.
  bool opaque() const { return to_pass_ > 0 || continues_; }
  void OpenLeg(Step& step);
  void PassLine(std::string_view line, Step& step, Output& out);
  void PassOpaque(ByteView rest, Step& step, Output& out);
  Step OnLeg(ByteView in, Output& out);
  void PassBackendLiteral(ByteView rest, Step& step, Writer& out);
  bool AnsweredEarly() const;
  void Act(LegLine what, Step& step, Writer& out);
  void Forget();

  const DialogueOptions* options_;
  LineReader client_lines_;
  LineReader backend_lines_;
  size_t to_drop_ = 0;        // octets of a literal still to come
  size_t literal_total_ = 0;  // octets of literals in this command
  uint32_t lines_ = 0;        // answered before TLS
  Phase phase_ = Phase::kPlain;
  bool offer_written_ = false;  // at some time
  bool offer_seen_ = false;     // before the octets at hand arrived
  bool offer_is_last_ = false;  // no command has come since
  bool not_taken_ = false;      // the signal was given

  LineReader leg_lines_;
  size_t to_pass_ = 0;          // octets of a client's literal still to come
  size_t called_for_ = 0;       // octets of one that the backend has not called for yet
  size_t backend_literal_ = 0;  // octets of a backend's literal still to come
  size_t swallowed_ = 0;        // octets of the leg's greeting
  Due due_ = Due::kNothing;
  bool pass_ = false;       // the line at hand is the backend's
  bool literals_ = false;   // the command at hand may have some
  bool replayed_ = false;   // the line at hand has opened the leg and was seen before
  bool waits_ = false;      // for the backend: the client is not read
  bool call_due_ = false;   // `called_for_` counts
  bool continues_ = false;  // the client's next line continues its command
};

}  // namespace starling
