// The frame of the dialogues of IMAP, POP3, ManageSieve, NNTP, ACAP and IRC. Before TLS the
// gateway answers lines. On the fresh leg after TLS it swallows the backend's greeting or
// passes it on, and may say a line again for the client. Under `policy: opportunistic` a
// line that it cannot answer opens a plaintext leg. There one command is outstanding at a
// time, and the gateway judges every line of the backend, until log-in has succeeded. From
// then on everything is opaque (line_leg.cc).
//
// A protocol derives from this class and provides its words. The class has what is the same
// for all: framing, limits, strangers, literals, signs of a downgrade, the order of the
// phases, and how every event ends a session.
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
  // Only a protocol that reads both sides on the fresh leg (IRC) overrides them.
  Step OnClient(ByteView in, Output& out) override;
  Step OnBackend(ByteView in, Output& out) override;
  Step OnEvent(const Event& event, Output& out) override;

 protected:
  // What a line of the backend on the fresh leg is: a greeting or, after kReplay, the
  // answer to the line that the gateway said again.
  enum class Greeting : uint8_t {
    kSuccess,  // the gateway swallows it: the client has had a greeting
    kReplay,   // the gateway swallows it; SayAgain is next, and one more line follows
    kPassOn,   // the protocol demands a second greeting: this line and all after it pass
    kPreauth,  // already authenticated: never passed on
    kRefusal,  // it passes inside TLS, then the session ends
    kBroken,   // not a greeting of the protocol: never passed on
  };

  // How a line ends, if the protocol has literals (RFC 3501 4.3, RFC 7888, RFC 5804 4).
  enum class Tail : uint8_t {
    kNone,     // no literal: the command is complete
    kSync,     // {n}: the client waits until the server asks for the literal
    kSkipped,  // {n+}: the gateway drops its octets; the command's next line follows
    kBroken,   // spaces follow it; the gateway drops nothing
    kTooLong,  // more than kMaxLiteral: the session has ended
  };

  // What a backend on the plaintext leg owes. The table in line_leg.cc has a row for each,
  // with the lines that may come.
  enum class Due : uint8_t {
    kNothing,
    kGreeting,
    kReply,  // to a command that changes nothing here
    kList,   // capabilities
    kLogin,  // its success logs in
    kSasl,   // like kLogin, after any number of challenges
  };

  // What a line of that backend is, in any of the protocols.
  enum class LegLine : uint8_t {
    kYes,      // success: a greeting, or the end of a reply
    kNo,       // refusal: the end of a reply
    kGoOn,     // a challenge, or a call for a literal: the client goes on with its command
    kList,     // a line of a list of capabilities
    kWord,     // a line that a server may send at any time
    kBye,      // the server ends the session, or refuses it
    kPreauth,  // already authenticated: never passed on
    kOther,    // any line that may not come before log-in
  };

  // How a command reaches the backend. kOne: with one space between its words and none
  // after them, so that the gateway and every server read the same command.
  enum class Spacing : uint8_t { kOne, kAsSent };

  // `options` must outlive the dialogue.
  explicit LineDialogue(const DialogueOptions& options);

  // The words of the protocol. Each writes whole lines.
  virtual void SayGreeting(Writer& out) = 0;
  virtual void SayGoodbye(std::string_view text, Writer& out) = 0;
  virtual void SayRefusal(Refusal refusal, Writer& out) = 0;
  // Reads a line of the client, without its end, possibly empty. Leaves step.verdict at
  // kContinue, or uses one of the helpers below.
  virtual void OnLine(std::string_view line, Step& step, Writer& out) = 0;
  // Judges the first line of the greeting on the fresh leg, or its beginning. By default,
  // uses what `Read` says about it.
  virtual Greeting Judge(std::string_view line) const;
  // At kStart, before the greeting: learns what the backend offered when the gateway last
  // probed it.
  virtual void Learn(uint64_t /*capabilities*/) {}
  // After kReplay: writes one whole line to the backend.
  virtual void SayAgain(Writer& /*backend*/) {}
  // Reads a line of the backend on the plaintext leg, or the beginning of a long one. due()
  // says what it may answer. Only protocols that call PassOn need this and Give.
  virtual LegLine Read(std::string_view /*line*/) const { return LegLine::kOther; }
  // Handles that line, which may come: writes to the client what may pass. Uses GiveLine if
  // the line goes on as it is.
  virtual void Give(LegLine /*what*/, std::string_view /*line*/, Step& /*step*/, Writer& /*out*/) {}
  // Whether lines of the backend may end in a literal and go on after it.
  virtual bool has_literals() const { return false; }

  const DialogueOptions& options() const { return *options_; }
  bool opportunistic() const { return options_->policy == Policy::kOpportunistic; }
  // Whether the gateway passes log-in in plaintext on.
  bool may_log_in() const { return opportunistic() && options_->plaintext_auth; }
  bool on_leg() const { return phase_ == Phase::kLeg; }
  Due due() const { return leg_.due; }
  // The backend's line that has just begun is all here.
  bool is_whole() const { return !server_lines_.amid_line(); }
  // Writes `parts` instead of the backend's current line, and after them the rest of the
  // line when it comes. Without this call the gateway drops the rest.
  void GiveLine(std::initializer_list<std::string_view> parts, Writer& out);
  // Writes a further piece of the line, or a piece of a line that passes in another way.
  void GivePiece(const LongLines::Piece& piece, Writer& out);
  // What the backend says, for a protocol that reads it inside TLS. The line of the piece that
  // it gave last is the one at hand.
  LongLines& server_lines() { return server_lines_; }

  // Passes the current line to the backend, whose reply is `due`. Opens the leg first if
  // there is none. `literals`: the end of the line may be a literal. `spacing`: kAsSent if
  // spaces matter in the command, as in a password.
  void PassOn(Due due, bool literals = false, Spacing spacing = Spacing::kOne);
  // The words just written list the upgrade.
  void NoteOffer();
  // The client has tried to log in before TLS, and the gateway refuses it.
  void NoteLogin(Step& step);
  // The client goes on in plaintext, although it has seen the offer.
  void NoteNotTaken(Step& step);
  // Notes what an unknown verb may have been.
  void NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step);
  // The current line is not a command that the dialogue knows.
  void NoteNoise() { leg_.command.noise = true; }
  // Call this before words of the gateway's own. It ends the backend's line of which the
  // client has a part. Returns false if the client waits for a literal, since the words
  // would become part of it.
  bool EndOpenLine(Writer& out);
  // The go-ahead is written. TLS comes next.
  void Upgrade(Step& step);
  // Ends the session for `reason`, with the protocol's goodbye. kBadOctet is for 8-bit
  // octets where a command may have none, kLineTooLong for a literal. The frame itself
  // judges lines.
  void Abort(EndReason reason, Step& step, Writer& out);
  // The same where the server has said what may not come (CloseMisplaced).
  void AbortMisplaced(Awaited awaited, Misplaced what, Step& step, Writer& out);
  // Looks for a literal at the end of `line`, and begins to drop it. All literals of one
  // command together may have kMaxLiteral octets. `first`: this line begins a command.
  Tail TakeLiteral(std::string_view line, bool first, Step& step, Writer& out);

 private:
  enum class Phase : uint8_t {
    kPlain,        // before TLS: the gateway answers
    kOpening,      // the plaintext leg is opening, and its command waits
    kLegGreeting,  // it is up, and the gateway waits for its greeting
    kLeg,          // the gateway reads both sides
    kUpgrading,    // the go-ahead is given; the gateway reads no octet until the leg is up
    kPreamble,     // the fresh leg is up, and the gateway waits for its greeting
  };

  // Like Abort, for a faulty line, or for NUL in a literal.
  void AbortFor(LineReader::Status fault, Step& step, Writer& out);
  void DropLiteral(ByteView rest, Step& step, Writer& out);
  void ReadPreamble(ByteView rest, Step& step, Output& out);
  // Takes one line off `rest`. Returns false if there is none, or if the session ends.
  bool NextLine(ByteView rest, std::string_view& line, Step& step, Writer& out);
  void ReadLine(ByteView rest, Step& step, Output& out);
  Step OnPreamble(ByteView in, Output& out);
  void OnGreeting(const LongLines::Piece& piece, Step& step, Output& out);
  // Counts octets of a greeting. If there are too many, returns false and ends the session.
  bool Swallow(size_t octets, Step& step, Writer& out);
  EndReason EndOf(const Event& event) const;
  // What the server is to say next.
  Awaited awaited() const;
  // Whether a leg is up, the plaintext one or the fresh one.
  bool has_leg() const {
    return phase_ == Phase::kLegGreeting || phase_ == Phase::kLeg || phase_ == Phase::kPreamble;
  }
  // The client has a part of the backend's line, and must get the rest first.
  bool amid_line() const { return leg_.line.given.open() || leg_.line.in_tail; }

  // --- the plaintext leg (line_leg.cc) ---

  // Whether the client's octets go to the backend unread: a literal, or a line that
  // continues a command.
  bool opaque() const { return leg_.command.to_pass > 0 || leg_.command.continues; }
  void OpenLeg(Step& step);
  // Passes a line of the current command. `spacing` applies to the first line of a command.
  void PassLine(std::string_view line, Spacing spacing, Step& step, Output& out);
  void PassOpaque(ByteView rest, Step& step, Output& out);
  Step OnLeg(ByteView in, Output& out);
  void PassBackendLiteral(ByteView rest, Step& step, Writer& out);
  void OnLegPiece(const LongLines::Piece& piece, Step& step, Writer& out);
  // Judges the beginning of a line that continues no other. Returns false if the line may
  // not come, and ends the session.
  bool BeginLegLine(std::string_view line, Step& step, Writer& out);
  // Whether the line announces a literal, which comes before the rest of the line. Prepares
  // for it.
  bool TakeBackendLiteral(std::string_view line, Step& step, Writer& out);
  bool MayCome(LegLine what) const;
  bool LogsIn(LegLine what) const;
  bool AnsweredEarly() const;
  void Act(Step& step, Writer& out);
  void Forget();

  // The state of the offer of the upgrade. Like the number of lines, it outlives the
  // upgrade.
  struct Offer {
    bool written = false;    // at any time
    bool seen = false;       // before the current octets arrived
    bool is_last = false;    // no command has come since the offer
    bool not_taken = false;  // the dialogue has noted the signal
  };

  // The client's current command.
  struct Command {
    size_t literal_total = 0;  // octets of its literals
    size_t to_drop = 0;        // octets of a literal still to come, which the gateway drops
    size_t to_pass = 0;        // octets of a literal still to come, which the backend gets
    size_t called_for = 0;     // octets of a literal that the backend has not asked for yet
    Spacing spacing = Spacing::kOne;
    bool noise = false;     // the current line is not a command
    bool pass = false;      // the current line goes to the backend
    bool literals = false;  // the command may have literals, if it goes to the backend
    bool replayed =
        false;  // the current line has opened the leg, and the dialogue has read it before
    bool waits =
        false;  // the command waits for the backend, and the gateway does not read the client
    bool call_due = false;   // `called_for` counts
    bool continues = false;  // the client's next line continues the command
  };

  // The backend's current line.
  struct ServerLine {
    size_t literal = 0;  // octets of its literal still to come
    LegLine said = LegLine::kOther;
    bool gives = false;    // the rest of the line goes to the client
    bool in_tail = false;  // a literal comes or has come, and the line goes on after it
    OpenLine given;        // what the client has of the line
  };

  // What the gateway has read from either side. Nothing of it counts after the upgrade (see
  // Forget).
  struct LegState {
    Command command;
    ServerLine line;
    size_t swallowed = 0;  // octets of a greeting
    Due due = Due::kNothing;
    Greeting greeting = Greeting::kBroken;  // the fresh leg's greeting
  };

  const DialogueOptions* options_;
  LineReader client_lines_;
  LongLines server_lines_;
  LegState leg_;
  Offer offer_;
  uint32_t lines_ = 0;  // lines answered before TLS
  Phase phase_ = Phase::kPlain;
};

}  // namespace starling
