#include "protocols/managesieve.h"

#include <new>

#include "protocols/dialogue.h"
#include "protocols/limits.h"
#include "protocols/line_dialogue.h"
#include "protocols/registry.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";

// A quoted string (RFC 5804 section 4) that is the whole of `text`, and may be
// sent back as it is: quotes and backslashes in it are escaped, and it has no
// control octets.
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

class ManageSieveDialogue final : public LineDialogue {
 public:
  explicit ManageSieveDialogue(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  // With its text, and in one write: clients look for the text's quotes.
  void SayGreeting(Writer& out) override { SayCapabilities(" ManageSieve ready", out); }

  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"BYE \"", text, "\"\r\n"});
  }

  void SayRefusal(Refusal refusal, Writer& out) override {
    RefuseManageSieve(refusal, options(), out);
  }

  // A BYE whose text is a literal has more lines, and ends the relay by itself.
  Greeting Judge(std::string_view line) const override {
    std::string_view rest = line;
    bool bye = EqualsIgnoreCase(TakeWord(rest), "BYE") && !line.ends_with('}');
    return bye ? Greeting::kRefusal : Greeting::kPassOn;
  }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    bool first = !amid_command_;
    if (first) {
      std::string_view rest = line;
      std::string_view verb = TakeWord(rest);
      if (Has8Bit(verb)) {
        Abort(EndReason::kBadOctet, step, out);
        return;
      }
      is_login_ = EqualsIgnoreCase(verb, "AUTHENTICATE");
      if (is_login_) NoteLogin(step);
    }
    Tail tail = TakeLiteral(line, first, step, out);
    if (tail == Tail::kTooLong) return;
    amid_command_ = tail == Tail::kSkipped;
    if (amid_command_) return;
    if (is_login_) {
      Say(out, {"NO (ENCRYPT-NEEDED) \"Use STARTTLS first.\"\r\n"});
    } else if (!first || tail == Tail::kSync) {
      Say(out, {"NO \"Literals are not accepted before STARTTLS.\"\r\n"});
    } else {
      OnCommand(line, step, out);
    }
  }

  void OnCommand(std::string_view line, Step& step, Writer& out) {
    std::string_view arguments = line;
    std::string_view verb = TakeWord(arguments);
    bool bare = verb.size() == line.size();
    if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      if (!bare) {
        Say(out, {"NO \"STARTTLS takes no argument.\"\r\n"});
        return;
      }
      Say(out, {"OK \"Begin TLS negotiation now.\"\r\n"});
      Upgrade(step);
    } else if (bare && EqualsIgnoreCase(verb, "CAPABILITY")) {
      SayCapabilities(" Capability completed", out);
    } else if (EqualsIgnoreCase(verb, "NOOP")) {
      OnNoop(bare, arguments, out);
    } else if (bare && EqualsIgnoreCase(verb, "LOGOUT")) {
      Say(out, {"OK \"Logout completed.\"\r\n"});
      Close(step, EndReason::kGoodbye);
    } else {
      if (EqualsIgnoreCase(verb, "XCLIENT")) step.Note(Attack::kIdentityClaim);
      NoteUnknown(verb, kUpgradeVerb, step);
      Say(out, {"NO \"Command not accepted before STARTTLS.\"\r\n"});
    }
  }

  // Section 2.13: the client's own string comes back, so that it can tell where
  // it is in the stream.
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
    Say(out, {"\"IMPLEMENTATION\" \"Starling\"\r\n\"SIEVE\" \"\"\r\n\"SASL\" \"\"\r\n"
              "\"VERSION\" \"1.0\"\r\n\"STARTTLS\"\r\nOK \"",
              options().hostname, text, "\"\r\n"});
    NoteOffer();
  }

  bool amid_command_ = false;  // a dropped literal came; the command goes on
  bool is_login_ = false;      // the command at hand
};

static_assert(sizeof(ManageSieveDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateManageSieve(void* storage, const DialogueOptions& options) {
  return new (storage) ManageSieveDialogue(options);
}

void RefuseManageSieve(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  switch (refusal) {
    case Refusal::kTooBusy:
      Say(out, {"BYE (TRYLATER) \"Too many connections, try again later.\"\r\n"});
      break;
    case Refusal::kUnavailable:
      Say(out, {"BYE (TRYLATER) \"Server not available, try again later.\"\r\n"});
      break;
    case Refusal::kTimeout:
      Say(out, {"BYE \"Disconnected for inactivity.\"\r\n"});
      break;
    case Refusal::kShutdown:
      Say(out, {"BYE (TRYLATER) \"Server shutting down.\"\r\n"});
      break;
    case Refusal::kTlsExpected:
      Say(out, {"BYE (ENCRYPT-NEEDED) \"TLS is spoken here from the first octet.\"\r\n"});
      break;
  }
}

}  // namespace starling
