#include "protocols/acap/acap.h"

#include <new>

#include "protocols/acap/limits.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/frames/tag.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";

// RFC 2244 section 7: 1*32 of any ATOM-CHAR but "+". "*" is for untagged lines.
bool IsTag(std::string_view word) {
  constexpr std::string_view kNotInTags = "(){}*\"\\+";
  return !word.empty() && word.size() <= kAcapMaxTag && IsPrintable(word) &&
         word.find_first_of(kNotInTags) == std::string_view::npos;
}

class AcapDialogue final : public LineDialogue {
 public:
  explicit AcapDialogue(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"* ACAP (IMPLEMENTATION \"Starling\") (STARTTLS)\r\n"});
    NoteOffer();
  }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"* BYE \"", text, "\"\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseAcap(refusal, options(), out); }

  // A refusal of more lines, or of which the end is not here yet, ends the relay by itself.
  Greeting Judge(std::string_view line) const override {
    std::string_view rest = line;
    if (FirstWord(rest) != "*") return Greeting::kBroken;
    const std::string_view status = NextWord(rest, kServerBlanks);
    if (EqualsIgnoreCase(status, "ACAP")) return Greeting::kPassOn;
    if (!EqualsIgnoreCase(status, "BYE")) return Greeting::kBroken;
    return is_whole() && !line.ends_with('}') ? Greeting::kRefusal : Greeting::kPassOn;
  }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    bool first = !amid_command_;
    std::string_view command = line;
    if (first) {
      std::string_view tag = TakeWord(command);
      command = TrimEnd(command, kSpace);
      std::string_view arguments = command;
      std::string_view verb = TakeWord(arguments);
      if (Has8Bit(tag) || Has8Bit(verb)) {
        Abort(EndReason::kBadOctet, step, out);
        return;
      }
      tag_.Keep(tag, IsTag(tag));
      is_login_ = EqualsIgnoreCase(verb, "AUTHENTICATE");
      if (is_login_) NoteLogin(step);
    }
    Tail tail = TakeLiteral(line, first, step, out);
    if (tail == Tail::kTooLong) return;
    amid_command_ = tail == Tail::kSkipped;
    if (amid_command_) return;
    if (tag_.none()) {
      NoteNoise();
      Answer("BAD", "Invalid tag", out);
    } else if (is_login_) {
      Answer("NO (ENCRYPT-NEEDED)", "Use STARTTLS first", out);
    } else if (tail == Tail::kBroken) {
      Answer("BAD", "Space behind a literal", out);
    } else if (!first || tail == Tail::kSync) {
      Answer("BAD", "Literals are not accepted before STARTTLS", out);
    } else {
      OnCommand(command, step, out);
    }
  }

  // `command` is all after the tag, without spaces behind it.
  void OnCommand(std::string_view command, Step& step, Writer& out) {
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
    Say(out, {tag_.text(), " ", status, " \"", text, "\"\r\n"});
  }

  Tag<kAcapMaxTag> tag_;       // of the command at hand
  bool amid_command_ = false;  // a dropped literal came; the command goes on
  bool is_login_ = false;      // the command at hand
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
