// Tests the order of a turn: handshakes wait for relays and, by the limits, for the
// private key.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/coded_stream.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr size_t kHellos = 8;

Case OneClient() {
  return {"Turn",
          EndReason::kStopped,
          "imap",
          TlsMode::kImplicit,
          ClientKind::kStream,
          BackendKind::kNormal,
          ServerKind::kUp,
          &ListenerLimits::linger_ms,
          2'000};
}

// Accepted connections, each with a hello that it has not sent yet.
struct Hellos {
  explicit Hellos(OneSession& session, std::vector<uint16_t> groups, std::vector<uint16_t> shares) {
    for (size_t i = 0; i < kHellos; ++i) {
      SocketId& socket = sockets.emplace_back();
      EXPECT_EQ(session.world().Connect(session.plan().listener->address,
                                        session.world().FreshEndpoint(), &socket),
                0);
      TestClientOptions options;
      options.groups = groups;
      options.key_shares = shares;
      clients.push_back(std::make_unique<TestClient>(options));
      clients.back()->Step();
    }
    session.RunFor(milliseconds(10));
  }

  void Send(World& world) {
    for (size_t i = 0; i < kHellos; ++i) {
      const std::string hello = std::exchange(clients[i]->output, {});
      EXPECT_EQ(
          world.Write(sockets[i], {reinterpret_cast<const uint8_t*>(hello.data()), hello.size()}),
          static_cast<int>(hello.size()));
    }
  }

  // The gateway's octets, and the client's answer.
  void Take(World& world) {
    for (size_t i = 0; i < kHellos; ++i) {
      uint8_t space[4'096];
      const int got = world.Readable(sockets[i]) ? world.Read(sockets[i], space) : 0;
      if (got > 0)
        clients[i]->input.append(reinterpret_cast<char*>(space), static_cast<size_t>(got));
      clients[i]->Step();
    }
  }

  std::vector<SocketId> sockets;
  std::vector<std::unique_ptr<TestClient>> clients;
};

uint64_t Waits(OneSession& session) {
  return session.gateway().shard().GetWorker(WorkerFamily::kLimitReached,
                                             static_cast<size_t>(Limit::kKeyOperations));
}

// How many of the hellos that arrive at once must wait for a later turn.
uint64_t WaitsBeside(bool relays) {
  uint64_t waits = 0;
  RunInThread([&] {
    OneSession session(OneClient());
    HandClient client(session);
    session.RunFor(milliseconds(500));
    Hellos hellos(session, {}, {});
    const std::string record = client.Seal(CodedOctets(kClientMark, session.plan().id, 0, 40));
    if (relays) client.Put(record);
    hellos.Send(session.world());
    session.RunFor(milliseconds(1));
    waits = Waits(session);
    session.Finish();
  });
  return waits;
}

TEST(Turn, DoesAsManyKeyOperationsAsItMay) {
  EXPECT_EQ(WaitsBeside(false), kHellos - GlobalLimits().key_operations_per_turn);
}

TEST(Turn, DoesOneKeyOperationWhileSessionsRelay) { EXPECT_EQ(WaitsBeside(true), kHellos - 1); }

// The server uses the key after the second hello, so that hello waits as the first one
// did.
TEST(Turn, AnotherHelloWaitsAsWell) {
  constexpr uint16_t kP521 = 25, kX25519 = 29;  // the gateway does not support the first
  RunInThread([] {
    OneSession session(OneClient());
    Hellos hellos(session, {kP521, kX25519}, {kP521});
    hellos.Send(session.world());
    session.RunFor(milliseconds(10));
    const uint64_t first = Waits(session);
    EXPECT_EQ(first, kHellos - GlobalLimits().key_operations_per_turn);
    hellos.Take(session.world());
    hellos.Send(session.world());
    session.RunFor(milliseconds(10));
    EXPECT_EQ(Waits(session) - first, kHellos - GlobalLimits().key_operations_per_turn);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
