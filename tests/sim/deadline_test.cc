// Tests every deadline of a session in simulated time, with the real worker: a
// millisecond before the limit the session exists, a little after it the session is gone,
// and that deadline is the reason.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "tests/sim/coded_stream.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

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
    {"GreetingImplicit", EndReason::kGreetingDeadline, "imap", kImplicit, ClientKind::kStream,
     BackendKind::kSilent, ServerKind::kUp, &ListenerLimits::greeting_ms, 30'000},
    {"GreetingInsideServersTls", EndReason::kGreetingDeadline, "imap", kImplicit,
     ClientKind::kStream, BackendKind::kSilent, ServerKind::kUp, &ListenerLimits::greeting_ms,
     30'000, true},
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

// A refused client that reads the answer and does not close.
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

Case RecordCase() {
  Case with = LingerCase();
  with.tls = kImplicit;
  with.limit = &ListenerLimits::record_ms;
  with.ms = 10'000;
  return with;
}

// Each segment of an upload ends inside a record, and each record is complete in time:
// each record has its own deadline.
TEST(RecordDeadline, IsOfOneRecordAndNotOfAnUpload) {
  RunInThread([] {
    OneSession session(RecordCase());
    HandClient client(session);
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

// Occasional octets do not extend it.
TEST(RecordDeadline, IsNotExtendedByOctets) {
  RunInThread([] {
    OneSession session(RecordCase());
    HandClient client(session);
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

// The gateway closes a server that stalls in its handshake. The close may complete before
// the operations that it cancels, and the session's own deadline may expire in between.
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

// A cancel request tries two servers in turn, and neither is reachable. The first has the time of a
// try, since the other one waits for its message. The last one has the rest.
TEST(AllLegs, TheFirstHasTheTimeOfATry) {
  RunInThread([] {
    Case with = LingerCase();
    with.protocol = "postgresql";
    with.servers = ServerKind::kBlackHole;
    with.black_hole_beside = true;
    with.limit = &ListenerLimits::connect_ms;
    with.ms = 5'000;
    with.linger_ms = 1;
    OneSession session(with);
    World& world = session.world();
    SocketId socket;
    ASSERT_EQ(world.Connect(session.plan().listener->address, session.plan().endpoint, &socket), 0);
    constexpr std::string_view kCancel("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1key!", 16);
    world.Write(socket, {reinterpret_cast<const uint8_t*>(kCancel.data()), kCancel.size()});
    session.RunFor(milliseconds(kConnectTry - 1));
    EXPECT_TRUE(session.gateway().backends().server(0).up());
    session.RunFor(kSlack);
    EXPECT_FALSE(session.gateway().backends().server(0).up());
    session.RunFor(milliseconds(4'999) - milliseconds(kConnectTry - 1) - kSlack);
    EXPECT_EQ(session.gateway().worker().sessions(), 1u);
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kBackendUnavailable));
    session.Finish();
  });
}

// The main thread keeps the drain's deadline and then calls EndSessions. The sessions
// tell their clients and are gone after the linger at the latest.
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
