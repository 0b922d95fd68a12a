#include "protocols/pop3.h"

#include <algorithm>
#include <array>
#include <new>

#include "protocols/dialogue.h"
#include "protocols/line_dialogue.h"
#include "protocols/registry.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STLS";

// RFC 1939, 2449, 5034, 6856: the verbs that are no damaged STLS, STAT above all.
bool IsOtherVerb(std::string_view verb) {
  static constexpr std::array<std::string_view, 13> kVerbs = {
      "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET",   "TOP",
      "UIDL", "LAST", "UTF8", "LANG", "XTND", "XCLIENT"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [verb](std::string_view known) { return EqualsIgnoreCase(verb, known); });
}

// A bare AUTH asks which mechanisms there are, and exposes nothing.
bool IsLogin(std::string_view verb, bool bare) {
  return EqualsIgnoreCase(verb, "USER") || EqualsIgnoreCase(verb, "PASS") ||
         EqualsIgnoreCase(verb, "APOP") || (EqualsIgnoreCase(verb, "AUTH") && !bare);
}

class Pop3Dialogue final : public LineDialogue {
 public:
  explicit Pop3Dialogue(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"+OK ", options().hostname, " POP3 ready\r\n"});
  }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"-ERR ", text, "\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefusePop3(refusal, options(), out); }

  Greeting Judge(std::string_view line) const override {
    std::string_view rest = line;
    return TakeWord(rest) == "+OK" ? Greeting::kSuccess : Greeting::kRefusal;
  }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    std::string_view arguments = line;
    std::string_view verb = TakeWord(arguments);
    bool bare = verb.size() == line.size();
    if (Has8Bit(verb)) {
      Abort(EndReason::kBadOctet, step, out);
    } else if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      if (!bare) {
        Say(out, {"-ERR STLS takes no argument\r\n"});
        return;
      }
      Say(out, {"+OK Begin TLS negotiation\r\n"});
      Upgrade(step);
    } else if (bare && EqualsIgnoreCase(verb, "CAPA")) {
      Say(out, {"+OK Capability list follows\r\nRESP-CODES\r\nSTLS\r\n.\r\n"});
      NoteOffer();
    } else if (bare && EqualsIgnoreCase(verb, "QUIT")) {
      Say(out, {"+OK Goodbye\r\n"});
      Close(step, EndReason::kGoodbye);
    } else if (IsLogin(verb, bare) || EqualsIgnoreCase(verb, "AUTH")) {
      // Not [AUTH]: mail programs would ask for the password again.
      if (IsLogin(verb, bare)) NoteLogin(step);
      Say(out, {"-ERR [SYS/PERM] TLS required, use STLS\r\n"});
    } else {
      if (EqualsIgnoreCase(verb, "XCLIENT")) step.Note(Attack::kIdentityClaim);
      if (!IsOtherVerb(verb)) NoteUnknown(verb, kUpgradeVerb, step);
      Say(out, {"-ERR Command not accepted before STLS\r\n"});
    }
  }
};

static_assert(sizeof(Pop3Dialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreatePop3(void* storage, const DialogueOptions& options) {
  return new (storage) Pop3Dialogue(options);
}

void RefusePop3(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  switch (refusal) {
    case Refusal::kTooBusy:
      Say(out, {"-ERR [SYS/TEMP] Too many connections, try again later\r\n"});
      break;
    case Refusal::kUnavailable:
      Say(out, {"-ERR [SYS/TEMP] Server not available, try again later\r\n"});
      break;
    case Refusal::kTimeout:
      Say(out, {"-ERR Disconnected for inactivity\r\n"});
      break;
    case Refusal::kShutdown:
      Say(out, {"-ERR [SYS/TEMP] Server shutting down\r\n"});
      break;
    case Refusal::kTlsExpected:
      Say(out, {"-ERR [SYS/PERM] TLS is spoken here from the first octet\r\n"});
      break;
  }
}

}  // namespace starling
