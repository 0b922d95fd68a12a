#include "protocols/xmpp/xmpp.h"

#include <array>
#include <new>
#include <string>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/frames/relayed_dialogue.h"
#include "protocols/xmpp/limits.h"
#include "protocols/xmpp/xml_tags.h"

namespace starling {

namespace {

constexpr std::string_view kStreamSpace = "http://etherx.jabber.org/streams";
constexpr std::string_view kTlsSpace = "urn:ietf:params:xml:ns:xmpp-tls";
constexpr std::string_view kSaslSpace = "urn:ietf:params:xml:ns:xmpp-sasl";
constexpr std::string_view kSasl2Space = "urn:xmpp:sasl:2";    // XEP-0388
constexpr std::string_view kOldLogInSpace = "jabber:iq:auth";  // XEP-0078
constexpr std::string_view kClientSpace = "jabber:client";
constexpr std::string_view kServerSpace = "jabber:server";
constexpr std::string_view kStartTls = "starttls";

constexpr std::string_view kFeatures =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    "</stream:features>";
// No octet may follow it: the other side would take that octet for TLS.
constexpr std::string_view kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr std::string_view kFailure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr std::string_view kEndOfStream = "</stream:stream>";

constexpr std::string_view kUseTls = "TLS is required here, use STARTTLS";

// RFC 6120 section 4.9.3.
struct StreamError {
  std::string_view condition;
  std::string_view text;
};

void SayError(const StreamError& error, Writer& out) {
  constexpr std::string_view kSpace = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
  Say(out, {"<stream:error><", error.condition, kSpace, "/><text", kSpace, " xml:lang='en'>",
            error.text, "</text></stream:error>", kEndOfStream});
}

// Whether the gateway may repeat a name as it is: a host name or address without characters
// that XML would escape.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kXmppMaxName && IsPrintable(name) &&
         name.find_first_of("<>&'\"") == std::string_view::npos;
}

// The served name that matches a client's `to`, or the first one.
std::string_view ServedName(const DialogueOptions& options, std::string_view to) {
  for (const std::string& name : options.served_names) {
    if (EqualsIgnoreCase(name, to)) return name;
  }
  return options.served_names.empty() ? std::string_view(options.hostname)
                                      : std::string_view(options.served_names[0]);
}

// "xmlns" comes first, because scanners look for it there.
void SayHeader(std::string_view space, std::string_view from, std::string_view to,
               std::string_view id, Writer& out) {
  const bool has_to = IsPlainName(to);
  Say(out,
      {"<?xml version='1.0'?><stream:stream xmlns='", space,
       "' xmlns:stream='http://etherx.jabber.org/streams' from='", from, has_to ? "' to='" : "",
       has_to ? to : "", "' id='", id, "' version='1.0' xml:lang='en'>"});
}

StreamError ErrorOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTooBusy:
    case Refusal::kCrowded:
      return {"resource-constraint", TextOf(refusal)};
    case Refusal::kUnavailable:
      return {"remote-connection-failed", TextOf(refusal)};
    case Refusal::kTimeout:
    case Refusal::kNoCommand:
    case Refusal::kTooLong:
      return {"connection-timeout", TextOf(refusal)};
    case Refusal::kShutdown:
      return {"system-shutdown", TextOf(refusal)};
    case Refusal::kTlsExpected:
    case Refusal::kPregreet:
      break;
  }
  return {"policy-violation", TextOf(refusal)};
}

void Refuse(std::string_view space, Refusal refusal, const DialogueOptions& options, Writer& out) {
  // Nothing ever refers to this stream, so any id will do.
  SayHeader(space, ServedName(options, ""), "", "0", out);
  SayError(ErrorOf(refusal), out);
}

class XmppDialogue final : public RelayedDialogue, private XmlTags::Handler {
 public:
  // `space`: the namespace of the stream's content, for clients or for servers.
  XmppDialogue(const DialogueOptions& options, std::string_view space)
      : options_(&options), space_(space) {}

 private:
  enum class Inside : uint8_t { kNothing, kStartTls, kQuery };

  void OnStart(const Event& event, Step& /*step*/, Writer& /*out*/) override {
    // The stream's id shows the client one half of the number. The other half is the seed.
    tags_.Start(static_cast<uint32_t>(event.random));
    WriteId(static_cast<uint32_t>(event.random >> 32));
  }

  void Read(ByteView in, Step& step, Writer& out) override {
    offer_seen_ = offer_written_;
    step_ = &step;
    out_ = &out;
    while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
      if (out.room() < kReplyRoom || !TakeTag(in)) break;
    }
    step.offered = offer_written_;
  }

  void OnUpgraded() override {
    header_written_ = false;  // the old stream is over
    tags_.Wipe();
  }

  void OnClientLeft(Step& step) override {
    if (offer_is_last_) step.Note(Signal::kOfferThenClose);
  }

  void SayRefusal(Refusal refusal, Writer& out) override { SayGoodbye(ErrorOf(refusal), out); }

  // Takes white space and one tag. Returns false if nothing more can be made of `in`.
  bool TakeTag(ByteView in) {
    const size_t before = step_->consumed;
    // What is left of the octets allowed before TLS.
    const bool is_cut = in.size() - before > kXmppMaxOctets - octets_;
    if (is_cut) in = in.first(before + (kXmppMaxOctets - octets_));
    const XmlTags::Status status = tags_.Take(in, step_->consumed, *this);
    octets_ += step_->consumed - before;
    switch (status) {
      case XmlTags::Status::kNeedMore:
        if (is_cut) Abort(EndReason::kTooManyErrors, {"policy-violation", "Too much without TLS"});
        return false;
      case XmlTags::Status::kTag:
        break;
      case XmlTags::Status::kText:
        OnText(in[step_->consumed]);
        break;
      case XmlTags::Status::kMalformed:
        Abort(EndReason::kBadOctet, {"not-well-formed", "Malformed XML"});
        break;
      case XmlTags::Status::kRestricted:
        Abort(EndReason::kBadOctet, {"restricted-xml", "Not allowed in a stream"});
        break;
      case XmlTags::Status::kBadEncoding:
        Abort(EndReason::kBadOctet, {"unsupported-encoding", "UTF-8 is spoken here"});
        break;
      case XmlTags::Status::kTooLong:
      case XmlTags::Status::kFull:
        Abort(EndReason::kLineTooLong, {"policy-violation", "Tag too long"});
        break;
    }
    return true;
  }

  // A client that does not speak XML gets no answer, since it could not read one.
  void OnText(uint8_t octet) {
    const char upper = ToUpper(static_cast<char>(octet));
    if (BeginsLikeTls(ByteView(&octet, 1))) {
      Close(*step_, EndReason::kTlsOnPlainPort);
    } else if (depth_ == 0 && upper >= 'A' && upper <= 'Z') {
      Close(*step_, EndReason::kCrossProtocol);
    } else if (inside_ == Inside::kStartTls) {
      Fail();
    } else if (depth_ == 0) {
      Abort(EndReason::kBadOctet, {"not-well-formed", "Malformed XML"});
    } else {
      Abort(EndReason::kBadOctet, {"bad-format", "Text outside of a stanza"});
    }
  }

  void OnSpace(std::string_view space) override {
    if (depth_ == 0) is_our_kind_ = space == space_;
  }

  void OnBegin(const XmlTag& tag) override {
    offer_is_last_ = false;
    switch (depth_++) {
      case 0:
        OnHeader(tag);
        break;
      case 1:
        OnElement(tag);
        break;
      default:
        OnChild(tag);
        break;
    }
  }

  void OnEnd() override {
    if (step_->verdict != Verdict::kContinue) return;
    if (--depth_ == 0) {
      Say(*out_, {kEndOfStream});
      Close(*step_, EndReason::kGoodbye);
    } else if (inside_ == Inside::kStartTls) {
      Say(*out_, {kProceed});
      Upgrade(*step_);
    } else {
      RefuseStanza();
    }
  }

  void OnHeader(const XmlTag& tag) {
    if (tag.space != kStreamSpace || tag.name != "stream" || !is_our_kind_) {
      Abort(EndReason::kCrossProtocol, {"invalid-namespace", "Another protocol is spoken here"});
      return;
    }
    SayHeader(space_, ServedName(*options_, tag.Attribute("to")), tag.Attribute("from"), Id(),
              *out_);
    header_written_ = true;
    // A stream without a version knows no features (RFC 6120 section 4.7.5).
    const std::string_view version = tag.Attribute("version");
    const size_t major = version.find_first_not_of('0');
    if (major == std::string_view::npos || version[major] < '1' || version[major] > '9') {
      Abort(EndReason::kTlsRequired, {"unsupported-version", kUseTls});
      return;
    }
    Say(*out_, {kFeatures});
    step_->understood = true;
    offer_written_ = offer_is_last_ = true;
  }

  void OnElement(const XmlTag& tag) {
    if (tag.space == kTlsSpace && tag.name == kStartTls) {
      inside_ = Inside::kStartTls;
      return;
    }
    if (tag.space == space_ && tag.name == "iq") {
      inside_ = Inside::kQuery;  // the next tag decides whether it is a log-in
      return;
    }
    if (tag.space == kSaslSpace || tag.space == kSasl2Space) {
      step_->Note(Attack::kPlaintextAuth);
    } else if (tag.name == kStartTls || LooksMangled(tag.name, kStartTls)) {
      step_->Note(Signal::kMangledCommand);
    }
    RefuseStanza();
  }

  void OnChild(const XmlTag& tag) {
    if (inside_ == Inside::kStartTls) {
      Fail();
      return;
    }
    if (tag.space == kOldLogInSpace) step_->Note(Attack::kPlaintextAuth);
    RefuseStanza();
  }

  void RefuseStanza() {
    // If a client has sent everything at once, it has not seen the offer.
    if (offer_seen_) step_->Note(Signal::kNotTaken);
    Abort(EndReason::kTlsRequired, {"policy-violation", kUseTls});
  }

  // <starttls/> must be empty (RFC 6120 section 5.4.2.2).
  void Fail() {
    Say(*out_, {kFailure, kEndOfStream});
    Close(*step_, EndReason::kBadOctet);
  }

  void Abort(EndReason reason, const StreamError& error) {
    SayGoodbye(error, *out_);
    Close(*step_, reason);
  }

  // An error must stand in a stream. If the client has not got a stream yet, the gateway
  // opens one for it (RFC 6120 section 4.9.1.2).
  void SayGoodbye(const StreamError& error, Writer& out) {
    if (!header_written_) SayHeader(space_, ServedName(*options_, ""), "", Id(), out);
    SayError(error, out);
  }

  void WriteId(uint32_t number) {
    for (char& digit : id_) {
      digit = "0123456789abcdef"[number >> 28];
      number <<= 4;
    }
  }
  std::string_view Id() const { return {id_.data(), id_.size()}; }

  const DialogueOptions* options_;
  std::string_view space_;
  Step* step_ = nullptr;  // for the current call, like out_
  Writer* out_ = nullptr;
  size_t octets_ = 0;   // octets consumed before TLS
  uint32_t depth_ = 0;  // open elements
  Inside inside_ = Inside::kNothing;
  bool is_our_kind_ = false;     // from the header's default namespace
  bool header_written_ = false;  // in this stream
  bool offer_written_ = false;   // at any time
  bool offer_seen_ = false;      // before the current octets arrived
  bool offer_is_last_ = false;   // no tag has come since the offer
  std::array<char, 8> id_{};     // of the stream
  XmlTags tags_;
};

static_assert(sizeof(XmppDialogue) <= kXmppSize);

}  // namespace

Negotiator* CreateXmppClient(void* storage, const DialogueOptions& options) {
  return new (storage) XmppDialogue(options, kClientSpace);
}

Negotiator* CreateXmppServer(void* storage, const DialogueOptions& options) {
  return new (storage) XmppDialogue(options, kServerSpace);
}

void RefuseXmppClient(Refusal refusal, const DialogueOptions& options, Writer& out) {
  Refuse(kClientSpace, refusal, options, out);
}

void RefuseXmppServer(Refusal refusal, const DialogueOptions& options, Writer& out) {
  Refuse(kServerSpace, refusal, options, out);
}

}  // namespace starling
