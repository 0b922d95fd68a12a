#include "protocols/http.h"

#include <new>

#include "protocols/dialogue.h"
#include "protocols/http_head.h"
#include "protocols/registry.h"

namespace starling {

namespace {

// RFC 2817 3.3 and 4.2; IANA has no other version of "TLS" for Upgrade, and what TLS
// itself agrees on is no concern of it.
constexpr std::string_view kGoAhead =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade\r\n\r\n";
constexpr std::string_view kUpgradeRequired =
    "HTTP/1.1 426 Upgrade Required\r\n"
    "Upgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade, close\r\n"
    "Content-Length: 0\r\n\r\n";

// Without a body, since the request may have been one of HEAD.
void SayStatus(std::string_view status, Writer& out) {
  Say(out, {"HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"});
}

class HttpDialogue final : public Negotiator {
 public:
  explicit HttpDialogue(const DialogueOptions& options) : options_(&options) {}

  Step OnClient(ByteView in, Output& out) override {
    Step step;
    if (phase_ != Phase::kPlain) {
      step.verdict = Verdict::kHold;
      return step;
    }
    if (!scanner_.begun() && BeginsLikeTls(in)) {
      Close(step, EndReason::kTlsOnPlainPort);
      return step;
    }
    switch (scanner_.Scan(in)) {
      case HttpHeadScanner::Status::kNeedMore:
        break;
      case HttpHeadScanner::Status::kStranger:
        // Nothing is said: another protocol would not understand it.
        Close(step, EndReason::kCrossProtocol);
        break;
      case HttpHeadScanner::Status::kBad:
        Refuse("400 Bad Request", EndReason::kBadOctet, step, out.client);
        break;
      case HttpHeadScanner::Status::kTooLong:
        Refuse("431 Request Header Fields Too Large", EndReason::kLineTooLong, step, out.client);
        break;
      case HttpHeadScanner::Status::kHead:
        OnRequest(ReadHttpRequest(scanner_.head(in)), step, out.client);
        break;
    }
    return step;
  }

  // No leg is read before relaying, so nothing can come from one.
  Step OnBackend(ByteView in, Output& out) override {
    Step step;
    step.consumed = in.size();
    step.Note(Attack::kBackendInjection);
    Refuse("502 Bad Gateway", EndReason::kBackendProtocol, step, out.client);
    return step;
  }

  Step OnEvent(const Event& event, Output& out) override {
    Step step;
    switch (event.kind) {
      case EventKind::kStart:
        return step;
      case EventKind::kUpgraded:
        // Nothing needs wiping: from here on no octet of the client is parsed.
        return step;
      case EventKind::kLegUp:
        if (phase_ == Phase::kUpgrading && event.inside_tls) AskAgain(out.backend);
        if (phase_ != Phase::kPlain) step.verdict = Verdict::kRelay;
        return step;
      case EventKind::kClientEnd:
        break;
      case EventKind::kLegFailed:
      case EventKind::kGreetingDeadline:
      case EventKind::kDeadline:
      case EventKind::kDrain:
      case EventKind::kBackendEnd:
        // A client that has asked for nothing would take it for the answer to what it
        // asks next; a connection that is merely closed it opens anew.
        if (scanner_.begun()) RefuseHttp(RefusalOf(event.kind), *options_, out.client);
        break;
    }
    Close(step, ReasonOf(event.kind));
    return step;
  }

 private:
  enum class Phase : uint8_t {
    kPlain,      // the head of a request is awaited
    kOpening,    // the plaintext leg is being opened; the request waits
    kUpgrading,  // the go-ahead is given
  };

  void OnRequest(const HttpRequest& request, Step& step, Writer& out) {
    if (request.mangled) step.Note(Signal::kMangledCommand);
    if (!request.good) {
      Refuse("400 Bad Request", EndReason::kBadOctet, step, out);
      return;
    }
    if (request.wants_tls && request.options_star && !request.has_body) {
      Say(out, {kGoAhead});
      step.consumed = scanner_.size();
      step.verdict = Verdict::kUpgrade;
      phase_ = Phase::kUpgrading;
      return;
    }
    const bool opportunistic = options_->policy == Policy::kOpportunistic;
    const bool exposed = request.has_credentials && !(opportunistic && options_->plaintext_auth);
    if (exposed) step.Note(Attack::kPlaintextAuth);
    // Who asks for TLS in another way would get it from the backend, or not at all.
    if (!opportunistic || exposed || request.wants_tls) {
      Say(out, {kUpgradeRequired});
      step.offered = true;
      Close(step, EndReason::kTlsRequired);
      return;
    }
    step.verdict = Verdict::kOpenLeg;
    phase_ = Phase::kOpening;
  }

  // The answer to the request that asked for TLS is the first thing inside it (RFC 2817
  // 3.3). None of its octets are trusted: this is another one, to the same effect.
  void AskAgain(Writer& backend) const {
    Say(backend, {"OPTIONS * HTTP/1.1\r\nHost: ", options_->hostname, "\r\n\r\n"});
  }

  static void Refuse(std::string_view status, EndReason reason, Step& step, Writer& out) {
    SayStatus(status, out);
    Close(step, reason);
  }

  const DialogueOptions* options_;
  HttpHeadScanner scanner_;
  Phase phase_ = Phase::kPlain;
};

static_assert(sizeof(HttpDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateHttp(void* storage, const DialogueOptions& options) {
  return new (storage) HttpDialogue(options);
}

void RefuseHttp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  switch (refusal) {
    case Refusal::kTooBusy:
    case Refusal::kUnavailable:
    case Refusal::kShutdown:
      SayStatus("503 Service Unavailable", out);
      break;
    case Refusal::kTimeout:
      SayStatus("408 Request Timeout", out);
      break;
    case Refusal::kTlsExpected:
      SayStatus("400 TLS is spoken here from the first octet", out);
      break;
  }
}

}  // namespace starling
