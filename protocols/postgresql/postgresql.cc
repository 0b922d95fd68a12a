#include "protocols/postgresql/postgresql.h"

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/frames/relayed_dialogue.h"
#include "protocols/postgresql/limits.h"

namespace starling {

namespace {

using namespace std::string_view_literals;

// Each request begins with its length, which counts itself, and a code. The code of a
// start-up message is the version of the protocol, 16 bits for each of its two parts.
constexpr size_t kLengthSize = 4;
constexpr size_t kHeadSize = 8;
constexpr std::string_view kSslRequest = "\x04\xd2\x16\x2f"sv;  // 1234.5679
constexpr std::string_view kGssEncRequest = "\x04\xd2\x16\x30"sv;
constexpr std::string_view kCancelRequest = "\x04\xd2\x16\x2e"sv;

constexpr std::string_view kProtocolViolation = "08P01";
constexpr std::string_view kNotSupported = "0A000";
constexpr std::string_view kNotAuthorized = "28000";
constexpr std::string_view kTooManyConnections = "53300";
constexpr std::string_view kShutdown = "57P01";
constexpr std::string_view kCannotConnectNow = "57P03";
constexpr std::string_view kIdleTimeout = "57P05";

uint32_t NumberAt(ByteView in, size_t at) {
  return static_cast<uint32_t>(in[at]) << 24 | static_cast<uint32_t>(in[at + 1]) << 16 |
         static_cast<uint32_t>(in[at + 2]) << 8 | in[at + 3];
}

// `text` has at most 100 octets.
void SayError(std::string_view state, std::string_view text, Writer& out) {
  constexpr std::string_view kSeverity = "SFATAL\0VFATAL\0C"sv;
  const size_t size =
      kLengthSize + kSeverity.size() + state.size() + 2 + text.size() + 2;  // "\0M", "\0\0"
  const std::array<char, 5> head = {'E', 0, 0, 0, static_cast<char>(size)};
  Say(out, {{head.data(), head.size()}, kSeverity, state, "\0M"sv, text, "\0\0"sv});
}

bool IsLetter(uint8_t octet) {
  const char upper = ToUpper(static_cast<char>(octet));
  return upper >= 'A' && upper <= 'Z';
}

class PostgresqlDialogue final : public RelayedDialogue {
 public:
  explicit PostgresqlDialogue(const DialogueOptions& options) : options_(&options) {}

  // After a request to cancel, a server closes without a word. A server that cannot do it
  // says why, but clients do not read that either. So whatever the server says, it has had
  // its turn.
  Step OnBackend(ByteView in, Output& out) override {
    if (!opening()) return RelayedDialogue::OnBackend(in, out);
    Step step;
    step.consumed = in.size();
    step.verdict = Verdict::kCloseLeg;
    return step;
  }

 private:
  void Read(ByteView in, Step& step, Writer& out) override {
    while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
      const size_t before = step.consumed;
      TakeRequest(in.subspan(before), step, out);
      if (step.consumed == before) break;
    }
  }

  // A client that cancels never gets an answer.
  void SayRefusal(Refusal refusal, Writer& out) override {
    if (!opening()) RefusePostgresql(refusal, *options_, out);
  }

  void OnLegUp(const Event& event, Step& step, Writer& backend) override {
    if (!opening()) {
      RelayedDialogue::OnLegUp(event, step, backend);
      return;
    }
    Say(backend, {{cancel_.data(), cancel_size_}});
    cancel_reached_ = true;
    step.verdict = Verdict::kHold;
  }

  void OnLegFailed(Step& step, Writer& out) override {
    if (cancel_reached_) {
      Close(step, EndReason::kBackendClosed);
    } else {
      RelayedDialogue::OnLegFailed(step, out);
    }
  }

  // The dialogue refuses what it can by the first octets. It does not wait for all the
  // octets that a length announces.
  void TakeRequest(ByteView rest, Step& step, Writer& out) {
    if (BeginsLikeTls(rest)) {
      // The gateway says nothing, because the other side could not read it. The same goes
      // for HTTP, mail and everything else that begins with a word.
      Close(step, EndReason::kTlsOnPlainPort);
      return;
    }
    if (IsLetter(rest[0])) {
      Close(step, EndReason::kCrossProtocol);
      return;
    }
    if (rest.size() < kLengthSize) return;
    const uint32_t length = NumberAt(rest, 0);
    if (length > kPostgresqlMaxRequest) {
      Abort(EndReason::kLineTooLong, kProtocolViolation, "invalid length of startup packet", step,
            out);
    } else if (length < kHeadSize) {
      AbortLength(step, out);
    } else if (rest.size() >= kHeadSize) {
      OnHead(rest, length, step, out);
    }
  }

  void OnHead(ByteView rest, uint32_t length, Step& step, Writer& out) {
    const std::string_view code = AsText(rest.subspan(kLengthSize, kHeadSize - kLengthSize));
    if (code == kCancelRequest) {
      TakeCancel(rest, length, step, out);
    } else if (code == kSslRequest || code == kGssEncRequest) {
      if (length != kHeadSize) {
        AbortLength(step, out);
        return;
      }
      step.consumed += kHeadSize;
      step.understood = true;
      if (code == kSslRequest) {
        Say(out, {"S"});
        Upgrade(step);
      } else if (gss_declined_) {
        Abort(EndReason::kTooManyErrors, kProtocolViolation, "GSSAPI encryption asked for twice",
              step, out);
      } else {
        Say(out, {"N"});
        gss_declined_ = true;
      }
    } else {
      OnStartUp(code, length, step, out);
    }
  }

  void OnStartUp(std::string_view code, uint32_t length, Step& step, Writer& out) {
    const unsigned major = NumberAt(AsBytes(code), 0) >> 16;
    if (major == 3) {
      step.Note(Attack::kPlaintextAuth);
      Abort(EndReason::kTlsRequired, kNotAuthorized,
            "TLS is required: set sslmode to require or verify-full", step, out);
    } else if (major == 1 || major == 2) {
      // Before version 3, an error was plain text.
      step.Note(Attack::kPlaintextAuth);
      Say(out, {"EFATAL:  this version of the protocol is not supported; TLS is required\n\0"sv});
      Close(step, EndReason::kTlsRequired);
    } else {
      if (length == kHeadSize && LooksMangled(code, kSslRequest)) {
        step.Note(Signal::kMangledCommand);
      }
      Abort(EndReason::kBadOctet, kNotSupported, "unsupported frontend protocol", step, out);
    }
  }

  void TakeCancel(ByteView rest, uint32_t length, Step& step, Writer& out) {
    if (length < kPostgresqlMinCancel || length > cancel_.size()) {
      AbortLength(step, out);
      return;
    }
    if (rest.size() < length) return;
    std::copy_n(rest.begin(), length, cancel_.begin());
    cancel_size_ = length;
    step.consumed += length;
    step.understood = true;
    OpenLeg(Verdict::kOpenAllLegs, step);
  }

  static void Abort(EndReason reason, std::string_view state, std::string_view text, Step& step,
                    Writer& out) {
    SayError(state, text, out);
    Close(step, reason);
  }
  static void AbortLength(Step& step, Writer& out) {
    Abort(EndReason::kBadOctet, kProtocolViolation, "invalid length of startup packet", step, out);
  }

  const DialogueOptions* options_;
  std::array<char, kPostgresqlMaxCancel> cancel_{};  // the request to pass on
  size_t cancel_size_ = 0;                           // 0: no request has come
  bool cancel_reached_ = false;                      // it has reached at least one server
  bool gss_declined_ = false;                        // the gateway declines only once
};

static_assert(sizeof(PostgresqlDialogue) <= kNegotiatorSize);

}  // namespace

Negotiator* CreatePostgresql(void* storage, const DialogueOptions& options) {
  return new (storage) PostgresqlDialogue(options);
}

void RefusePostgresql(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  switch (refusal) {
    case Refusal::kTooBusy:
      SayError(kTooManyConnections, "too many connections, try again later", out);
      break;
    case Refusal::kUnavailable:
      SayError(kCannotConnectNow, "server not available, try again later", out);
      break;
    case Refusal::kTimeout:
      SayError(kIdleTimeout, "terminating connection due to inactivity", out);
      break;
    case Refusal::kNoCommand:
      SayError(kIdleTimeout, "no request received in time", out);
      break;
    case Refusal::kTooLong:
      SayError(kIdleTimeout, "TLS was not started in time", out);
      break;
    case Refusal::kCrowded:
      SayError(kTooManyConnections, "server busy and TLS not started in time, try again later",
               out);
      break;
    case Refusal::kShutdown:
      SayError(kShutdown, "terminating connection due to administrator command", out);
      break;
    case Refusal::kTlsExpected:
    case Refusal::kPregreet:  // here clients speak first
      SayError(kNotAuthorized, "TLS is spoken here from the first octet", out);
      break;
  }
}

}  // namespace starling
