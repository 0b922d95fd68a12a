// The dialogue of one SMTP or LMTP session as a class; smtp.h makes it.
//
// Not for: anything but smtp.cc and smtp_commands.cc, which share it.
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
    kOpening,    // the plaintext leg is being opened; its command waits
    kLeg,        // the plaintext leg is up
    kUpgrading,  // the go-ahead was given: no octet is read until the fresh leg is up
    kInsideTls,  // it is up, and its greeting is awaited
  };

  bool has_leg() const { return phase_ == Phase::kLeg || phase_ == Phase::kInsideTls; }

  void Start(const Event& event, Output& out);
  void Forget();
  void LegUp(const Event& event);
  Step End(const Event& event, Output& out);
  // What a client's end means once all that it sent has had its effect.
  void FinishIfDone(Step& step) const;

  // Takes what it can off the start of `in`; false if nothing more can be now.
  bool Advance(ByteView in, Output& out, Step& step);
  bool PassOpaque(ByteView in, Output& out, Step& step);
  bool Discard(ByteView in, Step& step);
  bool TakeLine(ByteView in, Output& out, Step& step);

  // Each is given a whole command; false if it was not taken (blocked_).
  bool Handle(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnHello(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnStartTls(const SmtpCommand& command, Output& out, Step& step);
  bool OnAuth(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool OnBdat(const SmtpCommand& command, Output& out, Step& step);

  // To the leg, which is opened first where there is none yet.
  bool Work(const SmtpCommand& command, std::string_view line, Output& out, Step& step);
  bool Pass(const SmtpCommand& command, std::string_view line, Output& out);
  // To the leg if there is one, else the gateway's own answer.
  bool PassOr(SmtpReply reply, const SmtpCommand& command, std::string_view line, Output& out,
              Step& step);
  // The gateway's own answer; under `require` it is 530 instead.
  bool Refuse(SmtpReply reply, Output& out, Step& step);
  bool Answer(SmtpReply reply, Output& out, Step& step);
  bool Goodbye(SmtpReply reply, EndReason reason, Output& out, Step& step);
  // Counts a command that the gateway answers; false (and goodbye) past the limit.
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
  bool offered_ = false;            // STARTTLS was listed
  bool offer_is_last_ = false;      // and no command has come since
  bool not_taken_ = false;          // noted
  bool ehlo_refused_ = false;       // noted
  bool blocked_ = false;            // octets of the client wait for something else
  bool waits_for_backend_ = false;  // and that is a reply
  bool client_ended_ = false;
  uint16_t hello_size_ = 0;
  // The line that is replayed on a plaintext leg, without its CRLF.
  std::array<char, sizeof("EHLO ") + kSmtpMaxHeloArgument> hello_;
};

}  // namespace starling
