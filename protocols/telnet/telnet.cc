#include "protocols/telnet/telnet.h"

#include <array>
#include <new>
#include <utility>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/relayed_dialogue.h"
#include "protocols/telnet/limits.h"

namespace starling {

namespace {

constexpr uint8_t kSubEnd = 240;
constexpr uint8_t kSubBegin = 250;
constexpr uint8_t kWill = 251;
constexpr uint8_t kWont = 252;
constexpr uint8_t kDont = 254;
constexpr uint8_t kIac = 255;
constexpr uint8_t kStartTls = 46;
constexpr uint8_t kFollows = 1;

// Clients expect exactly these octets, so the gateway says nothing else with them.
constexpr std::array<uint8_t, 3> kDemand = {kIac, 253, kStartTls};
constexpr std::array<uint8_t, 6> kGoAhead = {kIac, kSubBegin, kStartTls, kFollows, kIac, kSubEnd};

class TelnetDialogue final : public RelayedDialogue {
 public:
  explicit TelnetDialogue(const DialogueOptions& options) : options_(&options) {}

 private:
  enum class State : uint8_t {
    kText,
    kCommand,     // behind IAC
    kWill,        // behind WILL; the option is next
    kWont,        // behind WONT
    kOther,       // behind DO or DONT, which are for the other side's option
    kSub,         // in a subnegotiation
    kSubCommand,  // after IAC in a subnegotiation
  };

  void OnStart(const Event& /*event*/, Step& step, Writer& out) override {
    Say(out, {AsText(kDemand)});
    step.offered = true;
  }

  void Read(ByteView in, Step& step, Writer& out) override {
    while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
      if (octets_ == 0 && BeginsLikeTls(in)) {
        // The gateway says nothing in words, because the other side could not read them.
        Close(step, EndReason::kTlsOnPlainPort);
        break;
      }
      if (++octets_ > kTelnetMaxOctets) {
        Abort(EndReason::kTooManyErrors, "Too much without TLS", step, out);
        break;
      }
      Take(in[step.consumed++], step, out);
    }
    step.offered = true;
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseTelnet(refusal, *options_, out); }

  void OnPatienceOver(Step& step, Writer& out) override { AbortWithoutTls(step, out); }

  void OnClientLeft(Step& step) override {
    if (octets_ == 0) step.Note(Signal::kOfferThenClose);
  }

  void Take(uint8_t octet, Step& step, Writer& out) {
    switch (state_) {
      case State::kText:
        if (octet == kIac) {
          state_ = State::kCommand;
        } else {
          OnText(octet, step, out);
        }
        break;
      case State::kCommand:
        OnCommand(octet, step, out);
        break;
      case State::kWill:
      case State::kWont:
      case State::kOther:
        OnOption(octet, step, out);
        break;
      case State::kSub:
        if (octet == kIac) {
          state_ = State::kSubCommand;
        } else {
          OnSubOctet(octet);
        }
        break;
      case State::kSubCommand:
        if (octet == kSubEnd) {
          state_ = State::kText;
          OnSub(step, out);
        } else if (octet == kIac) {
          state_ = State::kSub;
          OnSubOctet(octet);
        } else {
          Abort(EndReason::kBadOctet, "Malformed subnegotiation", step, out);
        }
        break;
    }
  }

  void OnCommand(uint8_t octet, Step& step, Writer& out) {
    state_ = State::kText;
    if (octet == kIac) {
      OnText(octet, step, out);
      return;
    }
    if (++commands_ > options_->max_commands) {
      Abort(EndReason::kTooManyErrors, "Too many options without TLS", step, out);
    } else if (octet >= kWill && octet <= kDont) {
      state_ = octet == kWill ? State::kWill : octet == kWont ? State::kWont : State::kOther;
    } else if (octet == kSubBegin) {
      sub_size_ = 0;
      state_ = State::kSub;
    }
  }

  // The gateway asks for nothing in words before TLS, so it does not answer text. It
  // recognizes HTTP by its first octets.
  void OnText(uint8_t octet, Step& step, Writer& out) {
    NoteNotTaken(step);
    AskPatience(step);
    if (text_size_ == text_.size()) return;
    const bool end = octet == '\n';
    if (!end) text_[text_size_++] = static_cast<char>(octet);
    if (!end && text_size_ < text_.size()) return;
    if (LooksLikeHttp({text_.data(), text_size_})) {
      Abort(EndReason::kCrossProtocol, "Another protocol is spoken here", step, out);
    }
    text_size_ = text_.size();
  }

  // WILL or WONT is the answer to what was demanded.
  void OnOption(uint8_t option, Step& step, Writer& out) {
    const State verb = std::exchange(state_, State::kText);
    step.understood = true;
    AskPatience(step);
    if (option != kStartTls) return;
    if (verb == State::kWill) {
      willing_ = true;
      step.patience = Patience::kUsual;
    } else if (verb == State::kWont) {
      NoteNotTaken(step);
      AbortWithoutTls(step, out);
    }
  }

  // A client that speaks and does not answer the demand waits for a prompt.
  void AskPatience(Step& step) const {
    if (!willing_) step.patience = Patience::kShort;
  }

  static void AbortWithoutTls(Step& step, Writer& out) {
    Abort(EndReason::kTlsRequired, "TLS is required here (the option START_TLS)", step, out);
  }

  void OnSubOctet(uint8_t octet) {
    if (sub_size_ < sub_.size()) sub_[sub_size_] = octet;
    if (sub_size_ <= sub_.size()) ++sub_size_;
  }

  void OnSub(Step& step, Writer& out) {
    const bool follows = sub_size_ == 2 && sub_[0] == kStartTls && sub_[1] == kFollows;
    if (!follows || !willing_) return;
    step.understood = true;
    Say(out, {AsText(kGoAhead)});
    Upgrade(step);
  }

  void NoteNotTaken(Step& step) {
    if (not_taken_) return;
    not_taken_ = true;
    step.Note(Signal::kNotTaken);
  }

  static void Abort(EndReason reason, std::string_view text, Step& step, Writer& out) {
    Say(out, {"\r\n", text, "\r\n"});
    Close(step, reason);
  }

  const DialogueOptions* options_;
  uint32_t octets_ = 0;    // octets before TLS
  uint32_t commands_ = 0;  // commands among them
  State state_ = State::kText;
  std::array<uint8_t, 2> sub_{};  // the first octets of a subnegotiation
  size_t sub_size_ = 0;           // 3: more than two
  std::array<char, 12> text_{};   // the beginning of the first line; once full, it has been judged
  size_t text_size_ = 0;
  bool willing_ = false;    // the client has said WILL START_TLS
  bool not_taken_ = false;  // the dialogue has noted the signal
};

static_assert(sizeof(TelnetDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateTelnet(void* storage, const DialogueOptions& options) {
  return new (storage) TelnetDialogue(options);
}

void RefuseTelnet(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  Say(out, {"\r\n", TextOf(refusal), "\r\n"});
}

}  // namespace starling
