#include "tests/sim/sim_client.h"

#include <cerrno>

#include "protocols/proxy/proxy_header.h"

namespace starling::sim {
namespace {

// A client that waits longer than this for its end has found a bug.
constexpr std::chrono::minutes kPatience{30};

}  // namespace

SimClient::SimClient(World& world, Sessions& sessions, SessionPlan& plan)
    : world_(world), sessions_(sessions), plan_(plan), wire_(world), script_(MakeScript(plan)) {}

void SimClient::Start() {
  world_.After(std::chrono::microseconds(plan_.start_us), [this] { Connect(); });
}

void SimClient::Connect() {
  SocketId socket;
  const int result = world_.Connect(plan_.listener->address, plan_.connects_from, &socket);
  if (result == -EINPROGRESS) {
    // A full backlog: TCP tries again by itself.
    world_.After(std::chrono::milliseconds(50), [this] { Connect(); });
    return;
  }
  if (result != 0) return Done();
  plan_.connected = true;
  world_.Trace("client connects", plan_.id, plan_.connects_from.port);
  wire_.Attach(socket, [this] { Step(); });
  world_.After(kPatience, [this] {
    if (stage_ != Stage::kDone) world_.Fail(plan_.Name() + " was never ended");
  });
  if (plan_.listener->proxy_in) WriteProxyHeader();
  if (script_.empty()) AfterScript();
  Step();
}

void SimClient::WriteProxyHeader() {
  uint8_t memory[kMaxProxyV2Out];
  Writer writer{std::span<uint8_t>(memory)};
  ProxyInfo info;
  info.source = plan_.endpoint;
  info.destination = plan_.listener->address.endpoint();
  const bool written =
      plan_.id % 2 == 0 ? WriteProxyV1(info, writer) : WriteProxyV2(info, ProxyTlvs(), writer);
  if (!written) return world_.Fail("the client's PROXY header does not fit");
  std::string_view header = AsText(writer.written());
  if (plan_.client == ClientKind::kProxyBad) header = "EHLO there is no header\r\n";
  if (plan_.client == ClientKind::kProxyStall) header = header.substr(0, header.size() / 2);
  wire_.Send(header);
}

void SimClient::Done() {
  if (wire_.was_broken()) plan_.broken = true;
  if (tls_ != nullptr && tls_->session() != nullptr) {
    sessions_.Ticket(*plan_.listener) = tls_->session();
  }
  stage_ = Stage::kDone;
  plan_.client_done = true;
  world_.Trace("client done", plan_.id, static_cast<int64_t>(plan_.client_got));
  wire_.Close();
}

void SimClient::Step() {
  if (stage_ == Stage::kDone || !wire_.open()) return;
  wire_.Flush();
  const bool more = wire_.Receive(plan_.read_limit);
  switch (stage_) {
    case Stage::kScript:
      StepScript();
      break;
    case Stage::kBody:
      StepBody();
      break;
    case Stage::kTls:
      StepTls();
      break;
    case Stage::kWait:
      if (no_tls_ && wire_.in.find("\x16\x03") != std::string::npos) {
        world_.Fail(plan_.Name() + ": TLS began behind injected octets");
      }
      wire_.in.clear();
      break;
    case Stage::kDone:
      return;
  }
  if (stage_ == Stage::kDone) return;
  if (wire_.failed() || (wire_.ended() && stage_ != Stage::kTls)) {
    plan_.client_saw_end = plan_.client_saw_end || !wire_.failed();
    return Done();
  }
  if (more) world_.After(std::chrono::microseconds(40), [this] { Step(); });
}

// --- Before TLS ---

void SimClient::StepScript() {
  const std::string_view protocol = plan_.listener->config->protocol->name;
  while (stage_ == Stage::kScript && line_ < script_.size()) {
    const ScriptLine& line = script_[line_];
    if (!said_) {
      said_ = true;
      if (!line.say.empty()) Say(line.say);
    }
    const std::string reply = TakeReply(protocol, line, wire_.in);
    if (reply.empty()) return;
    if (++replies_ < line.replies) continue;
    if (!reply.starts_with(line.expect)) {
      // A refusal: the rest is the gateway's last message.
      stage_ = Stage::kWait;
      return;
    }
    ++line_;
    said_ = false;
    replies_ = 0;
    if (line_ == script_.size()) AfterScript();
  }
}

// A command goes in one segment or in several.
void SimClient::Say(std::string_view octets) {
  if (!world_.rng().Chance(150) || octets.size() < 2) return wire_.Send(octets);
  const size_t cut = world_.rng().Between(1, octets.size() - 1);
  wire_.Send(octets.substr(0, cut));
  world_.After(std::chrono::microseconds(world_.rng().Between(1, 2'000)),
               [this, rest = std::string(octets.substr(cut))] {
                 if (wire_.open() && stage_ != Stage::kDone) wire_.Send(rest);
               });
}

void SimClient::AfterScript() {
  switch (plan_.client) {
    case ClientKind::kPlainMail:
    case ClientKind::kPlainMailReset:
      if (mail_sent_) {
        stage_ = Stage::kWait;
        return;
      }
      stage_ = Stage::kBody;
      return StepBody();
    case ClientKind::kSilent:
    case ClientKind::kQuit:
    case ClientKind::kProxyBad:
    case ClientKind::kProxyStall:
      stage_ = Stage::kWait;
      return;
    case ClientKind::kLeaveEarly:
      stage_ = Stage::kWait;
      return wire_.ShutdownWhenFlushed();
    case ClientKind::kResetEarly:
      wire_.Reset();
      return Done();
    case ClientKind::kDrip:
      stage_ = Stage::kWait;
      return Drip();
    case ClientKind::kInjectHello:
    case ClientKind::kInjectCommand:
    case ClientKind::kInjectLater:
    case ClientKind::kPlainAfterUpgrade:
    case ClientKind::kPlainOnTls:
    case ClientKind::kTlsOnPlain:
    case ClientKind::kHttp:
    case ClientKind::kOverlong:
    case ClientKind::kNul:
    case ClientKind::kManyCommands:
      stage_ = Stage::kWait;
      return Attack();
    default:
      stage_ = Stage::kTls;
      return StartTls();
  }
}

void SimClient::Attack() {
  const std::string_view protocol = plan_.listener->config->protocol->name;
  const std::string upgrade = UpgradeCommand(protocol);
  const std::string harmless = HarmlessCommand(protocol);
  switch (plan_.client) {
    case ClientKind::kInjectHello:
      no_tls_ = true;
      return wire_.Send(upgrade + Hello());
    case ClientKind::kInjectCommand:
      return wire_.Send(upgrade + harmless);
    case ClientKind::kInjectLater:
      wire_.Send(upgrade);
      world_.After(std::chrono::microseconds(world_.rng().Between(1, 600)), [this, harmless] {
        if (wire_.open() && stage_ != Stage::kDone) wire_.Send(harmless);
      });
      return;
    case ClientKind::kPlainAfterUpgrade:
    case ClientKind::kPlainOnTls:
      return wire_.Send(harmless);
    case ClientKind::kTlsOnPlain:
      return wire_.Send(Hello());
    case ClientKind::kHttp:
      return wire_.Send("POST / HTTP/1.1\r\nHost: mail\r\n\r\n");
    case ClientKind::kOverlong:
      return wire_.Send(std::string(9'000, 'A'));
    case ClientKind::kNul:
      return wire_.Send(std::string_view("NO\0OP\r\n", 7));
    case ClientKind::kManyCommands:
      for (int i = 0; i < 80; ++i) wire_.Send(harmless);
      return;
    default:
      return;
  }
}

void SimClient::Drip() {
  if (stage_ != Stage::kWait || !wire_.open()) return;
  wire_.Send("A");
  world_.After(std::chrono::seconds(7), [this] { Drip(); });
}

// --- A message in plaintext ---

void SimClient::StepBody() {
  const uint64_t total = plan_.client_octets;
  while (body_sent_ < total && wire_.flushed() && wire_.open() && !wire_.failed()) {
    const size_t size = std::min<uint64_t>(world_.rng().Between(1, 6'000), total - body_sent_);
    wire_.Send(CodedText(plan_.id, body_sent_, size));
    body_sent_ += size;
    plan_.client_sent = body_sent_;
    if (plan_.client == ClientKind::kPlainMailReset && body_sent_ >= total / 2) {
      wire_.Reset();
      return Done();
    }
  }
  if (body_sent_ < total || !wire_.open()) return;
  mail_sent_ = true;
  script_.push_back({.say = ".\r\n", .replies = 1, .expect = "250", .tag = "", .multi = false});
  script_.push_back({.say = "QUIT\r\n", .replies = 1, .expect = "221", .tag = "", .multi = false});
  stage_ = Stage::kScript;
  StepScript();
}

}  // namespace starling::sim
