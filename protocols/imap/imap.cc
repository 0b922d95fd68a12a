#include "protocols/imap/imap.h"

#include <new>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/limits.h"
#include "protocols/frames/literal_dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/imap/limits.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";
// IMAP4rev1 comes first, because scanners look for it there.
constexpr std::string_view kCapabilities = "CAPABILITY IMAP4rev1 ID STARTTLS";
constexpr std::string_view kNoLogin = " LOGINDISABLED";

// RFC 3501 section 9: any ASTRING-CHAR except "+".
constexpr std::string_view kNotInTags = "(){%*\"\\+";
static_assert(kImapMaxTag <= kMaxTag);

class ImapDialogue final : public LiteralDialogue {
 public:
  explicit ImapDialogue(const DialogueOptions& options)
      : LiteralDialogue(options, {.most = kImapMaxTag, .excluded = kNotInTags}) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"* OK [", kCapabilities, NoLogin(), "] ", options().hostname, " IMAP ready\r\n"});
    NoteOffer();
  }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"* BYE ", text, "\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseImap(refusal, options(), out); }

  bool IsLogin(std::string_view verb) const override {
    return EqualsIgnoreCase(verb, "LOGIN") || EqualsIgnoreCase(verb, "AUTHENTICATE");
  }

  bool PassLogin(std::string_view verb) override {
    // SASL responses are never literals.
    const bool sasl = EqualsIgnoreCase(verb, "AUTHENTICATE");
    PassOn(sasl ? Due::kSasl : Due::kLogin, /*literals=*/!sasl);
    return true;
  }

  void SayFault(Fault fault, Writer& out) override {
    switch (fault) {
      case Fault::kTag:
        return Answer("BAD", "Invalid tag", out);
      case Fault::kLogin:
        return Answer("NO", "[PRIVACYREQUIRED] Use STARTTLS first", out);
      case Fault::kSpaceBehindLiteral:
        return Answer("BAD", "Space behind a literal", out);
      case Fault::kLiteral:
        return Answer("BAD", "Literals are not accepted before STARTTLS", out);
    }
  }

  void OnCommand(std::string_view command, Step& step, Writer& out) override {
    std::string_view arguments = command;
    std::string_view verb = TakeWord(arguments);
    bool bare = verb.size() == command.size();
    if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      if (!bare) {
        Answer("BAD", "STARTTLS takes no argument", out);
        return;
      }
      Answer("OK", "Begin TLS negotiation now", out);
      Upgrade(step);
    } else if (EqualsIgnoreCase(verb, "ID") && !bare) {
      Say(out, {"* ID NIL\r\n"});
      Answer("OK", "ID completed", out);
    } else if (bare && EqualsIgnoreCase(verb, "CAPABILITY")) {
      if (on_leg()) {
        PassOn(Due::kList);
        return;
      }
      Say(out, {"* ", kCapabilities, NoLogin(), "\r\n"});
      Answer("OK", "Capability completed", out);
      NoteOffer();
    } else if (bare && EqualsIgnoreCase(verb, "NOOP")) {
      Answer("OK", "NOOP completed", out);
    } else if (bare && EqualsIgnoreCase(verb, "LOGOUT")) {
      Say(out, {"* BYE Logging out\r\n"});
      Answer("OK", "Logout completed", out);
      Close(step, EndReason::kGoodbye);
    } else {
      NoteUnknown(verb, kUpgradeVerb, step);
      if (opportunistic() && IsVerb(verb)) {
        PassOn(Due::kReply);
        return;
      }
      Answer("BAD", "Command not accepted before STARTTLS", out);
    }
  }

  // Before log-in there are no mailboxes. A line about one is forged, or must not reach a
  // client whose octets anybody may have written.
  LegLine Read(std::string_view line) const override {
    const bool greets = due() == Due::kGreeting;
    std::string_view rest = line;
    const std::string_view first = FirstWord(rest);
    const std::string_view status = NextWord(rest, kServerBlanks);
    if (first == "+") return LegLine::kGoOn;
    const bool ok = EqualsIgnoreCase(status, "OK");
    const bool no = EqualsIgnoreCase(status, "NO") || EqualsIgnoreCase(status, "BAD");
    if (first == "*") {
      if (EqualsIgnoreCase(status, "PREAUTH")) return LegLine::kPreauth;
      if (EqualsIgnoreCase(status, "BYE")) return LegLine::kBye;
      if (greets) return ok ? LegLine::kYes : LegLine::kOther;
      return ok || no || EqualsIgnoreCase(status, "CAPABILITY") ? LegLine::kWord : LegLine::kOther;
    }
    if (greets || first != tag()) return LegLine::kOther;
    return ok ? LegLine::kYes : no ? LegLine::kNo : LegLine::kOther;
  }

  void Give(LegLine what, std::string_view line, Step& step, Writer& out) override {
    if (what == LegLine::kGoOn) return GiveLine({line}, out);
    std::string_view rest = line;
    const std::string_view first = FirstWord(rest);
    const std::string_view status = NextWord(rest, kServerBlanks);
    if (EqualsIgnoreCase(status, "CAPABILITY")) {
      Say(out, {"* "});
      PassCapabilities(WholeWords(rest, is_whole()), /*offer=*/true, out);
      Say(out, {"\r\n"});
      return;
    }
    // STARTTLS is illegal after log-in (RFC 3501 section 6.2), so the gateway does not
    // offer it then, nor when nobody is there to take the offer.
    const bool logged_in = what == LegLine::kYes && (due() == Due::kLogin || due() == Due::kSasl);
    PassStatus(first, status, rest, /*offer=*/!logged_in && due() != Due::kGreeting, step, out);
  }

  // `text` may begin with a code. The gateway omits a referral (RFC 2221), which would send
  // the client and its password wherever the backend's text says.
  void PassStatus(std::string_view first, std::string_view status, std::string_view text,
                  bool offer, Step& step, Writer& out) {
    Say(out, {first, " ", status, " "});
    const size_t end = text.find(']');
    if (text.starts_with('[') && end != std::string_view::npos) {
      std::string_view arguments = text.substr(1, end - 1);
      const std::string_view code = NextWord(arguments, kServerBlanks);
      if (EqualsIgnoreCase(code, "CAPABILITY")) {
        Say(out, {"["});
        PassCapabilities(arguments, offer, out);
        text.remove_prefix(end);
      } else if (EqualsIgnoreCase(code, "REFERRAL")) {
        NoteDiversion(step);
        return SayText("Not available here", out);
      }
    } else if (text.starts_with('[') || (text.empty() && !is_whole())) {
      // The code has no end, or is too long, or comes too late for the gateway to read it
      // whole.
      return SayText(EqualsIgnoreCase(status, "OK") ? "Completed" : "Not available here", out);
    }
    GiveLine({text}, out);
  }

  // Instead of the backend's text.
  static void SayText(std::string_view text, Writer& out) { Say(out, {text, "\r\n"}); }

  // Passes on a list with the gateway's own upgrade instead of the backend's.
  void PassCapabilities(std::string_view list, bool offer, Writer& out) {
    Say(out, {"CAPABILITY"});
    while (!list.empty()) {
      const std::string_view word = NextWord(list, kServerBlanks);
      if (word.empty() || IsWithheld(word)) continue;
      Say(out, {" ", word});
    }
    if (!offer) return;
    Say(out, {" STARTTLS", NoLogin()});
    NoteOffer();
  }

  // Capabilities that the gateway has itself, refuses, or makes impossible. Channel binding
  // would need the client's TLS to end at the backend.
  bool IsWithheld(std::string_view word) const {
    if (EqualsIgnoreCase(word, kUpgradeVerb)) return true;
    if (EqualsIgnoreCase(word, "LOGIN-REFERRALS")) return true;
    const bool mechanism = EqualsIgnoreCase(word.substr(0, 5), "AUTH=");
    if (mechanism && EndsInPlus(word)) return true;
    if (may_log_in()) return false;
    return mechanism || EqualsIgnoreCase(word, "SASL-IR") ||
           EqualsIgnoreCase(word, "LOGINDISABLED");
  }

  std::string_view NoLogin() const { return may_log_in() ? std::string_view() : kNoLogin; }

  void Answer(std::string_view status, std::string_view text, Writer& out) {
    Say(out, {tag(), " ", status, " ", text, "\r\n"});
  }
};

static_assert(sizeof(ImapDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateImap(void* storage, const DialogueOptions& options) {
  return new (storage) ImapDialogue(options);
}

void RefuseImap(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  std::string_view code = IsTemporary(refusal) ? "[UNAVAILABLE] " : "";
  if (refusal == Refusal::kTlsExpected) code = "[PRIVACYREQUIRED] ";
  Say(out, {"* BYE ", code, TextOf(refusal), "\r\n"});
}

}  // namespace starling
