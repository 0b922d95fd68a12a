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

// RFC 3977, 4643, 4644, 6048, 8054 and RFC 2980's extensions: what a backend may
// know. DATE is among them, since a dialogue has no clock.
bool NeedsTls(std::string_view verb) {
  static constexpr std::array<std::string_view, 29> kVerbs = {
      "ARTICLE", "AUTHINFO", "BODY", "CHECK", "COMPRESS",  "DATE",     "GROUP",     "HDR",
      "HEAD",    "IHAVE",    "LAST", "LIST",  "LISTGROUP", "MODE",     "NEWGROUPS", "NEWNEWS",
      "NEXT",    "OVER",     "POST", "SLAVE", "STAT",      "TAKETHIS", "XFEATURE",  "XGTITLE",
      "XHDR",    "XOVER",    "XPAT", "XPATH", "XREPLIC"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [verb](std::string_view known) { return EqualsIgnoreCase(verb, known); });
}

// The three octets that a reply begins with as a word, or nothing.
std::string_view Code(std::string_view line) {
  constexpr size_t kDigits = 3;
  std::string_view rest = line;
  std::string_view word = FirstWord(rest);
  return word.size() == kDigits ? word : std::string_view();
}

// 200: posting allowed, 201: prohibited. Of a greeting and of MODE READER's answer.
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
  // 200, not 201: some clients take no other greeting, and whether they may post is
  // for the backend to say.
  void SayGreeting(Writer& out) override {
    Say(out, {"200 ", options().hostname, " NNTP ready\r\n"});
  }

  // RFC 3977 section 3.1: 400 tells of an end at any time.
  void SayGoodbye(std::string_view text, Writer& out) override { Say(out, {"400 ", text, "\r\n"}); }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseNntp(refusal, options(), out); }

  // Of a backend not asked yet it is not known. MODE READER harms none, and clients
  // that see READER leave it out, whereupon innd does not serve them.
  void Learn(uint64_t capabilities) override { reader_ = (capabilities & kNntpReader) != 0; }

  // Of the greeting (RFC 3977 section 5.1) and of the answer to MODE READER (section 5.3).
  Greeting Judge(std::string_view line) const override {
    if (IsRefusal(line)) return Greeting::kRefusal;
    if (!IsWelcome(line)) return Greeting::kBroken;
    return mode_reader_ && !said_again_ ? Greeting::kReplay : Greeting::kSuccess;
  }

  // RFC 4642 section 2.2.2: its effect outlives the upgrade, and the client must not
  // send it again.
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
    // RFC 3977 sections 9.2 and 9.8: spaces and tabs, between the words and behind them.
    // INN takes them before the first as well.
    std::string_view arguments = TrimEnd(line, kBlanks);
    const std::string_view verb = NextWord(arguments, kBlanks);
    const bool bare = arguments.empty();
    if (Has8Bit(verb)) {
      Abort(EndReason::kBadOctet, step, out);
    } else if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      // Never 480 or 483 (RFC 4642 section 2.2.1).
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
      // RFC 4644 section 2.5: its article comes without waiting, and is answered at
      // its end. No line of it may be taken for a command.
      in_article_ = true;
    } else if (NeedsTls(verb)) {
      SayUseTls(out);
    } else {
      NoteUnknown(verb, kUpgradeVerb, step);
      Say(out, {"500 Unknown command\r\n"});
    }
  }

  // RFC 3977 section 5.2: a keyword may be given, and changes nothing here.
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

  bool reader_ = false;       // the backend is one without being told
  bool mode_reader_ = false;  // the client has sent MODE READER; carried over the upgrade
  bool said_again_ = false;   // to the fresh leg
  bool in_article_ = false;   // lines of a refused TAKETHIS are being dropped
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
      if (!piece.first) continue;
      // How much is read is the gateway's limit. The server answers, and is up.
      result.status = ++count_ > kNntpMaxProbeLines ? Done(out) : OnLine(piece.text, out);
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
        // A server from before RFC 3977 is up all the same; what it is, is not known.
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

// RFC 3977 section 3.2.1: 400 may pass, 502 does not without another connection.
void RefuseNntp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  const bool for_good = refusal == Refusal::kTlsExpected;
  Say(out, {for_good ? "502 " : "400 ", TextOf(refusal), "\r\n"});
}

}  // namespace starling
