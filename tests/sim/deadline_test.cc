// Every deadline of a session, in simulated time, through the real worker: a
// millisecond before its limit the session is there, a little after it is gone,
// and that deadline is the reason.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/tls/test_client.h"
#include "tests/sim/coded_stream.h"
#include "tests/sim/gateway_fixture.h"
#include "tests/sim/identities.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_client.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

// What all exchanges before the one that is waited for take together, at most.
constexpr milliseconds kSlack{40};
// A limit that is not meant here is far away.
constexpr uint32_t kFar = 1'000'000;

struct Case {
  const char* name;
  EndReason reason;
  const char* protocol;
  TlsMode tls;
  ClientKind client;
  BackendKind backend;
  ServerKind servers;
  uint32_t ListenerLimits::* limit;
  uint32_t ms;
  bool tls_out = false;
  uint32_t connect_ms = kFar;
};

// One listener, one backend, one session.
class OneSession final : public Sessions {
 public:
  explicit OneSession(const Case& with) : world_(7) {
    world_.set_print(getenv("SIM_TRACE") != nullptr);
    ListenerConfig listener;
    listener.name = with.name;
    listener.protocol = FindProtocol(with.protocol);
    listener.bind = {world_.FreshAddress(false)};
    listener.tls = with.tls;
    listener.limits = {.pre_relay_ms = kFar,
                       .proxy_header_ms = kFar,
                       .handshake_ms = kFar,
                       .connect_ms = with.connect_ms,
                       .greeting_ms = kFar,
                       .record_ms = kFar,
                       .idle_ms = kFar,
                       .half_close_ms = kFar,
                       .linger_ms = kFar};
    listener.limits.*with.limit = with.ms;
    const bool proxied = with.client == ClientKind::kProxyStall;
    if (proxied) listener.proxy_from = {*Cidr::Parse("198.51.100.0/24")};
    BackendSetup backend;
    backend.address = world_.FreshAddress(false);
    backend.protocol = with.protocol;
    BackendConfig& servers = config_.backends.emplace_back();
    servers.name = "backend";
    servers.servers = {backend.address};
    servers.proxy = ProxyOut::kV2;
    servers.tls.enabled = with.tls_out;
    if (with.tls_out) servers.tls.name = kServerName;
    backend.tls = with.tls_out ? ServerTls::kBelieved : ServerTls::kNone;
    config_.listeners.push_back(listener);
    config_.limits.sessions = 4;
    config_.limits.refusals = 4;
    config_.limits.armed_accepts = 1;
    config_.limits.output_buffers = 16;
    config_.limits.small_buffers = 8;
    config_.limits.large_buffers = 2;

    setup_.config = &config_.listeners.back();
    setup_.address = setup_.config->bind.front();
    setup_.servers = with.servers;
    setup_.proxy_in = proxied;
    setup_.tls_out = with.tls_out;
    plan_.id = 1;
    plan_.listener = &setup_;
    plan_.client = with.client;
    plan_.backend = with.backend;
    plan_.connects_from = plan_.endpoint = world_.FreshEndpoint();
    plan_.client_octets = plan_.backend_octets = 1'000;
    plan_.client_ends_first = true;
    gateway_ = std::make_unique<GatewayFixture>(world_, config_);
    if (with.servers == ServerKind::kBlackHole) {
      world_.MakeBlackHole(backend.address);
    } else {
      backend_ = std::make_unique<SimBackend>(world_, *this, backend);
    }
  }

  void StartClient() {
    client_ = std::make_unique<SimClient>(world_, *this, plan_);
    client_->Start();
  }

  void RunFor(milliseconds time) {
    const MonoTime end = world_.now() + time;
    world_.At(end, [this] { world_.Interrupt(); });
    while (world_.now() < end && world_.failures().empty()) gateway_->Turn();
    for (const SessionRecord& record : gateway_->TakeRecords()) {
      if (record.event != LogEvent::kEnded) continue;
      ++ended_;
      reason_ = record.reason;
    }
  }

  // Stops the gateway and reports what went wrong on the way.
  void Finish() {
    gateway_->worker().StopNow();
    while (gateway_->Turn() && world_.failures().empty()) {
    }
    gateway_->CheckNothingLeft();
    for (const std::string& failure : world_.failures()) ADD_FAILURE() << failure;
  }

  World& world() { return world_; }
  GatewayFixture& gateway() { return *gateway_; }
  const SessionPlan& plan() const { return plan_; }
  int ended() const { return ended_; }
  EndReason reason() const { return reason_; }

  SessionPlan* ById(uint32_t id) override { return id == plan_.id ? &plan_ : nullptr; }
  SessionPlan* ByEndpoint(const Endpoint& endpoint) override {
    return endpoint == plan_.endpoint ? &plan_ : nullptr;
  }
  std::shared_ptr<TestSession>& Ticket(const ListenerSetup&) override { return ticket_; }

 private:
  World world_;
  Config config_;
  ListenerSetup setup_;
  SessionPlan plan_;
  std::shared_ptr<TestSession> ticket_;
  std::unique_ptr<GatewayFixture> gateway_;
  std::unique_ptr<SimBackend> backend_;
  std::unique_ptr<SimClient> client_;
  int ended_ = 0;
  EndReason reason_ = EndReason::kNone;
};

void RunInThread(const std::function<void()>& body) { GatewayFixture::InFreshThread(body); }

class Deadline : public testing::TestWithParam<Case> {};

TEST_P(Deadline, EndsTheSessionAtItsLimitAndNotBefore) {
  RunInThread([] {
    const Case& with = GetParam();
    OneSession session(with);
    session.StartClient();
    session.RunFor(milliseconds(with.ms - 1));
    EXPECT_EQ(session.gateway().worker().sessions(), 1u)
        << "ended too early: " << Label(session.reason());
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1) << "not ended in time";
    EXPECT_EQ(Label(session.reason()), Label(with.reason));
    session.Finish();
  });
}

constexpr TlsMode kImplicit = TlsMode::kImplicit;
constexpr TlsMode kStartTls = TlsMode::kStartTls;

const Case kCases[] = {
    {"PreRelayOfASilentClient", EndReason::kPreRelayDeadline, "imap", kStartTls,
     ClientKind::kSilent, BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::pre_relay_ms,
     60'000},
    {"PreRelayIsNotExtendedByOctets", EndReason::kPreRelayDeadline, "smtp", kStartTls,
     ClientKind::kDrip, BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::pre_relay_ms,
     60'000},
    {"PreRelayBeforeAnyOctetOfTls", EndReason::kPreRelayDeadline, "tcp", kImplicit,
     ClientKind::kSilent, BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::pre_relay_ms,
     60'000},
    {"ProxyHeader", EndReason::kProxyHeaderDeadline, "smtp", kStartTls, ClientKind::kProxyStall,
     BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::proxy_header_ms, 5'000},
    {"HandshakeImplicit", EndReason::kHandshakeDeadline, "imap", kImplicit, ClientKind::kHelloStall,
     BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::handshake_ms, 15'000},
    {"HandshakeAfterUpgrade", EndReason::kHandshakeDeadline, "pop3", kStartTls,
     ClientKind::kHelloStall, BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::handshake_ms,
     15'000},
    {"Connect", EndReason::kConnectDeadline, "imap", kImplicit, ClientKind::kStream,
     BackendKind::kNormal, ServerKind::kBlackHole, &ListenerLimits::connect_ms, 5'000},
    {"ConnectAfterUpgrade", EndReason::kConnectDeadline, "smtp", kStartTls, ClientKind::kStream,
     BackendKind::kNormal, ServerKind::kBlackHole, &ListenerLimits::connect_ms, 5'000},
    {"Greeting", EndReason::kGreetingDeadline, "smtp", kStartTls, ClientKind::kStream,
     BackendKind::kSilent, ServerKind::kUp, &ListenerLimits::greeting_ms, 30'000},
    {"Record", EndReason::kRecordDeadline, "imap", kImplicit, ClientKind::kHalfRecord,
     BackendKind::kNormal, ServerKind::kUp, &ListenerLimits::record_ms, 30'000},
    {"Idle", EndReason::kIdleDeadline, "imap", kImplicit, ClientKind::kIdle, BackendKind::kNormal,
     ServerKind::kUp, &ListenerLimits::idle_ms, 20'000},
    {"HalfClose", EndReason::kClientClosed, "imap", kImplicit, ClientKind::kStream,
     BackendKind::kNeverEnds, ServerKind::kUp, &ListenerLimits::half_close_ms, 60'000},
};

INSTANTIATE_TEST_SUITE_P(All, Deadline, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

Case LingerCase() {
  return {"Linger",        EndReason::kBadOctet,       "imap",
          kStartTls,       ClientKind::kNul,           BackendKind::kNormal,
          ServerKind::kUp, &ListenerLimits::linger_ms, 2'000};
}

// A client that was refused, reads what it is told and does not go away.
TEST(Linger, EndsAtItsLimit) {
  RunInThread([] {
    OneSession session(LingerCase());
    World& world = session.world();
    SocketId socket;
    ASSERT_EQ(world.Connect(session.plan().listener->address, session.plan().endpoint, &socket), 0);
    constexpr std::string_view kLine("a NO\0OP\r\n", 9);
    world.Write(socket, {reinterpret_cast<const uint8_t*>(kLine.data()), kLine.size()});
    session.RunFor(milliseconds(1'999));
    EXPECT_EQ(session.gateway().worker().sessions(), 1u);
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kBadOctet));
    session.Finish();
  });
}

// TLS by hand on a connection to the gateway, whose records come as a test cuts them.
class HandClient {
 public:
  HandClient(OneSession& session, SocketId socket)
      : session_(session), socket_(socket), tls_(TestClientOptions{}) {}

  // Carries what both have to say until there is no more, and plaintext from the gateway.
  void Exchange() {
    for (int quiet = 0; quiet < 20;) {
      tls_.Step();
      const std::string out = std::exchange(tls_.output, {});
      Put(out);
      session_.RunFor(milliseconds(1));
      uint8_t space[4'096];
      const int got =
          session_.world().Readable(socket_) ? session_.world().Read(socket_, space) : 0;
      if (got > 0) tls_.input.append(reinterpret_cast<char*>(space), static_cast<size_t>(got));
      quiet = out.empty() && got <= 0 ? quiet + 1 : 0;
    }
  }
  void Put(std::string_view octets) {
    if (octets.empty()) return;
    const int sent = session_.world().Write(
        socket_, {reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
    ASSERT_EQ(sent, static_cast<int>(octets.size()));
  }
  // A record, sealed and not sent.
  std::string Seal(std::string_view plain) {
    tls_.Write(plain);
    return std::exchange(tls_.output, {});
  }
  bool connected() const { return tls_.connected(); }

 private:
  OneSession& session_;
  const SocketId socket_;
  TestClient tls_;
};

Case RecordCase() {
  Case with = LingerCase();
  with.tls = kImplicit;
  with.limit = &ListenerLimits::record_ms;
  with.ms = 10'000;
  return with;
}

// Each segment of an upload ends in the middle of a record, and each record is there in
// time: the clock of one does not run on through the next.
TEST(RecordDeadline, IsOfOneRecordAndNotOfAnUpload) {
  RunInThread([] {
    OneSession session(RecordCase());
    SocketId socket;
    ASSERT_EQ(
        session.world().Connect(session.plan().listener->address, session.plan().endpoint, &socket),
        0);
    HandClient client(session, socket);
    client.Exchange();
    ASSERT_TRUE(client.connected());
    constexpr size_t kLine = 40;
    const auto seal = [&](size_t number) {
      return client.Seal(CodedOctets(kClientMark, session.plan().id, number * kLine, kLine));
    };
    std::string record = seal(0);
    client.Put(record.substr(0, 7));
    for (size_t i = 1; i <= 10; ++i) {
      session.RunFor(milliseconds(6'000));
      ASSERT_EQ(session.ended(), 0) << i;
      const std::string next = seal(i);
      client.Put(record.substr(7) + next.substr(0, 7));
      record = next;
    }
    session.RunFor(milliseconds(9'990));
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kRecordDeadline));
    session.Finish();
  });
}

// An octet now and then does not extend it.
TEST(RecordDeadline, IsNotExtendedByOctets) {
  RunInThread([] {
    OneSession session(RecordCase());
    SocketId socket;
    ASSERT_EQ(
        session.world().Connect(session.plan().listener->address, session.plan().endpoint, &socket),
        0);
    HandClient client(session, socket);
    client.Exchange();
    ASSERT_TRUE(client.connected());
    const std::string record = client.Seal(CodedOctets(kClientMark, session.plan().id, 0, 100));
    for (size_t i = 0; i < 4; ++i) {
      client.Put(record.substr(i, 1));
      session.RunFor(milliseconds(i < 3 ? 3'000 : 990));
      EXPECT_EQ(session.ended(), 0) << i;
    }
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kRecordDeadline));
    session.Finish();
  });
}

// A server that stalls in its handshake is closed; that may be over before what the
// close has ended, and the session's own deadline may be met between the two.
TEST(LegTls, IsLeftToEndWhenTheSessionDoes) {
  constexpr uint32_t kConnect = 5'000;
  for (uint32_t later = 0; later < 20; later += 2) {
    RunInThread([later] {
      OneSession session({"LegTls", EndReason::kPreRelayDeadline, "imap", kImplicit,
                          ClientKind::kStream, BackendKind::kTlsStall, ServerKind::kUp,
                          &ListenerLimits::pre_relay_ms, kConnect + later, true, kConnect});
      session.StartClient();
      session.RunFor(milliseconds(kConnect - 1));
      EXPECT_EQ(session.gateway().worker().sessions(), 1u);
      session.world().faults().delay = 1'000;
      session.world().faults().max_delay_us = 100'000;
      session.RunFor(milliseconds(later) + 20 * kSlack);
      EXPECT_EQ(session.ended(), 1);
      session.Finish();
    });
  }
}

// The drain's deadline is the main thread's; it ends in EndSessions. Sessions are
// told, and gone after the linger at the latest.
TEST(DrainDeadline, EndsRelayingAndNegotiatingSessions) {
  for (const ClientKind kind : {ClientKind::kIdle, ClientKind::kSilent}) {
    RunInThread([kind] {
      Case with = LingerCase();
      with.client = kind;
      OneSession session(with);
      session.StartClient();
      session.RunFor(milliseconds(10'000));
      session.gateway().worker().StopAccepting();
      session.RunFor(milliseconds(10'000));
      EXPECT_TRUE(session.gateway().worker().accepting_stopped());
      EXPECT_EQ(session.gateway().worker().sessions(), 1u) << "sessions may go on";
      session.gateway().worker().EndSessions();
      session.RunFor(milliseconds(2'000) + kSlack);
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(Label(session.reason()), Label(EndReason::kDrainDeadline));
      EXPECT_TRUE(session.plan().client_saw_end) << "it was not told";
      session.Finish();
    });
  }
}

}  // namespace
}  // namespace starling::sim
