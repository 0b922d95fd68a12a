// Tests what becomes of a session when the gateway ends all sessions, for each stage that
// the order can meet: its reason, the words that its client gets, and when it is over.
//
// Not for: the words of each protocol (its own tests), or when the gateway gives the order
// (tests/e2e/test_drain.py).
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kLinger = 2'000;
constexpr std::string_view kGreeting = "220 localhost ESMTP ready\r\n";
constexpr std::string_view kSmtpWords =
    "421 4.3.2 localhost Service shutting down, try again later\r\n";

// A client in plaintext, that may begin TLS on the same connection.
class Client {
 public:
  explicit Client(OneSession& session)
      : session_(session), plain_(session, session.plan().endpoint), tls_(TestClientOptions{}) {}

  // Says `command` in plaintext; returns what the gateway answers.
  std::string Ask(std::string_view command) {
    plain_.Say(command);
    session_.RunFor(milliseconds(5));
    return plain_.Take();
  }
  void BeginTls() {
    Exchange();
    EXPECT_TRUE(tls_.connected());
  }
  // What has come since the last call: out of TLS, where that is up.
  std::string Take() {
    if (!tls_.connected()) return plain_.Take();
    Exchange();
    return std::exchange(tls_.received, {});
  }
  bool in_tls() const { return tls_.connected(); }
  bool got_close_notify() const { return tls_.closed(); }

 private:
  void Exchange() {
    for (int quiet = 0; quiet < 20; ++quiet) {
      tls_.Step();
      if (!tls_.output.empty()) plain_.Say(std::exchange(tls_.output, {}));
      session_.RunFor(milliseconds(1));
      tls_.input += plain_.Take();
    }
  }

  OneSession& session_;
  PlainClient plain_;
  TestClient tls_;
};

Case With(const char* protocol, TlsMode tls) {
  Case with{"drain",
            EndReason::kNone,
            protocol,
            tls,
            ClientKind::kIdle,
            BackendKind::kSilent,
            ServerKind::kUp,
            &ListenerLimits::linger_ms,
            kLinger};
  return with;
}

// A stage: how a session comes to it, and what its client gets to read at the end.
struct Row {
  const char* name;
  Case with;
  std::function<void(OneSession&, Client&)> reach;
  std::string words;
  bool lingers = true;         // the gateway waits for the client to read them
  uint32_t capacity = 65'536;  // of a socket's receive buffer
};

Row BeforeItsGreeting() {
  return {"not_greeted", With("smtp", TlsMode::kStartTls), [](OneSession&, Client&) {},
          std::string(kGreeting) + std::string(kSmtpWords)};
}

Row Talking() {
  return {"talking", With("smtp", TlsMode::kStartTls),
          [](OneSession&, Client& client) {
            EXPECT_EQ(client.Ask("NOOP\r\n"), std::string(kGreeting) + "250 2.0.0 Ok\r\n");
          },
          std::string(kSmtpWords)};
}

Row ReadingAProxyHeader() {
  Case with = With("smtp", TlsMode::kStartTls);
  with.client = ClientKind::kProxyStall;
  return {"proxy_header", with,
          [](OneSession&, Client& client) { EXPECT_EQ(client.Ask("PROXY TCP4 "), ""); }, "", false};
}

// There is room for a part of the go-ahead, and the client does not read it. No words can
// follow half a reply.
Row Upgrading() {
  constexpr uint32_t kCapacity = 15;
  return {"upgrading",
          With("smtp", TlsMode::kStartTls),
          [](OneSession&, Client& client) {
            client.Ask("");
            EXPECT_TRUE(client.Ask("STARTTLS\r\n").ends_with("\r\n220"));
          },
          " 2.0.0 Ready to",
          false,
          kCapacity};
}

Row Handshaking() {
  return {"handshaking", With("smtp", TlsMode::kStartTls),
          [](OneSession&, Client& client) {
            EXPECT_TRUE(client.Ask("STARTTLS\r\n").ends_with("220 2.0.0 Ready to start TLS\r\n"));
          },
          ""};
}

Row HandshakingFromTheStart() {
  return {"handshaking_implicit", With("smtp", TlsMode::kImplicit),
          [](OneSession& session, Client&) { session.RunFor(milliseconds(5)); }, ""};
}

Row Opening() {
  Case with = With("smtp", TlsMode::kImplicit);
  with.servers = ServerKind::kBlackHole;
  return {"opening", with, [](OneSession&, Client& client) { client.BeginTls(); },
          std::string(kSmtpWords)};
}

Row Greeting() {
  return {"greeting", With("smtp", TlsMode::kStartTls),
          [](OneSession&, Client& client) {
            client.Ask("STARTTLS\r\n");
            client.BeginTls();
          },
          std::string(kSmtpWords)};
}

Row Inside() {
  Case with = With("ftp", TlsMode::kImplicit);
  with.script = {"220 ready\r\n"};
  return {"inside", with,
          [](OneSession&, Client& client) {
            client.BeginTls();
            EXPECT_EQ(client.Take(), "220 ready\r\n");
          },
          "421 Server shutting down, closing control connection\r\n"};
}

// In the middle of what the server says, words would be taken for the server's.
Row Relaying() {
  Case with = With("imap", TlsMode::kImplicit);
  with.script = {"* OK ready\r\n* 1 FET"};
  return {"relaying", with,
          [](OneSession&, Client& client) {
            client.BeginTls();
            EXPECT_EQ(client.Take(), "* OK ready\r\n* 1 FET");
          },
          ""};
}

class Drain : public testing::TestWithParam<Row (*)()> {};

TEST_P(Drain, TellsTheClientAndEnds) {
  RunInThread([] {
    const Row row = GetParam()();
    OneSession session(row.with);
    session.world().faults().min_capacity = session.world().faults().max_capacity = row.capacity;
    Client client(session);
    row.reach(session, client);
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.gateway().worker().EndSessions();
    session.RunFor(milliseconds(100));
    EXPECT_EQ(session.ended(), row.lingers ? 0 : 1);
    EXPECT_EQ(client.Take(), row.words);
    EXPECT_EQ(client.got_close_notify(), client.in_tls());
    session.RunFor(milliseconds(kLinger));
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kDrainDeadline));
    session.Finish();
  });
}

TEST_P(Drain, EndsAtOnceAtASecondSignal) {
  RunInThread([] {
    const Row row = GetParam()();
    OneSession session(row.with);
    session.world().faults().min_capacity = session.world().faults().max_capacity = row.capacity;
    Client client(session);
    row.reach(session, client);
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.gateway().worker().StopNow();
    session.RunFor(milliseconds(100));
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kStopped));
    session.Finish();
  });
}

INSTANTIATE_TEST_SUITE_P(Stages, Drain,
                         testing::Values(BeforeItsGreeting, Talking, ReadingAProxyHeader, Upgrading,
                                         Handshaking, HandshakingFromTheStart, Opening, Greeting,
                                         Inside, Relaying),
                         [](const auto& info) { return std::string(info.param().name); });

// A session that has ended already keeps its reason, and its client the time to read.
TEST(DrainAtTheEnd, ChangesNothing) {
  RunInThread([] {
    OneSession session(With("smtp", TlsMode::kStartTls));
    Client client(session);
    EXPECT_TRUE(client.Ask("QUIT\r\n").ends_with("221 2.0.0 Bye\r\n"));
    session.gateway().worker().EndSessions();
    session.RunFor(milliseconds(kLinger / 2));
    EXPECT_EQ(session.ended(), 0);
    EXPECT_EQ(client.Take(), "");
    session.RunFor(milliseconds(kLinger));
    EXPECT_EQ(session.ended_for(EndReason::kGoodbye), 1);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
