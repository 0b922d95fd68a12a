// Tests which side sends next: the gateway answers or acknowledges the octets of a client or
// server at once wherever that peer may hold back more until then (Nagle's algorithm).
// The simulated kernel acknowledges nothing by itself, so a peer that waits would wait
// for ever.
//
// Not for: the kernel's behaviour (gateway/io/ring_conformance_test.cc), or clients that
// only write (tests/e2e/test_first_answer.py).
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "protocols/contract/protocol_row.h"
#include "protocols/registry.h"
#include "tests/sim/coded_stream.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr uint16_t kTls12 = 0x0303;

Case With(const char* protocol, TlsMode tls, ServerKind servers = ServerKind::kBlackHole) {
  return {"First", EndReason::kStopped,        protocol,
          tls,     ClientKind::kStream,        BackendKind::kSilent,
          servers, &ListenerLimits::linger_ms, 2'000};
}

// How often the gateway asked the kernel for an acknowledgement.
uint64_t Asked(OneSession& session) {
  for (const auto& [name, count] : session.gateway().worker().ring().OperationCounts()) {
    if (name == "ACKNOWLEDGE") return count;
  }
  return UINT64_MAX;
}

// Also where no server is reachable, or the server is silent.
TEST(FirstAnswer, ASilentClientHasItsTicketAndAResumedOneToo) {
  for (const ProtocolRow& row : AllProtocols()) {
    for (const ServerKind servers : {ServerKind::kBlackHole, ServerKind::kUp}) {
      RunInThread([&] {
        SCOPED_TRACE(std::string(row.name) + (servers == ServerKind::kUp ? ", silent" : ", away"));
        OneSession session(With(row.name.data(), TlsMode::kImplicit, servers));
        HandClient client(session);
        const bool withheld = row.name == "tcp";
        EXPECT_EQ(client.tls().session() == nullptr, withheld);
        EXPECT_TRUE(client.MaySend());
        // Once if the server speaks first, because it may do so in several small writes.
        const uint64_t once = row.server_first ? 0 : 1;
        EXPECT_EQ(Asked(session), once);
        if (servers == ServerKind::kBlackHole && !withheld) {
          HandClient again(session, {.session = client.tls().session()});
          EXPECT_TRUE(again.tls().resumed());
          EXPECT_NE(again.tls().session(), nullptr);
          EXPECT_TRUE(again.MaySend());
          EXPECT_EQ(Asked(session), 2 * once);
        }
        session.Finish();
      });
    }
  }
}

TEST(FirstAnswer, TheLastWordOfAResumedTls12Handshake) {
  for (const char* protocol : {"imap", "http", "tcp"}) {
    RunInThread([&] {
      SCOPED_TRACE(protocol);
      const uint64_t once = FindProtocol(protocol)->server_first ? 0 : 1;
      OneSession session(With(protocol, TlsMode::kImplicit));
      HandClient first(session, {.max_version = kTls12});
      EXPECT_EQ(Asked(session), once) << "the gateway had the last word";
      HandClient again(session, {.max_version = kTls12, .session = first.tls().session()});
      EXPECT_TRUE(again.tls().resumed());
      EXPECT_TRUE(again.MaySend());
      EXPECT_EQ(Asked(session), once + 1);
      session.Finish();
    });
  }
}

TEST(FirstAnswer, PartOfAFlight) {
  RunInThread([] {
    OneSession session(With("imap", TlsMode::kImplicit));
    HandClient client(session, {}, {});
    client.tls().Step();
    const std::string hello = std::exchange(client.tls().output, {});
    for (size_t at = 0; at < 300; at += 100) {
      client.Put(hello.substr(at, 100));
      session.RunFor(milliseconds(1));
      EXPECT_TRUE(client.MaySend());
    }
    EXPECT_EQ(Asked(session), 3u);
    client.Put(hello.substr(300));
    client.Exchange();
    EXPECT_TRUE(client.tls().connected());
    EXPECT_EQ(Asked(session), 3u);
    session.Finish();
  });
}

TEST(FirstAnswer, PartOfACommandBeforeTheUpgrade) {
  RunInThread([] {
    OneSession session(With("imap", TlsMode::kStartTls));
    HandClient client(session, {}, "a START");
    EXPECT_TRUE(client.MaySend());
    EXPECT_EQ(Asked(session), 1u);
    client.Put("TLS\r\n");
    session.RunFor(milliseconds(1));
    EXPECT_TRUE(client.MaySend());
    EXPECT_EQ(Asked(session), 1u) << "the go-ahead says as much";
    session.Finish();
  });
}

// A load balancer may send the PROXY header and the client's octets separately.
TEST(FirstAnswer, AProxyHeaderAlone) {
  for (const TlsMode tls : {TlsMode::kImplicit, TlsMode::kStartTls}) {
    RunInThread([&] {
      Case with = With("imap", tls);
      with.client = ClientKind::kProxyStall;  // makes the listener expect a PROXY header
      OneSession session(with);
      HandClient client(session, {}, "PROXY TCP4 192.0.2.1 192.0.2.2 ");
      EXPECT_TRUE(client.MaySend());
      EXPECT_EQ(Asked(session), 1u);
      client.Put("50000 993\r\n");
      session.RunFor(milliseconds(1));
      EXPECT_TRUE(client.MaySend());
      // The greeting acknowledges it, if there is one.
      EXPECT_EQ(Asked(session), tls == TlsMode::kImplicit ? 2u : 1u);
      if (tls == TlsMode::kImplicit) {
        client.Exchange();
        EXPECT_TRUE(client.tls().connected());
      }
      session.Finish();
    });
  }
}

// Servers send their ticket after the gateway's Finished, and then their greeting or
// answer.
TEST(FirstAnswer, TheTicketOfAServerThatIsReachedByTls) {
  uint64_t asked[2] = {};
  for (const bool tls_out : {false, true}) {
    RunInThread([&] {
      Case with = With("imap", TlsMode::kImplicit, ServerKind::kUp);
      with.backend = BackendKind::kNormal;
      with.tls_out = tls_out;
      OneSession session(with);
      HandClient client(session);
      EXPECT_NE(client.tls().received, "");
      asked[tls_out] = Asked(session);
      // From then on the gateway acknowledges the server as usual.
      client.Put(client.Seal(CodedOctets(kClientMark, session.plan().id, 0, 40)));
      session.RunFor(milliseconds(100));
      EXPECT_EQ(Asked(session), asked[tls_out]);
      session.Finish();
    });
  }
  EXPECT_EQ(asked[false], 0u);
  EXPECT_GT(asked[true], 0u);
}

}  // namespace
}  // namespace starling::sim
