#include "protocols/http/http.h"

#include <cstddef>
#include <new>
#include <string>
#include <vector>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/relayed_dialogue.h"
#include "protocols/http/http_head.h"

namespace starling {

namespace {

// RFC 2817 3.3 and 4.2. IANA has registered no other version of "TLS" for Upgrade. The
// version that TLS itself negotiates does not depend on it.
constexpr std::string_view kGoAhead =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade\r\n\r\n";
constexpr std::string_view kUpgradeRequired =
    "HTTP/1.1 426 Upgrade Required\r\n"
    "Upgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade, close\r\n"
    "Content-Length: 0\r\n\r\n";

// Has no body, since the request may have been HEAD.
void SayStatus(std::string_view status, Writer& out) {
  Say(out, {"HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"});
}

class HttpDialogue final : public RelayedDialogue {
 public:
  explicit HttpDialogue(const DialogueOptions& options) : options_(&options) {}

 private:
  void Read(ByteView in, Step& step, Writer& out) override {
    if (!scanner_.begun() && BeginsLikeTls(in)) {
      Close(step, EndReason::kTlsOnPlainPort);
      return;
    }
    switch (scanner_.Scan(in)) {
      case HttpHeadScanner::Status::kNeedMore:
        break;
      case HttpHeadScanner::Status::kStranger:
        // The gateway says nothing, because another protocol would not understand it.
        Close(step, EndReason::kCrossProtocol);
        break;
      case HttpHeadScanner::Status::kBad:
        Refuse("400 Bad Request", EndReason::kBadOctet, step, out);
        break;
      case HttpHeadScanner::Status::kTooLong:
        Refuse("431 Request Header Fields Too Large", EndReason::kLineTooLong, step, out);
        break;
      case HttpHeadScanner::Status::kHead:
        OnRequest(ReadHttpRequest(scanner_.head(in)), step, out);
        break;
    }
  }

  // A client that has asked for nothing would take the words for the answer to its next
  // request. If the gateway only closes, the client connects anew.
  void SayRefusal(Refusal refusal, Writer& out) override {
    if (scanner_.begun()) RefuseHttp(refusal, *options_, out);
  }

  void OnLegUp(const Event& event, Step& step, Writer& backend) override {
    if (event.inside_tls) AskAgain(backend);
    step.verdict = Verdict::kRelay;
  }

  void OnRequest(const HttpRequest& request, Step& step, Writer& out) {
    if (request.mangled) step.Note(Signal::kMangledCommand);
    if (!request.good) {
      Refuse("400 Bad Request", EndReason::kBadOctet, step, out);
      return;
    }
    step.understood = true;
    if (request.wants_tls && request.options_star && !request.has_body) {
      Say(out, {kGoAhead});
      step.consumed = scanner_.size();
      served_ = IndexOf(request.host);
      Upgrade(step);
      return;
    }
    const bool opportunistic = options_->policy == Policy::kOpportunistic;
    const bool exposed = request.has_credentials && !(opportunistic && options_->plaintext_auth);
    if (exposed) step.Note(Attack::kPlaintextAuth);
    // A client that asks for TLS in another way would get it from the backend, or not at
    // all.
    if (!opportunistic || exposed || request.mentions_tls || request.tunnels) {
      Say(out, {kUpgradeRequired});
      step.offered = true;
      Close(step, EndReason::kTlsRequired);
      return;
    }
    OpenLeg(Verdict::kOpenLeg, step);
  }

  // Inside TLS, the first thing is the answer to the request that asked for TLS (RFC 2817
  // 3.3). The gateway trusts no octet of that request, and sends another one with the same
  // effect.
  void AskAgain(Writer& backend) const {
    const std::vector<std::string>& served = options_->served_names;
    const std::string& host = served.empty() ? options_->hostname : served[served_];
    Say(backend, {"OPTIONS * HTTP/1.1\r\nHost: ", host, "\r\n\r\n"});
  }

  size_t IndexOf(std::string_view host) const {
    const std::vector<std::string>& served = options_->served_names;
    for (size_t i = 0; i < served.size(); ++i) {
      if (EqualsIgnoreCase(served[i], host)) return i;
    }
    return 0;
  }

  static void Refuse(std::string_view status, EndReason reason, Step& step, Writer& out) {
    SayStatus(status, out);
    Close(step, reason);
  }

  const DialogueOptions* options_;
  HttpHeadScanner scanner_;
  size_t served_ = 0;  // which of those hosts the request was for; all that is kept of it
};

static_assert(sizeof(HttpDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateHttp(void* storage, const DialogueOptions& options) {
  return new (storage) HttpDialogue(options);
}

void RefuseHttp(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  if (IsTemporary(refusal)) {
    SayStatus("503 Service Unavailable", out);
  } else if (refusal == Refusal::kTlsExpected) {
    SayStatus("400 TLS is spoken here from the first octet", out);
  } else {
    SayStatus("408 Request Timeout", out);
  }
}

}  // namespace starling
