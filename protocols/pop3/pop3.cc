#include "protocols/pop3/pop3.h"

#include <algorithm>
#include <array>
#include <new>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/line_dialogue.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STLS";

// Verbs that are not a damaged STLS, above all STAT (RFC 1939, 2449, 5034, 6856).
bool IsOtherVerb(std::string_view verb) {
  static constexpr std::array<std::string_view, 13> kVerbs = {
      "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET",   "TOP",
      "UIDL", "LAST", "UTF8", "LANG", "XTND", "XCLIENT"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [verb](std::string_view known) { return EqualsIgnoreCase(verb, known); });
}

// A bare AUTH only asks for the mechanisms, and exposes nothing.
bool IsLogin(std::string_view verb, bool bare) {
  return EqualsIgnoreCase(verb, "USER") || EqualsIgnoreCase(verb, "PASS") ||
         EqualsIgnoreCase(verb, "APOP") || (EqualsIgnoreCase(verb, "AUTH") && !bare);
}

// APOP hashes the backend's first banner, which the client of a plaintext leg never sees.
bool IsPassedLogin(std::string_view verb, bool bare) {
  return IsLogin(verb, bare) && !EqualsIgnoreCase(verb, "APOP");
}

class Pop3Dialogue final : public LineDialogue {
 public:
  explicit Pop3Dialogue(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"+OK POP3 ready at ", options().hostname, "\r\n"});
  }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"-ERR ", text, "\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefusePop3(refusal, options(), out); }

  LegLine Read(std::string_view line) const override {
    if (in_list_) return IsListEnd(line) ? LegLine::kYes : LegLine::kList;
    std::string_view rest = line;
    const std::string_view status = FirstWord(rest);
    if (status == "+") return LegLine::kGoOn;
    if (status == "+OK") return due() == Due::kList ? LegLine::kList : LegLine::kYes;
    if (status != "-ERR") return LegLine::kOther;
    // Unasked, a server says only one thing: that it ends the session.
    const bool bye = due() == Due::kNothing || due() == Due::kGreeting;
    return bye ? LegLine::kBye : LegLine::kNo;
  }

  void Give(LegLine /*what*/, std::string_view line, Step& /*step*/, Writer& out) override {
    if (in_list_) return GiveListLine(line, out);
    GiveLine({line}, out);
    in_list_ = due() == Due::kList && line.starts_with('+');
  }

  // Whether the line ends a list. This includes lines of which the gateway would pass
  // nothing else on: a line that is not whole, or one with white space around it.
  bool IsListEnd(std::string_view line) const {
    return Trim(WholeWords(line, is_whole()), kServerBlanks) == ".";
  }

  // CAPA with the gateway's own upgrade instead of the backend's, and without capabilities
  // that the gateway refuses.
  void GiveListLine(std::string_view line, Writer& out) {
    if (IsListEnd(line)) {
      in_list_ = false;
      Say(out, {"STLS\r\n.\r\n"});
      NoteOffer();
      return;
    }
    std::string_view rest = WholeWords(line, is_whole());
    const std::string_view word = NextWord(rest, kServerBlanks);
    if (EqualsIgnoreCase(word, kUpgradeVerb) || EqualsIgnoreCase(word, "XCLIENT")) return;
    const bool sasl = EqualsIgnoreCase(word, "SASL");
    if (!may_log_in() && (sasl || EqualsIgnoreCase(word, "USER"))) return;
    Say(out, {word});
    while (!rest.empty()) {
      const std::string_view next = NextWord(rest, kServerBlanks);
      // Channel binding would need the client's TLS to end at the backend.
      if (!sasl || !EndsInPlus(next)) Say(out, {" ", next});
    }
    Say(out, {"\r\n"});
  }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    // Dovecot accepts any number of spaces after a command. In names and passwords spaces
    // count (RFC 1939 section 7), so the gateway passes USER and PASS on as sent.
    std::string_view arguments = line;
    std::string_view verb = TakeWord(arguments);
    bool bare = TrimEnd(arguments, kSpace).empty();
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
      if (on_leg()) {
        PassOn(Due::kList);
        return;
      }
      Say(out, {"+OK Capability list follows\r\n", may_log_in() ? "USER\r\n" : "",
                "RESP-CODES\r\nSTLS\r\n.\r\n"});
      NoteOffer();
    } else if (bare && EqualsIgnoreCase(verb, "QUIT")) {
      Say(out, {"+OK Goodbye\r\n"});
      Close(step, EndReason::kGoodbye);
    } else if (may_log_in() && IsPassedLogin(verb, bare)) {
      NoteNotTaken(step);
      PassLogin(verb);
    } else if (IsLogin(verb, bare) || EqualsIgnoreCase(verb, "AUTH")) {
      // The reply has no [AUTH], or mail programs would ask for the password again.
      if (IsLogin(verb, bare)) NoteLogin(step);
      Say(out, {"-ERR [SYS/PERM] TLS required, use STLS\r\n"});
    } else {
      const bool claim = EqualsIgnoreCase(verb, "XCLIENT");
      if (claim) step.Note(Attack::kIdentityClaim);
      if (!IsOtherVerb(verb)) NoteUnknown(verb, kUpgradeVerb, step);
      // The reply to a bare LANG has many lines. The dialogue reads only CAPA's reply as
      // such.
      if (opportunistic() && !claim && IsVerb(verb) && !(bare && EqualsIgnoreCase(verb, "LANG"))) {
        PassOn(Due::kReply);
        return;
      }
      Say(out, {"-ERR Command not accepted before STLS\r\n"});
    }
  }

  void PassLogin(std::string_view verb) {
    if (EqualsIgnoreCase(verb, "USER")) {
      PassOn(Due::kReply, /*literals=*/false, Spacing::kAsSent);
    } else if (EqualsIgnoreCase(verb, "PASS")) {
      PassOn(Due::kLogin, /*literals=*/false, Spacing::kAsSent);
    } else {
      PassOn(Due::kSasl);
    }
  }

  bool in_list_ = false;  // reading the backend's list of capabilities
};

static_assert(sizeof(Pop3Dialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreatePop3(void* storage, const DialogueOptions& options) {
  return new (storage) Pop3Dialogue(options);
}

void RefusePop3(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  std::string_view code = IsTemporary(refusal) ? "[SYS/TEMP] " : "";
  if (refusal == Refusal::kTlsExpected) code = "[SYS/PERM] ";
  Say(out, {"-ERR ", code, TextOf(refusal), "\r\n"});
}

}  // namespace starling
