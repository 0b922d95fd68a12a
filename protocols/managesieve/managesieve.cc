#include "protocols/managesieve/managesieve.h"

#include <algorithm>
#include <new>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/literal_dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/managesieve/limits.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";

// Whether all of `text` is a quoted string (RFC 5804 section 4) that the gateway may send
// back as it is: with escaped quotes and backslashes, and without control octets.
bool IsQuotedString(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
  std::string_view inner = text.substr(1, text.size() - 2);
  for (size_t i = 0; i < inner.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(inner[i]);
    if (c < 0x20 || c == 0x7f || c == '"') return false;
    if (c != '\\') continue;
    ++i;
    if (i == inner.size() || (inner[i] != '"' && inner[i] != '\\')) return false;
  }
  return true;
}

class ManageSieveDialogue final : public LiteralDialogue {
 public:
  explicit ManageSieveDialogue(const DialogueOptions& options) : LiteralDialogue(options) {}

 private:
  // The greeting has a text, and the gateway writes it at once: clients look for the text's
  // quotes.
  void SayGreeting(Writer& out) override { SayCapabilities(" ManageSieve ready", out); }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"BYE \"", text, "\"\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override {
    RefuseManageSieve(refusal, options(), out);
  }

  // This begins a list of capabilities. A refusal of several lines, or one whose end has
  // not arrived, ends the relay by itself.
  Greeting Judge(std::string_view line) const override {
    const LegLine what = Read(line);
    if (what == LegLine::kOther) return Greeting::kBroken;
    const bool bye = what == LegLine::kBye && is_whole() && !line.ends_with('}');
    return bye ? Greeting::kRefusal : Greeting::kPassOn;
  }

  bool IsLogin(std::string_view verb) const override {
    return EqualsIgnoreCase(verb, "AUTHENTICATE");
  }

  bool PassLogin(std::string_view /*verb*/) override {
    PassOn(Due::kSasl, /*literals=*/true);
    return true;
  }

  void SayFault(Fault fault, Writer& out) override {
    switch (fault) {
      case Fault::kTag:
        break;  // there are none
      case Fault::kLogin:
        return Say(out, {"NO (ENCRYPT-NEEDED) \"Use STARTTLS first.\"\r\n"});
      case Fault::kSpaceBehindLiteral:
        return Say(out, {"NO \"Space behind a literal.\"\r\n"});
      case Fault::kLiteral:
        return Say(out, {"NO \"Literals are not accepted before STARTTLS.\"\r\n"});
    }
  }

  bool has_literals() const override { return true; }

  LegLine Read(std::string_view line) const override {
    if (line.starts_with('"') || line.starts_with('{')) {
      if (due() == Due::kSasl) return LegLine::kGoOn;
      return line.starts_with('"') ? LegLine::kList : LegLine::kOther;
    }
    std::string_view rest = line;
    const std::string_view status = FirstWord(rest);
    if (EqualsIgnoreCase(status, "OK")) return LegLine::kYes;
    if (EqualsIgnoreCase(status, "BYE")) return LegLine::kBye;
    if (!EqualsIgnoreCase(status, "NO")) return LegLine::kOther;
    return due() == Due::kGreeting ? LegLine::kBye : LegLine::kNo;
  }

  void Give(LegLine what, std::string_view line, Step& step, Writer& out) override {
    if (what == LegLine::kGoOn) return GiveLine({line}, out);
    if (what == LegLine::kList) return GiveListLine(line, out);
    std::string_view rest = line;
    const std::string_view status = FirstWord(rest);
    if (what == LegLine::kYes && due() == Due::kList) {
      Say(out, {"\"STARTTLS\"\r\n"});
      NoteOffer();
    }
    // The gateway replaces a referral (section 1.3), which would send the client and its
    // password wherever the backend's text says.
    if (MayRefer(rest)) {
      NoteDiversion(step);
      Say(out, {status, " \"Not available here.\"\r\n"});
      return;
    }
    GiveLine({line}, out);
  }

  // `text` is everything after the status. If the line is not whole, its last words may
  // still become a referral.
  bool MayRefer(std::string_view text) const {
    constexpr std::string_view kReferral = "REFERRAL";
    if (text.empty()) return !is_whole();
    if (!text.starts_with('(')) return false;
    const std::string_view code = TrimStart(text.substr(1), kServerBlanks);
    const size_t size = is_whole() ? kReferral.size() : std::min(code.size(), kReferral.size());
    return EqualsIgnoreCase(code.substr(0, size), kReferral.substr(0, size));
  }

  void GiveListLine(std::string_view line, Writer& out) {
    // The line begins with a quotation mark. Anything between the name and its value
    // belongs to neither.
    const size_t end = std::min(line.find('"', 1), line.size());
    const std::string_view name = Trim(line.substr(1, end - 1), kServerBlanks);
    std::string_view value = line.substr(end);
    if (!value.empty()) value.remove_prefix(1);
    value = TrimStart(value, kServerBlanks);
    if (EqualsIgnoreCase(name, "STARTTLS") || EqualsIgnoreCase(name, "XCLIENT")) return;
    if (EqualsIgnoreCase(name, "SASL")) return PassMechanisms(value, out);
    GiveLine({line}, out);
  }

  // Passes on the mechanisms that the gateway allows and that work without the client's
  // TLS.
  void PassMechanisms(std::string_view value, Writer& out) {
    if (value.starts_with('"')) value.remove_prefix(1);
    value = value.substr(0, value.find('"'));
    value = WholeWords(value, is_whole());
    Say(out, {"\"SASL\" \""});
    std::string_view space;
    while (may_log_in() && !value.empty()) {
      const std::string_view word = NextWord(value, kServerBlanks);
      if (word.empty() || word.starts_with('{') || EndsInPlus(word)) continue;
      Say(out, {space, word});
      space = " ";
    }
    Say(out, {"\"\r\n"});
  }

  // Dovecot accepts any number of spaces between and after the words, but none before.
  void OnCommand(std::string_view command, Step& step, Writer& out) override {
    std::string_view arguments = command;
    std::string_view verb = TakeWord(arguments);
    arguments = TrimStart(arguments, kSpace);
    bool bare = arguments.empty();
    if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      if (!bare) {
        Say(out, {"NO \"STARTTLS takes no argument.\"\r\n"});
        return;
      }
      Say(out, {"OK \"Begin TLS negotiation now.\"\r\n"});
      Upgrade(step);
    } else if (bare && EqualsIgnoreCase(verb, "CAPABILITY")) {
      if (on_leg()) {
        PassOn(Due::kList);
        return;
      }
      SayCapabilities(" Capability completed", out);
    } else if (EqualsIgnoreCase(verb, "NOOP")) {
      OnNoop(bare, arguments, out);
    } else if (bare && EqualsIgnoreCase(verb, "LOGOUT")) {
      Say(out, {"OK \"Logout completed.\"\r\n"});
      Close(step, EndReason::kGoodbye);
    } else {
      const bool claim = EqualsIgnoreCase(verb, "XCLIENT");
      if (claim) step.Note(Attack::kIdentityClaim);
      NoteUnknown(verb, kUpgradeVerb, step);
      if (opportunistic() && !claim && IsVerb(verb)) {
        PassOn(Due::kReply);
        return;
      }
      Say(out, {"NO \"Command not accepted before STARTTLS.\"\r\n"});
    }
  }

  // The gateway sends the client's own string back, so that the client can tell where it is
  // in the stream (section 2.13).
  void OnNoop(bool bare, std::string_view argument, Writer& out) {
    if (bare) {
      Say(out, {"OK \"NOOP completed.\"\r\n"});
    } else if (argument.size() <= kSieveMaxTag && IsQuotedString(argument)) {
      Say(out, {"OK (TAG ", argument, ") \"NOOP completed.\"\r\n"});
    } else {
      Say(out, {"NO \"NOOP takes one short quoted string.\"\r\n"});
    }
  }

  void SayCapabilities(std::string_view text, Writer& out) {
    Say(out, {"\"IMPLEMENTATION\" \"Starling\"\r\n\"SIEVE\" \"\"\r\n",
              // Every server has PLAIN (RFC 5804 section 2.1), and clients look for it.
              may_log_in() ? "\"SASL\" \"PLAIN\"\r\n" : "\"SASL\" \"\"\r\n",
              "\"VERSION\" \"1.0\"\r\n\"STARTTLS\"\r\nOK \"", options().hostname, text, "\"\r\n"});
    NoteOffer();
  }
};

static_assert(sizeof(ManageSieveDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateManageSieve(void* storage, const DialogueOptions& options) {
  return new (storage) ManageSieveDialogue(options);
}

void RefuseManageSieve(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  std::string_view code = IsTemporary(refusal) ? "(TRYLATER) " : "";
  if (refusal == Refusal::kTlsExpected) code = "(ENCRYPT-NEEDED) ";
  Say(out, {"BYE ", code, "\"", TextOf(refusal), ".\"\r\n"});
}

}  // namespace starling
