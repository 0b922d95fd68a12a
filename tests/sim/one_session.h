// A fixture for tests of one moment in a session's life: one listener, one backend, one
// planned session, and connections that the test makes by hand, in simulated time.
//
// Not for: many sessions and their invariants (scenario.h, simulation.h).
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/tls/test_client.h"
#include "protocols/registry.h"
#include "tests/sim/gateway_fixture.h"
#include "tests/sim/identities.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_client.h"

namespace starling::sim {

// The most time that all exchanges before the tested one take together.
inline constexpr std::chrono::milliseconds kSlack{40};
// A limit far away, for those that a test does not cover.
inline constexpr uint32_t kFar = 1'000'000;
// Those of one try matter only where there is another server.
inline constexpr uint32_t kConnectTry = 1'500;
inline constexpr uint32_t kGreetingTry = 5'000;

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
  const ProtocolRow* row = nullptr;  // replaces the protocol's row
  DialogueOptions dialogue = {};
  uint64_t octets = 1'000;  // of each stream
  uint32_t linger_ms = kFar;
  bool client_ends_first = true;
  uint64_t seed = 7;
  uint32_t id = 1;
  bool black_hole_beside = false;                    // adds an unreachable server
  bool server_beside = false;                        // adds one that does the same
  std::chrono::milliseconds serves_after{0};         // as of BackendSetup: the first server
  std::chrono::milliseconds beside_serves_after{0};  // the one beside it
  std::chrono::milliseconds greets_on_after{0};      // the same of their greetings' second lines
  std::chrono::milliseconds beside_greets_on_after{0};
  const ListenerLimits* limits = nullptr;  // replaces the limits that are far away
  uint32_t sessions = 16;
  bool servers_of_legs = false;          // the servers get plaintext mail sessions
  std::vector<std::string> script = {};  // the server's, see BackendSetup
  std::vector<SourceRow> sources = {};   // empty: no client has a limit of its own
  uint32_t armed_accepts = 1;
  uint32_t new_sources_percent = GlobalLimits().new_sources_percent;
  std::function<void(Config&)> change = {};  // of all that is set otherwise; may be empty
};

// The default limits of a listener with this protocol.
inline ListenerLimits DefaultsOf(const char* protocol) {
  const ProtocolRow& row = *FindProtocol(protocol);
  ListenerLimits limits;
  limits.idle_ms = row.idle_seconds * 1'000;
  limits.pre_relay_silence_ms = row.silence_seconds * 1'000;
  limits.pre_relay_total_ms = row.before_relay_seconds * 1'000;
  return limits;
}

// A silent client of STARTTLS, before a server that is well.
inline Case StartTlsCase(const char* name, const char* protocol, const ListenerLimits& limits) {
  Case with{name,
            EndReason::kNone,
            protocol,
            TlsMode::kStartTls,
            ClientKind::kSilent,
            BackendKind::kNormal,
            ServerKind::kUp,
            nullptr,
            0};
  with.limits = &limits;
  return with;
}

// One listener, one backend, one session.
class OneSession final : public Sessions {
 public:
  explicit OneSession(const Case& with) : world_(with.seed) {
    world_.set_print(getenv("SIM_TRACE") != nullptr);
    ListenerConfig listener;
    listener.name = with.name;
    listener.protocol = with.row != nullptr ? with.row : FindProtocol(with.protocol);
    listener.dialogue = with.dialogue;
    listener.bind = {world_.FreshAddress(false)};
    listener.tls = with.tls;
    listener.limits = {.pre_relay_ms = kFar,
                       .pre_relay_silence_ms = kFar,
                       .pre_relay_total_ms = kFar,
                       .patience_ms = kFar,
                       .proxy_header_ms = kFar,
                       .handshake_ms = kFar,
                       .connect_ms = with.connect_ms,
                       .connect_try_ms = kConnectTry,
                       .greeting_ms = kFar,
                       .greeting_try_ms = kGreetingTry,
                       .record_ms = kFar,
                       .idle_ms = kFar,
                       .half_close_ms = kFar,
                       .linger_ms = with.linger_ms};
    if (with.limits != nullptr) listener.limits = *with.limits;
    if (with.limit != nullptr) listener.limits.*with.limit = with.ms;
    const bool proxied = with.client == ClientKind::kProxyStall;
    if (proxied) listener.proxy_in.from = {*Cidr::Parse("198.51.100.0/24")};
    BackendSetup backend;
    backend.address = world_.FreshAddress(false);
    backend.protocol = with.protocol;
    backend.inside_tls = !with.servers_of_legs;
    backend.script = with.script;
    BackendConfig& servers = config_.backends.emplace_back();
    servers.name = "backend";
    servers.servers = {backend.address};
    if (with.black_hole_beside) {
      servers.servers.push_back(world_.FreshAddress(false));
      world_.MakeBlackHole(servers.servers.back().address);
    }
    BackendSetup beside = backend;
    backend.serves_after = with.serves_after;
    beside.serves_after = with.beside_serves_after;
    backend.greets_on_after = with.greets_on_after;
    beside.greets_on_after = with.beside_greets_on_after;
    beside.address = world_.FreshAddress(false);
    if (with.server_beside) servers.servers.push_back(beside.address);
    servers.proxy = ProxyOut::kV2;
    servers.tls.enabled = with.tls_out;
    if (with.tls_out) servers.tls.name = kServerName;
    backend.tls = beside.tls = with.tls_out ? ServerTls::kBelieved : ServerTls::kNone;
    config_.listeners.push_back(listener);
    config_.limits.sessions = with.sessions;
    config_.sources = with.sources;
    config_.limits.refusals = 4;
    config_.limits.armed_accepts = with.armed_accepts;
    config_.limits.new_sources_percent = with.new_sources_percent;
    config_.limits.output_buffers = 2 * with.sessions;
    config_.limits.small_buffers = 16;
    config_.limits.large_buffers = 2;

    if (with.change) with.change(config_);
    setup_.config = &config_.listeners.back();
    setup_.address = setup_.config->bind.front();
    setup_.servers = with.servers;
    setup_.proxy_in = proxied;
    setup_.tls_out = with.tls_out;
    plan_.id = with.id;
    plan_.listener = &setup_;
    plan_.client = with.client;
    plan_.backend = with.backend;
    plan_.connects_from = plan_.endpoint = world_.FreshEndpoint();
    plan_.client_octets = plan_.backend_octets = with.octets;
    plan_.client_ends_first = with.client_ends_first;
    gateway_ = std::make_unique<GatewayFixture>(world_, config_);
    if (with.servers == ServerKind::kBlackHole) {
      world_.MakeBlackHole(backend.address);
    } else {
      backend_ = std::make_unique<SimBackend>(world_, *this, backend);
    }
    if (with.server_beside) beside_ = std::make_unique<SimBackend>(world_, *this, beside);
  }

  void StartClient() {
    client_ = std::make_unique<SimClient>(world_, *this, plan_);
    client_->Start();
  }

  void RunFor(std::chrono::milliseconds time) {
    const MonoTime end = world_.now() + time;
    world_.At(end, [this] { world_.Interrupt(); });
    while (world_.now() < end && world_.failures().empty()) gateway_->Turn();
    for (const SessionRecord& record : gateway_->TakeRecords()) {
      if (record.event != LogEvent::kEnded) continue;
      ++ended_;
      reason_ = record.reason;
      ++ended_for_[reason_];
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
  int ended_for(EndReason reason) { return ended_for_[reason]; }

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
  std::unique_ptr<SimBackend> beside_;
  std::unique_ptr<SimClient> client_;
  int ended_ = 0;
  EndReason reason_ = EndReason::kNone;
  std::map<EndReason, int> ended_for_;
};

inline void RunInThread(const std::function<void()>& body) { GatewayFixture::InFreshThread(body); }

// A client that the test drives, in plaintext.
class PlainClient {
 public:
  PlainClient(OneSession& session, const Endpoint& from) : world_(session.world()) {
    EXPECT_EQ(world_.Connect(session.plan().listener->address, from, &socket_), 0);
  }
  explicit PlainClient(OneSession& session)
      : PlainClient(session, session.world().FreshEndpoint()) {}

  void Say(std::string_view octets) {
    if (octets.empty()) return;
    const int sent =
        world_.Write(socket_, {reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
    EXPECT_EQ(sent, static_cast<int>(octets.size()));
  }
  void Reset() { world_.Reset(socket_); }
  // Everything received since the last call.
  std::string Take() {
    std::string taken;
    uint8_t space[4'096];
    while (world_.Readable(socket_)) {
      const int got = world_.Read(socket_, space);
      if (got <= 0) break;
      taken.append(reinterpret_cast<char*>(space), static_cast<size_t>(got));
    }
    return taken;
  }

 private:
  World& world_;
  SocketId socket_ = kNoSocket;
};

// The planned session's client, driven by the test, with TLS established. The test cuts
// its records.
class HandClient {
 public:
  explicit HandClient(OneSession& session, const TestClientOptions& options = {})
      : HandClient(session, options, {}) {
    Exchange();
    EXPECT_TRUE(tls_.connected());
  }
  // Only connects and sends `first`.
  HandClient(OneSession& session, const TestClientOptions& options, std::string_view first)
      : session_(session), tls_(options) {
    const SessionPlan& plan = session.plan();
    EXPECT_EQ(session.world().Connect(plan.listener->address, plan.endpoint, &socket_), 0);
    Put(first);
    session.RunFor(std::chrono::milliseconds(1));
  }

  // Carries what both have to say until there is no more, and plaintext from the gateway.
  void Exchange() {
    for (int quiet = 0; quiet < 20;) {
      tls_.Step();
      const std::string out = std::exchange(tls_.output, {});
      Put(out);
      session_.RunFor(std::chrono::milliseconds(1));
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
  std::string TakeReceived() { return std::exchange(tls_.received, {}); }
  // Seals a record without sending it.
  std::string Seal(std::string_view plain) {
    tls_.Write(plain);
    return std::exchange(tls_.output, {});
  }
  TestClient& tls() { return tls_; }
  // Whether Nagle's algorithm would let the client send more.
  bool MaySend() const { return !session_.world().Unacknowledged(socket_); }

 private:
  OneSession& session_;
  SocketId socket_ = kNoSocket;
  TestClient tls_;
};

}  // namespace starling::sim
