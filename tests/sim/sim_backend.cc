#include "tests/sim/sim_backend.h"

#include <algorithm>

#include "protocols/proxy/proxy_header.h"
#include "tests/sim/identities.h"

namespace starling::sim {
namespace {

std::string_view Greeting(std::string_view protocol) {
  if (protocol == "smtp") return "220-backend.sim ready\r\n220 ESMTP\r\n";
  if (protocol == "lmtp") return "220-backend.sim\r\n220 LMTP\r\n";
  if (protocol == "imap") return "* OK [CAPABILITY IMAP4rev1] backend ready\r\n";
  if (protocol == "pop3") return "+OK backend ready\r\n";
  if (protocol == "managesieve") {
    return "\"IMPLEMENTATION\" \"sim\"\r\n\"SASL\" \"PLAIN\"\r\nOK \"backend ready\"\r\n";
  }
  return "";
}

std::string_view Refusal(std::string_view protocol) {
  if (protocol == "smtp" || protocol == "lmtp") return "554 5.3.2 not today\r\n";
  if (protocol == "imap") return "* BYE not today\r\n";
  if (protocol == "pop3") return "-ERR not today\r\n";
  return "BYE \"not today\"\r\n";
}

std::unique_ptr<TlsContext> MakeTls(ServerTls kind) {
  const Identities& identities = TheIdentities();
  const bool believed = kind == ServerTls::kBelieved;
  TlsPolicy policy;
  policy.certificates = MakeCredentialIndex({believed ? identities.server : identities.stranger});
  policy.tickets = MakeTicketKeys();
  return std::move(TlsContext::Create(policy)).value();
}

// A connection that carries a TLS session's plaintext: a greeting, then a stream in each
// direction.
class StreamLeg final : public BackendLeg {
 public:
  StreamLeg(const BackendContext& context, SocketId socket)
      : context_(context),
        world_(context.world),
        sessions_(context.sessions),
        setup_(context.setup),
        wire_(context.world),
        checker_(kClientMark) {
    wire_.Attach(socket, [this] { Step(); });
    stage_ = setup_.proxy_header ? Stage::kHeader : Stage::kGreeting;
    if (!setup_.proxy_header) GreetSoon();
    if (setup_.serves_after > std::chrono::milliseconds(0)) {
      waits_ = true;
      world_.After(setup_.serves_after, [this] { Serve(); });
    }
    Step();
  }

 private:
  enum class Stage : uint8_t { kHeader, kSecuring, kGreeting, kStream, kMute, kDone };

  void GreetSoon() {
    world_.After(std::chrono::microseconds(world_.rng().Below(3'000)), [this] { Greet(); });
  }

  // The gateway may have left meanwhile.
  void Serve() {
    waits_ = false;
    if (!wire_.open()) return;
    wire_.Receive(65'536);
    if (wire_.ended() || wire_.failed()) {
      stage_ = Stage::kDone;
      return wire_.Close();
    }
    Step();
  }

  void Step() {
    if (stage_ == Stage::kDone || !wire_.open() || waits_) return;
    wire_.Flush();
    const size_t limit = world_.rng().Chance(200) ? world_.rng().Between(1, 2'000) : 65'536;
    if (wire_.Receive(limit)) world_.After(std::chrono::microseconds(50), [this] { Step(); });
    if (stage_ == Stage::kHeader && !TakeHeader()) return;
    if (stage_ == Stage::kSecuring && !Secured()) return;
    if (!Check()) return;
    Produce();
    Finish();
  }

  bool TakeHeader() {
    if (wire_.ended() && wire_.in.empty()) {
      wire_.Close();
      return false;
    }
    switch (header_.Take(wire_.in, sessions_, world_)) {
      case HeaderReader::Status::kNeedMore:
        return false;
      case HeaderReader::Status::kBad:
        stage_ = Stage::kDone;
        wire_.Close();
        return false;
      case HeaderReader::Status::kDone:
        break;
    }
    plan_ = header_.plan();
    if (context_.tls == nullptr) return Begin();
    if (Unheard()) {
      stage_ = Stage::kMute;
      wire_.in.clear();
      if (kind() == BackendKind::kTlsGarbage) wire_.Send("this is not a ServerHello");
      return false;
    }
    stage_ = Stage::kSecuring;
    wire_.StartTls(*context_.tls);
    return true;
  }

  // A gateway that rejects the server's certificate tries another server; this connection
  // ends.
  bool Secured() {
    if (wire_.ended() && !wire_.secure()) {
      stage_ = Stage::kDone;
      wire_.Close();
    }
    return stage_ == Stage::kSecuring && wire_.secure() && Begin();
  }

  bool Begin() {
    const bool second = plan_->fresh_legs++ > 0;
    // It may leave a server that broke before it has greeted, and only before.
    if (second && plan_->backend_got > 0) {
      world_.Fail(plan_->Name() + " opened a second leg after octets went to the first");
    }
    sick_ = kind() == BackendKind::kSickFirst && !second;
    if (setup_.tls == ServerTls::kStranger) world_.Fail(plan_->Name() + " believed a stranger");
    stage_ = Stage::kGreeting;
    GreetSoon();
    return true;
  }

  // How the first of two servers fails depends on the session.
  void FailToGreet() {
    const std::string greeting(Greeting(setup_.protocol));
    switch (plan_->id % 6) {
      case 0:
        return wire_.ShutdownWhenFlushed();
      case 1:
        stage_ = Stage::kDone;
        return wire_.Reset();
      case 2:
        wire_.Send(greeting.substr(0, greeting.size() / 2));
        return wire_.ShutdownWhenFlushed();
      case 3:  // another protocol
        wire_.Send("HTTP/1.0 400 Bad Request\r\n\r\n");
        return wire_.ShutdownWhenFlushed();
      case 4:  // a line without end
        return wire_.Send(greeting.substr(0, greeting.size() / 2) + std::string(17'000, 'x'));
      default:
        return;  // it says nothing
    }
  }

  // The input of a server that breaks TLS is not a stream.
  bool Unheard() const {
    return kind() == BackendKind::kTlsStall || kind() == BackendKind::kTlsGarbage;
  }

  BackendKind kind() const { return plan_ == nullptr ? BackendKind::kNormal : plan_->backend; }

  void Greet() {
    if (stage_ != Stage::kGreeting || !wire_.open()) return;
    stage_ = Stage::kMute;
    if (!setup_.script.empty()) return Recite(0);
    if (sick_) return FailToGreet();
    switch (kind()) {
      case BackendKind::kRefuse:
        wire_.Send(Refusal(setup_.protocol));
        wire_.ShutdownWhenFlushed();
        break;
      case BackendKind::kPreauth:
        wire_.Send("* PREAUTH welcome back\r\n");
        break;
      case BackendKind::kGarbage:
        wire_.Send(std::string_view("\0\0\xff\xfe nonsense\r\n", 14));
        break;
      case BackendKind::kSilent:
        break;
      case BackendKind::kCloseMute:
        wire_.ShutdownWhenFlushed();
        break;
      default:
        if (setup_.greets_on_after > std::chrono::milliseconds(0)) return GreetInTwo();
        wire_.Send(Greeting(setup_.protocol));
        stage_ = Stage::kStream;
        break;
    }
    Step();
  }

  void GreetInTwo() {
    const std::string_view greeting = Greeting(setup_.protocol);
    const size_t first = greeting.find('\n') + 1;
    wire_.Send(greeting.substr(0, first));
    Step();
    world_.After(setup_.greets_on_after, [this, rest = greeting.substr(first)] {
      if (stage_ != Stage::kMute || !wire_.open()) return;
      wire_.Send(rest);
      stage_ = Stage::kStream;
      Step();
    });
  }

  void Recite(size_t at) {
    if (!wire_.open()) return;
    if (at < setup_.script.size()) {
      wire_.Send(setup_.script[at]);
      world_.After(std::chrono::milliseconds(10), [this, at] { Recite(at + 1); });
    } else if (kind() == BackendKind::kCloseMute) {
      wire_.ShutdownWhenFlushed();
    } else if (kind() == BackendKind::kTruncateMid) {
      wire_.TruncateWhenFlushed();
    }
  }

  // The client's stream: only its own octets may come, in order.
  bool Check() {
    if (Unheard()) wire_.in.clear();
    // What a sick one says may be passed on where no other server is left.
    const bool unwelcome = (sick_ && !plan_->SickServerSpeaks()) ||
                           kind() == BackendKind::kSilent || kind() == BackendKind::kCloseMute;
    if (unwelcome && !wire_.in.empty() && !Greeting(setup_.protocol).empty()) {
      world_.Fail("octets of " + plan_->Name() + " went to a server that had not greeted");
    }
    if (!wire_.in.empty()) {
      if (!checker_.Feed(wire_.in)) {
        world_.Fail("a backend got a foreign octet at " + std::to_string(checker_.position()) +
                    (plan_ != nullptr ? " of " + plan_->Name() : std::string()));
        stage_ = Stage::kDone;
        wire_.Close();
        return false;
      }
      wire_.in.clear();
      if (checker_.known() && !Identify()) return false;
    }
    if (plan_ != nullptr && !sick_) {
      plan_->backend_got = checker_.position();
      if (wire_.ended() && !wire_.failed()) plan_->backend_saw_end = true;
    }
    return true;
  }

  bool Identify() {
    SessionPlan* plan = sessions_.ById(checker_.id());
    if (plan == plan_ && plan != nullptr) return true;
    if (plan == nullptr || plan_ != nullptr) {
      world_.Fail("a backend got the stream of another session");
      return false;
    }
    plan_ = plan;
    ++plan->fresh_legs;
    return true;
  }

  // The length of the stream before the client's end, and its whole length.
  uint64_t Total() const {
    const bool midway = kind() == BackendKind::kCloseMid || kind() == BackendKind::kResetMid ||
                        kind() == BackendKind::kTruncateMid;
    return midway ? std::min<uint64_t>(plan_->backend_octets, kMarkSize + 500)
                  : plan_->backend_octets;
  }

  void Produce() {
    if (stage_ != Stage::kStream || plan_ == nullptr) return;
    uint64_t until = Total();
    // The side that ends last still sends something after the other's end.
    if (plan_->client_ends_first && !wire_.ended()) until = until * 3 / 4;
    while (wire_.flushed() && sent_ < until && wire_.open() && !wire_.failed()) {
      const size_t size = std::min(DrawPortion(world_.rng()), until - sent_);
      wire_.Send(CodedOctets(kBackendMark, plan_->id, sent_, size));
      sent_ += size;
    }
    plan_->backend_sent = sent_;
  }

  void Finish() {
    if (wire_.failed()) {
      stage_ = Stage::kDone;
      wire_.Close();
      return;
    }
    if (stage_ == Stage::kStream && plan_ != nullptr && sent_ >= Total() && wire_.flushed()) {
      if (kind() == BackendKind::kResetMid) {
        stage_ = Stage::kDone;
        wire_.Reset();
        return;
      }
      if (kind() == BackendKind::kNeverEnds) return;
      if (kind() == BackendKind::kTruncateMid) wire_.TruncateWhenFlushed();
      if (!plan_->client_ends_first || wire_.ended()) wire_.ShutdownWhenFlushed();
      if (wire_.ended() && wire_.flushed()) {
        stage_ = Stage::kDone;
        wire_.Close();
      }
      return;
    }
    if (wire_.ended() && (stage_ == Stage::kMute || plan_ == nullptr)) {
      stage_ = Stage::kDone;
      wire_.Close();
    }
  }

  const BackendContext& context_;
  World& world_;
  Sessions& sessions_;
  const BackendSetup& setup_;
  Wire wire_;
  HeaderReader header_;
  StreamChecker checker_;
  SessionPlan* plan_ = nullptr;
  Stage stage_;
  bool sick_ = false;
  bool waits_ = false;
  uint64_t sent_ = 0;
};

}  // namespace

HeaderReader::Status HeaderReader::Take(std::string& in, Sessions& sessions, World& world) {
  const ProxyParse parse = ParseProxy(AsBytes(in));
  if (in.empty() || parse.status == ProxyParse::Status::kNeedMore) return Status::kNeedMore;
  if (parse.status == ProxyParse::Status::kBad) {
    world.Fail("a backend got a bad PROXY header: " + std::string(parse.error));
    return Status::kBad;
  }
  plan_ = sessions.ByEndpoint(parse.source);
  if (plan_ == nullptr) {
    world.Fail("a PROXY header names nobody: " + ToString(parse.source));
    return Status::kBad;
  }
  in.erase(0, parse.consumed);
  return Status::kDone;
}

std::unique_ptr<BackendLeg> MakeStreamLeg(const BackendContext& context, SocketId socket) {
  return std::make_unique<StreamLeg>(context, socket);
}

SimBackend::SimBackend(World& world, Sessions& sessions, BackendSetup setup)
    : context_{world, sessions, std::move(setup), nullptr},
      os_fd_(world.Listen(context_.setup.address, context_.setup.backlog)) {
  if (context_.setup.tls != ServerTls::kNone) context_.tls = MakeTls(context_.setup.tls);
  if (context_.setup.accepts) world.WatchListener(os_fd_, [this] { AcceptAll(); });
}

SimBackend::~SimBackend() { context_.world.CloseListener(os_fd_); }

void SimBackend::AcceptAll() {
  World& world = context_.world;
  for (SocketId socket = world.Accept(os_fd_); socket != kNoSocket; socket = world.Accept(os_fd_)) {
    legs_.push_back(context_.setup.inside_tls ? MakeStreamLeg(context_, socket)
                                              : MakeMailLeg(context_, socket));
  }
}

}  // namespace starling::sim
