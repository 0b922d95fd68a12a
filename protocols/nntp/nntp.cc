#include "protocols/nntp/nntp.h"

#include <algorithm>
#include <array>
#include <new>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/limits.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/nntp/limits.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";

// Verbs that a backend may know (RFC 3977, 4643, 4644, 6048, 8054, and RFC 2980's
// extensions). DATE is among them, since a dialogue has no clock.
bool NeedsTls(std::string_view verb) {
  static constexpr std::array<std::string_view, 29> kVerbs = {
      "ARTICLE", "AUTHINFO", "BODY", "CHECK", "COMPRESS",  "DATE",     "GROUP",     "HDR",
      "HEAD",    "IHAVE",    "LAST", "LIST",  "LISTGROUP", "MODE",     "NEWGROUPS", "NEWNEWS",
      "NEXT",    "OVER",     "POST", "SLAVE", "STAT",      "TAKETHIS", "XFEATURE",  "XGTITLE",
      "XHDR",    "XOVER",    "XPAT", "XPATH", "XREPLIC"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [verb](std::string_view known) { return EqualsIgnoreCase(verb, known); });
}

// The three octets at the beginning of a reply if they are a word, or nothing.
std::string_view Code(std::string_view line) {
  constexpr size_t kDigits = 3;
  std::string_view rest = line;
  std::string_view word = FirstWord(rest);
  return word.size() == kDigits ? word : std::string_view();
}

// 200: posting allowed, 201: prohibited. In a greeting and in the answer to MODE READER.
bool IsWelcome(std::string_view line) {
  std::string_view code = Code(line);
  return code == "200" || code == "201";
}

bool IsRefusal(std::string_view line) {
  std::string_view code = Code(line);
  return (code.starts_with('4') || code.starts_with('5')) && IsNumber(code);
}

class NntpDialogue final : public LineDialogue {
 public:
  explicit NntpDialogue(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  // The greeting is 200, because some clients accept no 201. The backend decides whether
  // clients may post.
  void SayGreeting(Writer& out) override {
    Say(out, {"200 ", options().hostname, " NNTP ready\r\n"});
  }

  // A server may end the session by 400 at any time (RFC 3977 section 3.1).
  void SayGoodbye(std::string_view text, Writer& out) override { Say(out, {"400 ", text, "\r\n"}); }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseNntp(refusal, options(), out); }

  // If the probe has not asked the backend yet, nobody knows whether it is a reader. An
  // extra MODE READER does no harm. Clients that see READER omit it, and then innd does not
  // serve them.
  void Learn(uint64_t capabilities) override { reader_ = (capabilities & kNntpReader) != 0; }

  // For the greeting (RFC 3977 section 5.1) and the answer to MODE READER (section 5.3).
  Greeting Judge(std::string_view line) const override {
    if (IsRefusal(line)) return Greeting::kRefusal;
    if (!IsWelcome(line)) return Greeting::kBroken;
    return mode_reader_ && !said_again_ ? Greeting::kReplay : Greeting::kSuccess;
  }

  // The effect of MODE READER outlives the upgrade, and the client must not send it again
  // (RFC 4642 section 2.2.2).
  void SayAgain(Writer& backend) override {
    Say(backend, {"MODE READER\r\n"});
    said_again_ = true;
  }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    if (in_article_) {
      NoteNoise();
      if (line != ".") return;
      in_article_ = false;
      SayUseTls(out);
      return;
    }
    // RFC 3977 sections 9.2 and 9.8 allow spaces and tabs between and after the words. INN
    // also accepts them before the first word.
    std::string_view arguments = TrimEnd(line, kBlanks);
    const std::string_view verb = NextWord(arguments, kBlanks);
    const bool bare = arguments.empty();
    if (Has8Bit(verb)) {
      Abort(EndReason::kBadOctet, step, out);
    } else if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      // The refusal is never 480 or 483 (RFC 4642 section 2.2.1).
      if (!bare) {
        Say(out, {"501 STARTTLS takes no argument\r\n"});
        return;
      }
      Say(out, {"382 Begin TLS negotiation\r\n"});
      Upgrade(step);
    } else if (EqualsIgnoreCase(verb, "CAPABILITIES")) {
      OnCapabilities(arguments, out);
    } else if (EqualsIgnoreCase(verb, "MODE")) {
      OnMode(arguments, out);
    } else if (EqualsIgnoreCase(verb, "QUIT")) {
      if (!bare) {
        Say(out, {"501 QUIT takes no argument\r\n"});
        return;
      }
      Say(out, {"205 Goodbye\r\n"});
      Close(step, EndReason::kGoodbye);
    } else if (bare && EqualsIgnoreCase(verb, "HELP")) {
      Say(out,
          {"100 Before TLS\r\nCAPABILITIES\r\nHELP\r\nMODE READER\r\nQUIT\r\nSTARTTLS\r\n.\r\n"});
    } else {
      OnOther(verb, step, out);
    }
  }

  void OnOther(std::string_view verb, Step& step, Writer& out) {
    if (EqualsIgnoreCase(verb, "AUTHINFO")) NoteLogin(step);
    if (EqualsIgnoreCase(verb, "TAKETHIS")) {
      // The client sends the article without waiting, and the answer comes at its end (RFC
      // 4644 section 2.5). No line of the article may count as a command.
      in_article_ = true;
    } else if (NeedsTls(verb)) {
      SayUseTls(out);
    } else {
      NoteUnknown(verb, kUpgradeVerb, step);
      Say(out, {"500 Unknown command\r\n"});
    }
  }

  // The client may add a keyword, which changes nothing here (RFC 3977 section 5.2).
  void OnCapabilities(std::string_view keyword, Writer& out) {
    if (!IsPrintable(keyword)) {
      Say(out, {"501 CAPABILITIES takes one keyword\r\n"});
      return;
    }
    Say(out, {"101 Capability list follows\r\nVERSION 2\r\nIMPLEMENTATION Starling\r\n",
              reader_ || mode_reader_ ? "READER" : "MODE-READER", "\r\nSTARTTLS\r\n.\r\n"});
    NoteOffer();
  }

  void OnMode(std::string_view argument, Writer& out) {
    if (EqualsIgnoreCase(argument, "READER")) {
      mode_reader_ = true;
      Say(out, {"200 Reader mode\r\n"});
    } else if (EqualsIgnoreCase(argument, "STREAM")) {
      SayUseTls(out);
    } else {
      Say(out, {"501 Unknown mode\r\n"});
    }
  }

  static void SayUseTls(Writer& out) { Say(out, {"483 Use STARTTLS first\r\n"}); }

  bool reader_ = false;       // the backend is a reader without MODE READER
  bool mode_reader_ = false;  // the client has sent MODE READER; survives the upgrade
  bool said_again_ = false;   // the dialogue has repeated it on the fresh leg
  bool in_article_ = false;   // the dialogue is dropping the lines of a refused TAKETHIS
};

// Greeting, CAPABILITIES, QUIT.
class NntpProbe final : public Probe {
 public:
  ProbeResult OnBackend(ByteView in, Output& out) override {
    ProbeResult result;
    while (result.consumed < in.size() && result.status == ProbeResult::Status::kNeedMore) {
      const LongLines::Piece piece = lines_.Next(in.subspan(result.consumed));
      if (piece.status == LongLines::Status::kNeedMore) break;
      if (piece.status == LongLines::Status::kBroken) {
        result.status = ProbeResult::Status::kBad;
        break;
      }
      result.consumed += piece.consumed;
      if (piece.first) ++count_;
      if (count_ == 1) greeting_ += piece.consumed;
      if (greeting_ > kMaxLegGreeting) {
        result.status = ProbeResult::Status::kBad;  // a session would not swallow it
        break;
      }
      if (!piece.first) continue;
      // The gateway limits how much it reads. A server that answers is up.
      result.status = count_ > kNntpMaxProbeLines ? Done(out) : OnLine(piece.text, out);
    }
    if (result.status == ProbeResult::Status::kDone) result.capabilities = capabilities_;
    return result;
  }

 private:
  ProbeResult::Status OnLine(std::string_view line, Output& out) {
    switch (count_) {
      case 1:
        if (!IsWelcome(line)) return ProbeResult::Status::kBad;
        Say(out.backend, {"CAPABILITIES\r\n"});
        return ProbeResult::Status::kNeedMore;
      case 2:
        // A server from before RFC 3977 is up too, but the probe does not learn what it is.
        return Code(line) == "101" ? ProbeResult::Status::kNeedMore : Done(out);
      default:
        line = Trim(line, kServerBlanks);
        if (line == ".") return Done(out);
        if (EqualsIgnoreCase(line, "READER")) capabilities_ |= kNntpReader;
        return ProbeResult::Status::kNeedMore;
    }
  }

  static ProbeResult::Status Done(Output& out) {
    Say(out.backend, {"QUIT\r\n"});
    return ProbeResult::Status::kDone;
  }

  LongLines lines_{kMaxServerLine};
  uint64_t capabilities_ = kNntpKnown;
  size_t count_ = 0;
  size_t greeting_ = 0;  // octets of it
};

static_assert(sizeof(NntpDialogue) <= kNegotiatorSize);
static_assert(sizeof(NntpProbe) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateNntp(void* storage, const DialogueOptions& options) {
  return new (storage) NntpDialogue(options);
}

Probe* CreateNntpProbe(void* storage, const DialogueOptions& /*options*/) {
  return new (storage) NntpProbe();
}

// 400 may pass; 502 needs another connection to pass (RFC 3977 section 3.2.1).
void RefuseNntp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  const bool for_good = refusal == Refusal::kTlsExpected || refusal == Refusal::kPregreet;
  Say(out, {for_good ? "502 " : "400 ", TextOf(refusal), "\r\n"});
}

}  // namespace starling
