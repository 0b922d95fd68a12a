#include "protocols/irc/irc.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <new>
#include <optional>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/frames/dialogue.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/irc/irc_message.h"
#include "protocols/irc/irc_options.h"
#include "protocols/irc/irc_registration.h"
#include "protocols/irc/limits.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeVerb = "STARTTLS";
constexpr uint32_t kVersionWithValues =
    302;  // of capability negotiation; "sts=..." is such a value

// Whether the gateway may send the text back as the last parameter.
bool MayEcho(std::string_view text) {
  return text.size() <= kIrcMaxEcho &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

// Whether the verb exposes a password: the server's (PASS), an operator's (OPER) or an
// account's (SASL).
bool IsLogin(std::string_view verb) {
  static constexpr std::array<std::string_view, 3> kVerbs = {"PASS", "OPER", "AUTHENTICATE"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [verb](std::string_view known) { return EqualsIgnoreCase(verb, known); });
}

// The digits of a number, without allocating memory.
class Number {
 public:
  explicit Number(uint16_t number) {
    const auto [end, error] = std::to_chars(digits_.begin(), digits_.end(), number);
    size_ = static_cast<size_t>(end - digits_.begin());
  }
  std::string_view text() const { return {digits_.data(), size_}; }

 private:
  std::array<char, 5> digits_{};
  size_t size_ = 0;
};

class IrcDialogue final : public LineDialogue {
 public:
  explicit IrcDialogue(const DialogueOptions& options)
      : LineDialogue(options), irc_(IrcOptionsOf(options)) {}

  Step OnClient(ByteView in, Output& out) override;
  Step OnBackend(ByteView in, Output& out) override;
  Step OnEvent(const Event& event, Output& out) override;
  bool IsOwedAnswer() const override { return registering() && registration_.IsOwedAnswer(); }

 private:
  // --- before TLS ---

  // The client speaks first.
  void SayGreeting(Writer& /*out*/) override {}
  void SayGoodbye(std::string_view text, Writer& out) override {
    Say(out, {"ERROR :", text, "\r\n"});
  }
  void SayRefusal(Refusal refusal, Writer& out) override {
    const bool late = refusal == Refusal::kNoCommand || refusal == Refusal::kTooLong;
    if (registering() && late) refusal = Refusal::kTimeout;
    if (registering() && refusal == Refusal::kCrowded) refusal = Refusal::kTooBusy;
    RefuseIrc(refusal, options(), out);
  }
  void OnLine(std::string_view line, Step& step, Writer& out) override;
  void OnStartTls(bool bare, Step& step, Writer& out);
  void OnOther(std::string_view verb, Step& step, Writer& out);
  void OnCap(std::string_view parameters, Writer& out);
  void OnCapLs(std::string_view version, Writer& out);
  void OnCapReq(std::string_view wanted, Writer& out);
  void OnPing(std::string_view token, Writer& out);
  // A client that has sent NICK and USER waits for the server's welcome, unless it has
  // begun to negotiate capabilities and has not finished.
  Patience PatienceNow() const {
    return has_said_user_ && !cap_ ? Patience::kShort : Patience::kUsual;
  }
  void OnPatienceOver(Step& step, Writer& out);

  // A client without a nickname is "*".
  void Answer(std::string_view numeric, std::string_view text, Writer& out) {
    Say(out, {":", options().hostname, " ", numeric, " * :", text, "\r\n"});
  }
  void AnswerCap(std::string_view subcommand, std::string_view text, Writer& out) {
    Say(out, {":", options().hostname, " CAP * ", subcommand, " :", text, "\r\n"});
  }

  // --- inside TLS, until the client is registered ---

  Greeting Judge(std::string_view line) const override;
  void BeginRegistration(const Event& event, Step& step, Output& out);
  void BeginLine(std::string_view line, Step& step, Writer& out);
  void SayWebirc(const Endpoint& client, Writer& backend) const;
  // 464 reports a wrong password. If the client's own password is wrong, the server ends
  // the connection anyway.
  bool RefusesWebirc(std::string_view line) const {
    return !irc_.webirc_password.empty() && IrcCommandOf(line) == "464";
  }

  const IrcOptions& irc_;
  enum class Stage : uint8_t {
    kBeforeTls,
    kRegistering,  // the fresh leg is up
    kRefused,      // its server has said why it will not have the client
  };
  bool registering() const { return stage_ != Stage::kBeforeTls; }

  // CAP LS was sent and CAP END was not: its version, 0 if none was given. It is carried over the
  // upgrade, and so is the next.
  std::optional<uint16_t> cap_;
  bool has_said_user_ = false;
  IrcRegistration registration_;
  Stage stage_ = Stage::kBeforeTls;
};

static_assert(sizeof(IrcDialogue) <= kNegotiatorSize);

void IrcDialogue::OnLine(std::string_view line, Step& step, Writer& out) {
  std::string_view rest = line;
  const std::string_view verb = TakeIrcCommand(rest);
  if (verb.empty()) return;  // RFC 2812 section 2.3.1: ignored silently
  if (Has8Bit(verb)) {
    Abort(EndReason::kBadOctet, step, out);
  } else if (EqualsIgnoreCase(verb, kUpgradeVerb)) {
    OnStartTls(TrimEnd(rest, kBlanks).empty(), step, out);
  } else if (EqualsIgnoreCase(verb, "CAP")) {
    OnCap(rest, out);
  } else if (EqualsIgnoreCase(verb, "PING")) {
    OnPing(TakeIrcParameter(rest), out);
  } else if (EqualsIgnoreCase(verb, "QUIT")) {
    Say(out, {"ERROR :Closing link: goodbye\r\n"});
    Close(step, EndReason::kGoodbye);
  } else {
    OnOther(verb, step, out);
  }
  step.patience = PatienceNow();
}

void IrcDialogue::OnStartTls(bool bare, Step& step, Writer& out) {
  if (!bare) {
    Answer("691", "STARTTLS takes no parameter", out);
    return;
  }
  Answer("670", "STARTTLS successful, proceed with TLS handshake", out);
  Upgrade(step);
}

// The gateway does not close: many clients begin with NICK and USER and upgrade afterwards.
// Inside TLS they send both again.
void IrcDialogue::OnOther(std::string_view verb, Step& step, Writer& out) {
  if (IsLogin(verb)) {
    NoteLogin(step);
  } else if (EqualsIgnoreCase(verb, "NICK")) {
    NoteNotTaken(step);
  } else if (EqualsIgnoreCase(verb, "USER")) {
    has_said_user_ = true;
  } else if (EqualsIgnoreCase(verb, "WEBIRC")) {
    step.Note(Attack::kIdentityClaim);
  } else {
    NoteUnknown(verb, kUpgradeVerb, step);
  }
  Answer("451", "You have not registered, use STARTTLS first", out);
}

void IrcDialogue::OnCap(std::string_view parameters, Writer& out) {
  std::string_view rest = parameters;
  const std::string_view subcommand = TakeIrcParameter(rest);
  if (EqualsIgnoreCase(subcommand, "LS")) {
    OnCapLs(TakeIrcParameter(rest), out);
  } else if (EqualsIgnoreCase(subcommand, "REQ")) {
    OnCapReq(TakeIrcParameter(rest), out);
  } else if (EqualsIgnoreCase(subcommand, "LIST")) {
    AnswerCap("LIST", "", out);
  } else if (EqualsIgnoreCase(subcommand, "END")) {
    cap_.reset();
  } else {
    Say(out, {":", options().hostname, " 410 * CAP :Invalid CAP subcommand\r\n"});
  }
}

// The backend's policy says for how long the client must use TLS, and must come inside TLS.
// Before TLS clients read only the port.
void IrcDialogue::OnCapLs(std::string_view version, Writer& out) {
  uint16_t& number = cap_.emplace(0);
  std::from_chars(version.data(), version.data() + version.size(), number);
  if (irc_.sts_port != 0 && number >= kVersionWithValues) {
    const Number port(irc_.sts_port);
    Say(out, {":", options().hostname, " CAP * LS :tls sts=port=", port.text(), "\r\n"});
  } else {
    AnswerCap("LS", "tls", out);
  }
  NoteOffer();
}

void IrcDialogue::OnCapReq(std::string_view wanted, Writer& out) {
  if (Trim(wanted, kBlanks) == "tls") {
    AnswerCap("ACK", "tls", out);
  } else {
    AnswerCap("NAK", MayEcho(wanted) ? wanted : std::string_view(), out);
  }
}

void IrcDialogue::OnPing(std::string_view token, Writer& out) {
  if (token.empty() || !MayEcho(token)) {
    Answer("409", "No origin specified", out);
  } else {
    Say(out, {":", options().hostname, " PONG ", options().hostname, " :", token, "\r\n"});
  }
}

// 001 is the first reply to a registered client. By ERROR a server ends the connection.
LineDialogue::Greeting IrcDialogue::Judge(std::string_view line) const {
  const std::string_view command = IrcCommandOf(line);
  if (command == "001") return Greeting::kSuccess;
  if (!IsIrcMessage(line, is_whole())) return Greeting::kBroken;
  return EqualsIgnoreCase(command, "ERROR") ? Greeting::kRefusal : Greeting::kPassOn;
}

Step IrcDialogue::OnClient(ByteView in, Output& out) {
  if (!registering()) return LineDialogue::OnClient(in, out);
  Step step;
  const size_t count = std::min(in.size(), out.backend.room());
  if (!out.backend.Append(in.first(count))) return step;
  step.consumed = count;
  registration_.HearClient(in.first(count));
  step.understood = AsText(in.first(count)).find('\n') != std::string_view::npos;
  step.patience = Patience::kUsual;
  return step;
}

Step IrcDialogue::OnBackend(ByteView in, Output& out) {
  if (!registering()) return LineDialogue::OnBackend(in, out);
  Step step;
  while (step.verdict == Verdict::kContinue && step.consumed < in.size()) {
    if (out.client.room() < kMinOutputRoom) break;
    const LongLines::Piece piece = server_lines().Next(in.subspan(step.consumed));
    if (piece.status == LongLines::Status::kNeedMore) break;
    if (piece.status == LongLines::Status::kBroken) {
      AbortMisplaced(Awaited::kGreeting, Misplaced::kOctets, step, out.client);
      break;
    }
    if (piece.first) BeginLine(piece.text, step, out.client);
    if (step.verdict != Verdict::kContinue) break;
    GivePiece(piece, out.client);
    step.consumed += piece.consumed;
  }
  return step;
}

void IrcDialogue::BeginLine(std::string_view line, Step& step, Writer& out) {
  const Greeting what = Judge(line);
  registration_.HearServer(line);
  if (RefusesWebirc(line)) {
    // The server would go on, and take the client for the gateway itself.
    SayRefusal(Refusal::kUnavailable, out);
    Close(step, EndReason::kBackendRefused);
  } else if (what == Greeting::kSuccess) {
    step.verdict = Verdict::kRelay;
  } else if (what == Greeting::kBroken) {
    // Until the server's welcome nothing that is a message is out of place.
    AbortMisplaced(Awaited::kGreeting, Misplaced::kLine, step, out);
  } else {
    stage_ = what == Greeting::kRefusal ? Stage::kRefused : Stage::kRegistering;
  }
}

Step IrcDialogue::OnEvent(const Event& event, Output& out) {
  Step step;
  if (event.kind == EventKind::kLegUp) {
    BeginRegistration(event, step, out);
    return step;
  }
  if (event.kind == EventKind::kPatienceOver) {
    OnPatienceOver(step, out.client);
    return step;
  }
  if (event.kind == EventKind::kBackendEnd && stage_ == Stage::kRefused) {
    // It has said why.
    Close(step, EndReason::kBackendRefused);
    return step;
  }
  return LineDialogue::OnEvent(event, out);
}

void IrcDialogue::OnPatienceOver(Step& step, Writer& out) {
  if (registering()) {
    EndOpenLine(out);
    Say(out, {"ERROR :Closing link: send NICK and USER again inside TLS\r\n"});
    Close(step, EndReason::kPreRelaySilence);
    return;
  }
  const uint16_t port = irc_.sts_port;
  const Number number(port);
  Say(out, {"ERROR :TLS required: send STARTTLS, or connect with TLS",
            port == 0 ? " from the start" : " to port ", port == 0 ? "" : number.text(), "\r\n"});
  NoteNotTaken(step);
  Close(step, EndReason::kTlsRequired);
}

void IrcDialogue::BeginRegistration(const Event& event, Step& step, Output& out) {
  assert(stage_ == Stage::kBeforeTls);
  stage_ = Stage::kRegistering;
  step.verdict = Verdict::kReadInside;
  step.patience = PatienceNow();
  if (!irc_.webirc_password.empty()) {
    if (event.client == nullptr || event.client->family == Endpoint::Family::kNone) {
      // Without an address, the server would take the client for the gateway itself.
      SayRefusal(Refusal::kUnavailable, out.client);
      Close(step, EndReason::kBackendUnavailable);
      return;
    }
    SayWebirc(*event.client, out.backend);
  }
  if (!cap_) return;
  registration_.AskForCapabilities();
  if (*cap_ == 0) {
    Say(out.backend, {"CAP LS\r\n"});
  } else {
    Say(out.backend, {"CAP LS ", Number(*cap_).text(), "\r\n"});
  }
}

// The host name is the address: the gateway asks no resolver, and the server can. A
// parameter must not begin with a colon, as "::1" does.
void IrcDialogue::SayWebirc(const Endpoint& client, Writer& backend) const {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = client.family == Endpoint::Family::kV4 ? AF_INET : AF_INET6;
  inet_ntop(family, client.ip.data(), text, sizeof(text));
  const std::string_view ip = text;
  const std::string_view zero = ip.starts_with(':') ? "0" : "";
  Say(backend, {"WEBIRC ", irc_.webirc_password, " starling ", zero, ip, " ", zero, ip, "\r\n"});
}

}  // namespace

Negotiator* CreateIrc(void* storage, const DialogueOptions& options) {
  return new (storage) IrcDialogue(options);
}

void RefuseIrc(Refusal refusal, const DialogueOptions& /*options*/, Writer& out) {
  // The text stands in the middle of a line here, so it begins with a small letter, except
  // for acronyms.
  const std::string_view text =
      refusal == Refusal::kTimeout ? "registration timed out" : TextOf(refusal);
  const bool is_word = text[1] >= 'a';
  const char first = is_word ? static_cast<char>(text[0] | 0x20) : text[0];
  Say(out, {"ERROR :Closing link: ", {&first, 1}, text.substr(1), "\r\n"});
}

}  // namespace starling
