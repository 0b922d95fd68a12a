#include "protocols/acap/acap.h"

#include <new>

#include "protocols/acap/limits.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/limits.h"
#include "protocols/frames/literal_dialogue.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";

// RFC 2244 section 7: 1*32 of any ATOM-CHAR except "+". "*" marks untagged lines.
constexpr std::string_view kNotInTags = "(){}*\"\\+";
static_assert(kAcapMaxTag <= kMaxTag);

class AcapDialogue final : public LiteralDialogue {
 public:
  explicit AcapDialogue(const DialogueOptions& options)
      : LiteralDialogue(options, {.most = kAcapMaxTag, .excluded = kNotInTags}) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"* ACAP (IMPLEMENTATION \"Starling\") (STARTTLS)\r\n"});
    NoteOffer();
  }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"* BYE \"", text, "\"\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseAcap(refusal, options(), out); }

  // A refusal of several lines, or one whose end has not arrived, ends the relay by itself.
  Greeting Judge(std::string_view line) const override {
    std::string_view rest = line;
    if (FirstWord(rest) != "*") return Greeting::kBroken;
    const std::string_view status = NextWord(rest, kServerBlanks);
    if (EqualsIgnoreCase(status, "ACAP")) return Greeting::kPassOn;
    if (!EqualsIgnoreCase(status, "BYE")) return Greeting::kBroken;
    return is_whole() && !line.ends_with('}') ? Greeting::kRefusal : Greeting::kPassOn;
  }

  bool IsLogin(std::string_view verb) const override {
    return EqualsIgnoreCase(verb, "AUTHENTICATE");
  }

  void SayFault(Fault fault, Writer& out) override {
    switch (fault) {
      case Fault::kTag:
        return Answer("BAD", "Invalid tag", out);
      case Fault::kLogin:
        return Answer("NO (ENCRYPT-NEEDED)", "Use STARTTLS first", out);
      case Fault::kSpaceBehindLiteral:
        return Answer("BAD", "Space behind a literal", out);
      case Fault::kLiteral:
        return Answer("BAD", "Literals are not accepted before STARTTLS", out);
    }
  }

  void OnCommand(std::string_view command, Step& step, Writer& out) override {
    if (EqualsIgnoreCase(command, kUpgradeVerb)) {
      Answer("OK", "Begin TLS negotiation now", out);
      Upgrade(step);
    } else if (EqualsIgnoreCase(command, "NOOP")) {
      Answer("OK", "NOOP completed", out);
    } else if (EqualsIgnoreCase(command, "LOGOUT")) {
      Say(out, {"* BYE \"Logging out\"\r\n"});
      Answer("OK", "Logout completed", out);
      Close(step, EndReason::kGoodbye);
    } else {
      std::string_view arguments = command;
      std::string_view verb = TakeWord(arguments);
      NoteUnknown(verb, kUpgradeVerb, step);
      bool upgrade = EqualsIgnoreCase(verb, kUpgradeVerb);
      Answer("BAD", upgrade ? "STARTTLS takes no argument" : "Not accepted before STARTTLS", out);
    }
  }

  void Answer(std::string_view status, std::string_view text, Writer& out) {
    Say(out, {tag(), " ", status, " \"", text, "\"\r\n"});
  }
};

static_assert(sizeof(AcapDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateAcap(void* storage, const DialogueOptions& options) {
  return new (storage) AcapDialogue(options);
}

void RefuseAcap(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  std::string_view code = IsTemporary(refusal) ? "(TRYLATER) " : "";
  if (refusal == Refusal::kTlsExpected) code = "(ENCRYPT-NEEDED) ";
  Say(out, {"* BYE ", code, "\"", TextOf(refusal), "\"\r\n"});
}

}  // namespace starling
