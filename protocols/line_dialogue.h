// The frame of the dialogues of IMAP, POP3, ManageSieve and NNTP under
// `policy: require`: before TLS the gateway alone answers lines; on the fresh
// leg after TLS the backend's greeting is swallowed or passed on, and a line may
// be said again for the client.
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
  Step OnClient(ByteView in, Output& out) final;
  Step OnBackend(ByteView in, Output& out) final;
  Step OnEvent(const Event& event, Output& out) final;

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

  const DialogueOptions& options() const { return *options_; }

  // The upgrade was listed in what has just been written.
  void NoteOffer();
  // Log-in was attempted before TLS, and is being refused.
  void NoteLogin(Step& step);
  // An unknown verb: notes what it may have been.
  static void NoteUnknown(std::string_view verb, std::string_view upgrade_verb, Step& step);
  // The go-ahead has been written: TLS comes next.
  void Upgrade(Step& step);
  // Ends the session for `reason`, with the protocol's goodbye.
  void Abort(EndReason reason, Step& step, Writer& out);
  // Looks for a literal at the end of `line`, and begins to drop what it announces.
  // All literals of one command together may have kMaxLiteral octets; `first` says
  // that this line begins a command.
  Tail TakeLiteral(std::string_view line, bool first, Step& step, Writer& out);

 private:
  enum class Phase : uint8_t {
    kPlain,      // before TLS: the gateway answers
    kUpgrading,  // the go-ahead is given; no octet is read until the leg is up
    kPreamble,   // the fresh leg is up, its greeting is awaited
  };

  void DropLiteral(ByteView rest, Step& step, Writer& out);
  void ReadLine(ByteView rest, Step& step, Writer& out);
  void ReadPreamble(ByteView rest, Step& step, Output& out);

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
};

}  // namespace starling
