#include "protocols/ftp/ftp.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <new>

#include "protocols/contract/data_channel.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/ftp/ftp_control.h"
#include "protocols/ftp/ftp_wire.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "AUTH";

bool IsLogin(std::string_view verb) {
  return EqualsIgnoreCase(verb, "USER") || EqualsIgnoreCase(verb, "PASS") ||
         EqualsIgnoreCase(verb, "ACCT");
}

class FtpBeforeTls final : public LineDialogue {
 public:
  explicit FtpBeforeTls(const DialogueOptions& options) : LineDialogue(options) {}

 private:
  void SayGreeting(Writer& out) override {
    Say(out, {"220 ", options().hostname, " FTP ready\r\n"});
  }
  void SayGoodbye(std::string_view text, Writer& out) override { Say(out, {"421 ", text, "\r\n"}); }
  void SayRefusal(Refusal refusal, Writer& out) override { RefuseFtp(refusal, options(), out); }

  void OnLine(std::string_view line, Step& step, Writer& out) override {
    const FtpCommand command = ParseFtpCommand(line);
    const std::string_view verb = command.word;
    if (Has8Bit(verb)) {
      Abort(EndReason::kBadOctet, step, out);
    } else if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
      OnAuth(command.argument, step, out);
    } else if (EqualsIgnoreCase(verb, "FEAT")) {
      Say(out, {"211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n"});
      NoteOffer();
    } else if (EqualsIgnoreCase(verb, "QUIT")) {
      Say(out, {"221 Goodbye\r\n"});
      Close(step, EndReason::kGoodbye);
    } else if (EqualsIgnoreCase(verb, "NOOP")) {
      Say(out, {"200 OK\r\n"});
    } else if (IsLogin(verb)) {
      NoteLogin(step);
      Say(out, {"530 AUTH TLS first\r\n"});
    } else {
      OnOther(verb, step, out);
    }
  }

  // RFC 4217 section 17 has TLS and TLS-C. Some clients try SSL first.
  void OnAuth(std::string_view mechanism, Step& step, Writer& out) {
    static constexpr std::array<std::string_view, 3> kTls = {"TLS", "TLS-C", "SSL"};
    if (mechanism.empty() || mechanism.find_first_of(kBlanks) != std::string_view::npos) {
      Say(out, {"501 AUTH takes one argument\r\n"});
    } else if (std::ranges::any_of(kTls, [mechanism](std::string_view known) {
                 return EqualsIgnoreCase(mechanism, known);
               })) {
      Say(out, {"234 Begin TLS negotiation\r\n"});
      Upgrade(step);
    } else {
      Say(out, {"504 Unknown mechanism, use TLS\r\n"});
    }
  }

  void OnOther(std::string_view verb, Step& step, Writer& out) {
    if (EqualsIgnoreCase(verb, "PBSZ") || EqualsIgnoreCase(verb, "PROT")) {
      Say(out, {"503 AUTH TLS first\r\n"});
    } else if (NeedsTls(verb)) {
      Say(out, {"530 AUTH TLS first\r\n"});
    } else {
      NoteUnknown(verb, kUpgradeVerb, step);
      Say(out, {"500 Unknown command\r\n"});
    }
  }
};

class FtpDialogue final : public Negotiator, public DataChannelUser {
 public:
  explicit FtpDialogue(const DialogueOptions& options)
      : options_(&options), plain_(options), control_(options) {}

  Step OnClient(ByteView in, Output& out) override {
    return inside_ ? control_.OnClient(in, out) : plain_.OnClient(in, out);
  }

  Step OnBackend(ByteView in, Output& out) override {
    return inside_ ? control_.OnBackend(in, out) : plain_.OnBackend(in, out);
  }

  Step OnEvent(const Event& event, Output& out) override {
    Step step;
    switch (event.kind) {
      case EventKind::kStart:
        started_ = true;
        return plain_.OnEvent(event, out);
      case EventKind::kLegUp:
        assert(!inside_);
        inside_ = true;
        control_.Open(event.client == nullptr ? Endpoint() : *event.client,
                      /*greets=*/!started_);
        return step;
      default:
        if (!inside_) return plain_.OnEvent(event, out);
        return OnEnd(event, out);
    }
  }

  bool IsOwedAnswer() const override { return inside_ && control_.IsOwedAnswer(); }

  DataRequest TakeDataRequest() override { return control_.TakeDataRequest(); }
  Step OnData(const DataNews& news, Output& out) override {
    assert(inside_);
    return control_.OnData(news, out);
  }

 private:
  Step OnEnd(const Event& event, Output& out) {
    Step step;
    EndReason reason = ReasonOf(event);
    control_.EndLine(out.client);
    // If the server has said goodbye, that was the last word.
    const bool goodbye = event.kind == EventKind::kBackendEnd && control_.quitting();
    if (event.kind != EventKind::kClientEnd && !goodbye) {
      RefuseFtp(RefusalOf(event), *options_, out.client);
    }
    if (control_.greeted()) {
      if (event.kind == EventKind::kClientEnd) reason = EndReason::kClientClosed;
      if (event.kind == EventKind::kBackendEnd) {
        reason = goodbye ? EndReason::kClientClosed : EndReason::kBackendClosed;
      }
    }
    Close(step, reason);
    return step;
  }

  const DialogueOptions* options_;
  FtpBeforeTls plain_;
  FtpControl control_;
  bool inside_ = false;
  bool started_ = false;  // the session began before TLS, so not with implicit TLS
};

static_assert(sizeof(FtpDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreateFtp(void* storage, const DialogueOptions& options) {
  return new (storage) FtpDialogue(options);
}

DataChannelUser* FtpDataChannels(Negotiator& negotiator) {
  return static_cast<FtpDialogue*>(&negotiator);
}

}  // namespace starling
