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
#include <initializer_list>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/line_reader.h"
#include "protocols/frames/long_lines.h"
#include "protocols/frames/open_line.h"

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
    kBroken,   // no greeting of the protocol: never passed on
  };

  // What a line ends with, where the protocol has literals (RFC 3501 4.3, RFC
  // 7888, RFC 5804 4).
  enum class Tail : uint8_t {
    kNone,     // no literal: the command is complete
    kSync,     // {n}: the client waits to be asked
    kSkipped,  // {n+}: its octets are being dropped; the command's next line follows
    kBroken,   // spaces stand behind it; nothing is dropped
    kTooLong,  // more than kMaxLiteral: the session has been ended
  };

  // What a backend on the plaintext leg owes. What it may say is a row of the table in
  // line_leg.cc for each.
  enum class Due : uint8_t {
    kNothing,
    kGreeting,
    kReply,  // to a command that changes nothing here
    kList,   // capabilities
    kLogin,  // its success logs in
    kSasl,   // the same, after any number of challenges
  };

  // What a line of that backend is, in any of the protocols.
  enum class LegLine : uint8_t {
    kYes,      // success: of the greeting, or the end of a reply
    kNo,       // refusal: the end of a reply
    kGoOn,     // a challenge, or a call for a literal: the client goes on with its command
    kList,     // a line of a list of capabilities
    kWord,     // what a server may say at any time
    kBye,      // it ends the session, or will not have it
    kPreauth,  // already authenticated: never passed on
    kOther,    // no line that may come before log-in
  };

  // How a command reaches the backend. kOne: with one space between its words and none
  // behind them, so that the gateway and every server read the same command.
  enum class Spacing : uint8_t { kOne, kAsSent };

  // `options` outlives the dialogue.
  explicit LineDialogue(const DialogueOptions& options);

  // The words of the protocol. Each writes whole lines.
  virtual void SayGreeting(Writer& out) = 0;
  virtual void SayGoodbye(std::string_view text, Writer& out) = 0;
  virtual void SayRefusal(Refusal refusal, Writer& out) = 0;
  // A line of the client, without its end, possibly empty. Leaves step.verdict at
  // kContinue, or uses one of the helpers below.
  virtual void OnLine(std::string_view line, Step& step, Writer& out) = 0;
  // The first line of the greeting on the fresh leg, or its start. By default it is what
  // `Read` says of a greeting.
  virtual Greeting Judge(std::string_view line) const;
  // At kStart, before the greeting: what the backend was last seen to offer.
  virtual void Learn(uint64_t /*capabilities*/) {}
  // After kReplay: writes one whole line to the backend.
  virtual void SayAgain(Writer& /*backend*/) {}
  // A line of the backend on the plaintext leg, or the start of a long one; due() says what
  // for. Only protocols that call PassOn need these two.
  virtual LegLine Read(std::string_view /*line*/) const { return LegLine::kOther; }
  // The same line, which may come: writes to the client what may be passed on of it, by
  // GiveLine where the line goes on as it is.
  virtual void Give(LegLine /*what*/, std::string_view /*line*/, Step& /*step*/, Writer& /*out*/) {}
  // Lines of the backend may end in a literal, and then go on behind it.
  virtual bool has_literals() const { return false; }

  const DialogueOptions& options() const { return *options_; }
  bool opportunistic() const { return options_->policy == Policy::kOpportunistic; }
  // Log-in in plaintext is passed on.
  bool may_log_in() const { return opportunistic() && options_->plaintext_auth; }
  bool on_leg() const { return phase_ == Phase::kLeg; }
  Due due() const { return leg_.due; }
  // The backend's line that has just begun is all here.
  bool is_whole() const { return !server_lines_.amid_line(); }
  // Writes `parts` in place of the backend's line at hand, and behind them what is still to
  // come of it. Without this what is to come is dropped.
  void GiveLine(std::initializer_list<std::string_view> parts, Writer& out);
  // A further piece of it, or one of a line that is passed on in another way.
  void GivePiece(const LongLines::Piece& piece, Writer& out);
  // What the backend says, for a protocol that reads it inside TLS. The line of the piece that
  // it gave last is the one at hand.
  LongLines& server_lines() { return server_lines_; }

  // The line at hand is the backend's, whose reply is `due`; opens the leg first
  // where there is none. `literals`: what the line ends with may be one. `spacing`: kAsSent
  // where spaces are part of what the command is about, as in a password.
  void PassOn(Due due, bool literals = false, Spacing spacing = Spacing::kOne);
  // The upgrade was listed in what has just been written.
  void NoteOffer();
  // Log-in was attempted before TLS, and is being refused.
  void NoteLogin(Step& step);
  // The client goes on in plaintext though it has seen the offer.
  void NoteNotTaken(Step& step);
  // An unknown verb: notes what it may have been.
  void NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step);
  // The line at hand is no command that is known here.
  void NoteNoise() { leg_.command.noise = true; }
  // Ends the line of the backend that the client has a part of, before words of the
  // gateway's own. False: the client awaits a literal, of which they would become a part.
  bool EndOpenLine(Writer& out);
  // The go-ahead has been written: TLS comes next.
  void Upgrade(Step& step);
  // Ends the session for `reason`, with the protocol's goodbye. kBadOctet is for 8-bit octets
  // where a command has none, kLineTooLong for a literal; lines themselves are judged here.
  void Abort(EndReason reason, Step& step, Writer& out);
  // The same where the server has said what may not come (CloseMisplaced).
  void AbortMisplaced(Awaited awaited, Misplaced what, Step& step, Writer& out);
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
  void OnGreeting(const LongLines::Piece& piece, Step& step, Output& out);
  // Counts octets of a greeting; false, and the session ends, where they are too many.
  bool Swallow(size_t octets, Step& step, Writer& out);
  EndReason EndOf(const Event& event) const;
  // What the server is to say next.
  Awaited awaited() const;
  // A leg is up, the plaintext one or the fresh one.
  bool has_leg() const {
    return phase_ == Phase::kLegGreeting || phase_ == Phase::kLeg || phase_ == Phase::kPreamble;
  }
  // The client has a part of what the backend says and must have the rest first.
  bool amid_line() const { return leg_.line.given.open() || leg_.line.in_tail; }

  // --- the plaintext leg (line_leg.cc) ---

  // The client's octets go to the backend unread: a literal, or a line that
  // continues a command.
  bool opaque() const { return leg_.command.to_pass > 0 || leg_.command.continues; }
  void OpenLeg(Step& step);
  // A line of the command at hand. `spacing` applies to the first line of a command.
  void PassLine(std::string_view line, Spacing spacing, Step& step, Output& out);
  void PassOpaque(ByteView rest, Step& step, Output& out);
  Step OnLeg(ByteView in, Output& out);
  void PassBackendLiteral(ByteView rest, Step& step, Writer& out);
  void OnLegPiece(const LongLines::Piece& piece, Step& step, Writer& out);
  // The start of a line that continues no other. False: it may not come, and the session ends.
  bool BeginLegLine(std::string_view line, Step& step, Writer& out);
  // The line announces a literal, which comes before the rest of it.
  bool TakeBackendLiteral(std::string_view line, Step& step, Writer& out);
  bool MayCome(LegLine what) const;
  bool LogsIn(LegLine what) const;
  bool AnsweredEarly() const;
  void Act(Step& step, Writer& out);
  void Forget();

  // What became of the offer of the upgrade. It outlives the upgrade, as does the number of lines.
  struct Offer {
    bool written = false;    // at some time
    bool seen = false;       // before the octets at hand arrived
    bool is_last = false;    // no command has come since
    bool not_taken = false;  // the signal was given
  };

  // The command of the client that is being read.
  struct Command {
    size_t literal_total = 0;  // octets of its literals
    size_t to_drop = 0;        // octets of a literal still to come, which are dropped
    size_t to_pass = 0;        // the same, and the backend gets them
    size_t called_for = 0;     // octets of a literal that the backend has not called for yet
    Spacing spacing = Spacing::kOne;
    bool noise = false;      // the line at hand is no command
    bool pass = false;       // the line at hand is the backend's
    bool literals = false;   // it may have some, if it is passed on
    bool replayed = false;   // the line at hand has opened the leg and was seen before
    bool waits = false;      // for the backend: the client is not read
    bool call_due = false;   // `called_for` counts
    bool continues = false;  // the client's next line continues it
  };

  // The line of the backend that is being read.
  struct ServerLine {
    size_t literal = 0;  // octets of its literal still to come
    LegLine said = LegLine::kOther;
    bool gives = false;    // its rest goes to the client
    bool in_tail = false;  // a literal comes or came, and the line goes on behind it
    OpenLine given;        // what the client has of it
  };

  // What was read of either side. Nothing of it counts after the upgrade: see Forget.
  struct LegState {
    Command command;
    ServerLine line;
    size_t swallowed = 0;  // octets of a greeting
    Due due = Due::kNothing;
    Greeting greeting = Greeting::kBroken;  // that of the fresh leg
  };

  const DialogueOptions* options_;
  LineReader client_lines_;
  LongLines server_lines_;
  LegState leg_;
  Offer offer_;
  uint32_t lines_ = 0;  // answered before TLS
  Phase phase_ = Phase::kPlain;
};

}  // namespace starling
