#include "protocols/ldap/ldap.h"

#include <new>
#include <optional>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/frames/relayed_dialogue.h"
#include "protocols/ldap/ber.h"
#include "protocols/ldap/ldap_message.h"

namespace starling {

namespace {

constexpr std::string_view kStartTlsOid = "1.3.6.1.4.1.1466.20037";

// Context-specific tags: the name in an extended request, and the password of a simple
// bind.
constexpr uint8_t kRequestName = 0x80;
constexpr uint8_t kRequestValue = 0x81;
constexpr uint8_t kSimple = 0x80;

bool IsLetter(uint8_t octet) {
  const char upper = ToUpper(static_cast<char>(octet));
  return upper >= 'A' && upper <= 'Z';
}

class LdapDialogue final : public RelayedDialogue {
 public:
  explicit LdapDialogue(const DialogueOptions& options) : options_(&options) {}

 private:
  void Read(ByteView in, Step& step, Writer& out) override {
    offer_seen_ = offer_written_;
    while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
      if (out.room() < kReplyRoom) break;
      const size_t before = step.consumed;
      TakeMessage(in.subspan(before), step, out);
      if (step.consumed == before) break;
    }
    step.offered = offer_written_;
  }

  void SayRefusal(Refusal refusal, Writer& out) override { RefuseLdap(refusal, *options_, out); }

  void OnClientLeft(Step& step) override {
    if (offer_is_last_) step.Note(Signal::kOfferThenClose);
  }

  void TakeMessage(ByteView rest, Step& step, Writer& out) {
    if (BeginsLikeTls(rest)) {
      // The gateway says nothing, because the other side could not read it. The same goes
      // for HTTP, mail and everything else that begins with a word. One octet is enough to
      // recognize them.
      Close(step, EndReason::kTlsOnPlainPort);
      return;
    }
    if (messages_ == 0 && IsLetter(rest[0])) {
      Close(step, EndReason::kCrossProtocol);
      return;
    }
    const LdapMessage message = ReadLdapMessage(rest);
    switch (message.status) {
      case LdapMessage::Status::kNeedMore:
        return;
      case LdapMessage::Status::kBad:
        Abort(EndReason::kBadOctet, LdapResult::kProtocolError, "Malformed message", step, out);
        return;
      case LdapMessage::Status::kTooLong:
        Abort(EndReason::kLineTooLong, LdapResult::kProtocolError, "Message too long", step, out);
        return;
      case LdapMessage::Status::kMessage:
        break;
    }
    step.consumed += message.size;
    offer_is_last_ = false;
    if (++messages_ > options_->max_commands) {
      Abort(EndReason::kTooManyErrors, LdapResult::kConfidentialityRequired,
            "Too many requests without TLS", step, out);
      return;
    }
    step.understood = true;
    OnMessage(message, step, out);
  }

  void OnMessage(const LdapMessage& message, Step& step, Writer& out) {
    switch (message.op) {
      case kLdapAbandonRequest:  // the request that it names already has its answer
        return;
      case kLdapUnbindRequest:
        Close(step, EndReason::kGoodbye);
        return;
      case kLdapExtendedRequest:
        OnExtended(message, step, out);
        return;
      case kLdapBindRequest:
        if (!OnBind(message.body, step)) {
          AbortMalformed(step, out);
          return;
        }
        break;
      default:
        if (LdapResponseTo(message.op) == 0) {
          AbortMalformed(step, out);
          return;
        }
    }
    Decline(message, out);
  }

  // Whatever the answer is, the password that the client has sent with its name is exposed.
  bool OnBind(ByteView rest, Step& step) {
    const std::optional<ByteView> version = TakeBer(rest, kLdapInteger);
    if (!version || !ReadBerNumber(*version)) return false;
    const std::optional<ByteView> name = TakeBer(rest, kLdapOctetString);
    const std::optional<BerElement> how = name ? TakeBer(rest) : std::nullopt;
    if (!how) return false;
    if (how->tag == kSimple && how->content.empty() && name->empty()) return true;  // anonymous
    step.Note(Attack::kPlaintextAuth);
    // If a client has sent everything at once, it has not seen the offer.
    if (offer_seen_ && !not_taken_) {
      not_taken_ = true;
      step.Note(Signal::kNotTaken);
    }
    return true;
  }

  void OnExtended(const LdapMessage& message, Step& step, Writer& out) {
    ByteView rest = message.body;
    const std::optional<ByteView> name = TakeBer(rest, kRequestName);
    if (!name) {
      AbortMalformed(step, out);
      return;
    }
    bool has_value = false;
    while (!rest.empty()) {
      const std::optional<BerElement> part = TakeBer(rest);
      if (!part) {
        AbortMalformed(step, out);
        return;
      }
      has_value = has_value || part->tag == kRequestValue;
    }
    if (AsText(*name) != kStartTlsOid) {
      if (LooksMangled(AsText(*name), kStartTlsOid)) step.Note(Signal::kMangledCommand);
      Decline(message, out);
    } else if (message.critical != LdapCritical::kNone) {
      SayUnavailable(message, out);
    } else if (has_value) {
      SayLdapResult(message.id, kLdapExtendedResponse, LdapResult::kProtocolError,
                    "StartTLS takes no value", out);
    } else {
      // The answer has no text and no name, because test programs read fixed offsets.
      SayLdapResult(message.id, kLdapExtendedResponse, LdapResult::kSuccess, "", out);
      Upgrade(step);
    }
  }

  // Critical controls come before everything else (RFC 4511 4.1.11). slapd, too, looks at
  // them before it asks for TLS.
  void Decline(const LdapMessage& message, Writer& out) {
    if (message.critical == LdapCritical::kUnknown) {
      SayUnavailable(message, out);
    } else {
      SayUseTls(message, out);
    }
  }

  static void SayUnavailable(const LdapMessage& message, Writer& out) {
    SayLdapResult(message.id, LdapResponseTo(message.op), LdapResult::kUnavailableCriticalExtension,
                  "A critical control is not available before TLS", out);
  }

  // This answer is the offer. The gateway serves no root DSE before TLS, but clients
  // understand this result code.
  void SayUseTls(const LdapMessage& message, Writer& out) {
    SayLdapResult(message.id, LdapResponseTo(message.op), LdapResult::kConfidentialityRequired,
                  "TLS required, use StartTLS", out);
    offer_written_ = offer_is_last_ = true;
  }

  static void Abort(EndReason reason, LdapResult result, std::string_view text, Step& step,
                    Writer& out) {
    SayLdapNotice(result, text, out);
    Close(step, reason);
  }
  static void AbortMalformed(Step& step, Writer& out) {
    Abort(EndReason::kBadOctet, LdapResult::kProtocolError, "Malformed message", step, out);
  }

  const DialogueOptions* options_;
  uint32_t messages_ = 0;       // before TLS
  bool offer_written_ = false;  // at any time
  bool offer_seen_ = false;     // before the current octets arrived
  bool offer_is_last_ = false;  // no message has come since the offer
  bool not_taken_ = false;      // the dialogue has noted the signal
};

static_assert(sizeof(LdapDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateLdap(void* storage, const DialogueOptions& options) {
  return new (storage) LdapDialogue(options);
}

void RefuseLdap(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  const bool for_tls = refusal == Refusal::kTlsExpected;
  SayLdapNotice(for_tls ? LdapResult::kConfidentialityRequired : LdapResult::kUnavailable,
                TextOf(refusal), out);
}

}  // namespace starling
