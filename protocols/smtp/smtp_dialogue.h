// The dialogue of one SMTP or LMTP session, as a class. smtp.h makes it.
//
// Not for: any files except smtp.cc and smtp_commands.cc, which share it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/line_reader.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp_leg.h"
#include "protocols/smtp/smtp_wire.h"

namespace starling {

class Smtp final : public Negotiator {
 public:
  Smtp(const DialogueOptions& options, bool lmtp);

  Step OnClient(ByteView in, Output& out) override;
  Step OnBackend(ByteView in, Output& out) override;
  Step OnEvent(const Event& event, Output& out) override;

 private:
  enum class Phase : uint8_t {
    kDialogue,   // no leg: the gateway answers
    kOpening,    // the plaintext leg is opening, and its command waits
    kLeg,        // the plaintext leg is up
    kUpgrading,  // the go-ahead is given; the gateway reads no octet until the fresh leg is up
    kInsideTls,  // it is up, and its greeting is awaited
  };

  bool has_leg() const { return phase_ == Phase::kLeg || phase_ == Phase::kInsideTls; }

  void Start(const Event& event, Output& out);
  void Forget();
  void LegUp(const Event& event);
  Step End(const Event& event, Output& out);
  // Acts on the end of the client's data, once everything before it has had its effect.
  void FinishIfDone(Step& step) const;

  // Takes what it can from the beginning of `in`. Returns false if it can take nothing more
  // now.
  bool Advance(ByteView in, Output& out, Step& step);
  bool PassOpaque(ByteView in, Output& out, Step& step);
  bool Discard(ByteView in, Step& step);
  bool TakeLine(ByteView in, Output& out, Step& step);

  // Each gets a whole command, and returns false if it did not take it (blocked_).
  bool Handle(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnHello(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnStartTls(const SmtpCommand& command, Output& out, Step& step);
  bool OnAuth(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnBdat(const SmtpCommand& command, Output& out, Step& step);

  // Passes the command to the leg. Opens the leg first if there is none.
  bool Work(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool Pass(const SmtpCommand& command, std::string_view line, Output& out);
  // Passes the command to the leg if there is one, or gives the gateway's own answer.
  bool PassOr(SmtpReply reply, const SmtpCommand& command, std::string_view line, Output& out,
              Step& step);
  // Gives the gateway's own answer. Under `require` it is 530 instead.
  bool Refuse(SmtpReply reply, Output& out, Step& step);
  bool Answer(SmtpReply reply, Output& out, Step& step);
  bool Goodbye(SmtpReply reply, EndReason reason, Output& out, Step& step);
  // Counts a command that the gateway answers. Past the limit it says goodbye and returns
  // false.
  bool Count(Output& out, Step& step);
  void NoteOffer(Step& step);
  void NoteWork(Step& step);
  void SaveHello(std::string_view verb, std::string_view argument);

  bool require() const { return options_.policy == Policy::kRequire; }

  const DialogueOptions& options_;
  LineReader reader_;
  SmtpLeg leg_;
  uint64_t capabilities_ = kSmtpDefaultCapabilities;
  size_t discard_ = 0;  // octets of a refused BDAT still to come
  uint32_t commands_ = 0;
  Phase phase_ = Phase::kDialogue;
  bool lmtp_;
  bool offered_ = false;            // the dialogue has listed STARTTLS
  bool offer_is_last_ = false;      // no command has come since the offer
  bool not_taken_ = false;          // noted
  bool ehlo_refused_ = false;       // noted
  bool blocked_ = false;            // the client's octets wait for something else
  bool waits_for_backend_ = false;  // and that is a reply of the backend
  bool client_ended_ = false;
  uint16_t hello_size_ = 0;
  // The hello that the gateway says again on a plaintext leg, without its CRLF.
  std::array<char, sizeof("EHLO ") + kSmtpMaxHeloArgument> hello_;
};

}  // namespace starling
