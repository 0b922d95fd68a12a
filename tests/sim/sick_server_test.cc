// Tests a session whose first server is sick, in simulated time, with the real worker: it goes to
// the next server, which gets all of the client's octets, and the first server none.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

// Two servers; the first that is asked fails as the session's id says (sim_backend.cc).
enum Sickness : uint32_t {
  kCloses,
  kResets,
  kBreaksOff,
  kNonsense,
  kTooLong,
  kSilent,
  kSicknesses,
};

Case With(const char* protocol, TlsMode tls, Sickness sickness, bool tls_out) {
  Case with{"sick",
            EndReason::kNone,
            protocol,
            tls,
            ClientKind::kStream,
            BackendKind::kSickFirst,
            ServerKind::kUp,
            nullptr,
            0,
            tls_out};
  with.server_beside = true;
  with.linger_ms = 2'000;
  with.id = kSicknesses + sickness;
  return with;
}

uint64_t Failures(OneSession& session) {
  uint64_t sum = 0;
  for (ServerId id = 0; id < 2; ++id) {
    for (size_t reason = 0; reason < std::size(kGreetingFailureLabels); ++reason) {
      sum += session.gateway().shard().GetServer(ServerFamily::kGreetingFailures, id, reason);
    }
  }
  return sum;
}

TEST(SickServer, ANewTryLosesNothing) {
  for (const char* protocol : {"smtp", "imap", "pop3", "managesieve", "lmtp"}) {
    for (const TlsMode tls : {TlsMode::kStartTls, TlsMode::kImplicit}) {
      for (uint32_t sickness = 0; sickness < kSicknesses; ++sickness) {
        for (const bool tls_out : {false, true}) {
          RunInThread([&] {
            SCOPED_TRACE(std::string(protocol) + (tls == TlsMode::kImplicit ? " implicit" : "") +
                         " sickness " + std::to_string(sickness) + (tls_out ? " by TLS" : ""));
            const Case with = With(protocol, tls, static_cast<Sickness>(sickness), tls_out);
            OneSession session(with);
            session.StartClient();
            session.RunFor(milliseconds(kGreetingTry + 5'000));
            EXPECT_EQ(session.ended(), 1);
            EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
            EXPECT_EQ(session.plan().client_got, with.octets);
            EXPECT_EQ(session.plan().backend_got, with.octets);
            EXPECT_EQ(session.plan().fresh_legs, 2u);
            EXPECT_EQ(Failures(session), 1u);
            session.Finish();
          });
        }
      }
    }
  }
}

// The network cuts greetings anywhere, and connections end late.
TEST(SickServer, ANewTryLosesNothingHoweverOctetsCome) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    RunInThread([&] {
      SCOPED_TRACE("seed " + std::to_string(seed));
      Case with = With("smtp", seed % 2 == 0 ? TlsMode::kStartTls : TlsMode::kImplicit,
                       static_cast<Sickness>(seed / 2 % kSicknesses), seed % 3 == 0);
      with.seed = seed;
      with.octets = 50'000;
      OneSession session(with);
      session.world().faults() = {.partial_send = 200,
                                  .short_receive = 500,
                                  .delay = 200,
                                  .max_delay_us = 3'000,
                                  .min_capacity = 1'000,
                                  .max_capacity = 70'000};
      session.StartClient();
      session.RunFor(milliseconds(kGreetingTry + 20'000));
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
      EXPECT_EQ(session.plan().client_got, with.octets);
      EXPECT_EQ(session.plan().backend_got, with.octets);
      session.Finish();
    });
  }
}

// The server is left when its limit has passed, and not before.
TEST(SickServer, SilenceHasALimitATry) {
  RunInThread([] {
    OneSession session(With("imap", TlsMode::kImplicit, kSilent, false));
    session.StartClient();
    session.RunFor(milliseconds(kGreetingTry - 1));
    EXPECT_EQ(session.plan().fresh_legs, 1u);
    session.RunFor(kSlack);
    EXPECT_EQ(session.plan().fresh_legs, 2u);
    session.Finish();
  });
}

// A try has no limit of its own where no other server is up.
TEST(SickServer, TheLastServerHasTheWholeTime) {
  RunInThread([] {
    Case with = With("imap", TlsMode::kImplicit, kSilent, false);
    with.limit = &ListenerLimits::greeting_ms;
    with.ms = 30'000;
    OneSession session(with);
    session.gateway().backends().MarkDown(1);
    session.StartClient();
    session.RunFor(milliseconds(29'999));
    EXPECT_EQ(session.plan().fresh_legs, 1u);
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kGreetingDeadline));
    session.Finish();
  });
}

// All tries together have the whole limit, and no more.
TEST(SickServer, TheLimitIsOfAllTries) {
  RunInThread([] {
    Case with = With("imap", TlsMode::kImplicit, kSilent, false);
    with.backend = BackendKind::kSilent;
    with.limit = &ListenerLimits::greeting_ms;
    with.ms = 30'000;
    OneSession session(with);
    session.StartClient();
    session.RunFor(milliseconds(29'990));
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(2 * kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kGreetingDeadline));
    session.Finish();
  });
}

// A host that drops each SYN costs a try, and is down for everybody at once.
TEST(SickServer, ABlackHoleIsLeftAndDown) {
  for (const TlsMode tls : {TlsMode::kStartTls, TlsMode::kImplicit}) {
    RunInThread([tls] {
      Case with = With("imap", tls, kCloses, false);
      with.backend = BackendKind::kNormal;
      with.server_beside = false;
      with.black_hole_beside = true;
      with.connect_ms = 5'000;
      with.change = [](Config& config) {
        std::vector<ServerConfig>& servers = config.backends[0].servers;
        std::swap(servers[0], servers[1]);
      };
      OneSession session(with);
      session.StartClient();
      session.RunFor(milliseconds(kConnectTry - 1));
      EXPECT_TRUE(session.gateway().backends().server(0).up());
      EXPECT_EQ(session.plan().fresh_legs, 0u);
      session.RunFor(milliseconds(4'000));
      EXPECT_FALSE(session.gateway().backends().server(0).up());
      EXPECT_TRUE(session.gateway().backends().server(1).up()) << "it has greeted";
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
      session.Finish();
    });
  }
}

// What a session suspects a probe must judge, and a refusal is the client's.
TEST(SickServer, ARefusalIsPassedOnAndSuspected) {
  for (const TlsMode tls : {TlsMode::kStartTls, TlsMode::kImplicit}) {
    RunInThread([tls] {
      Case with = With("imap", tls, kCloses, false);
      with.backend = BackendKind::kRefuse;
      OneSession session(with);
      session.StartClient();
      session.RunFor(milliseconds(3'000));
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(session.plan().fresh_legs, 1u) << "no other server lets the client in";
      Backends& backends = session.gateway().backends();
      EXPECT_TRUE(backends.server(0).up());
      EXPECT_TRUE(backends.server(0).state->suspected);
      EXPECT_FALSE(backends.server(1).state->suspected);
      session.Finish();
    });
  }
}

// Where the client may speak first, nothing is known of a server before its first word. The octets
// of a handshake are none, nor those of a server that was tried before.
TEST(SickServer, AnEndBeforeAWordIsSuspected) {
  for (const char* protocol : {"ldap", "tcp", "irc"}) {
    for (const bool tls_out : {false, true}) {
      for (const BackendKind kind : {BackendKind::kCloseMute, BackendKind::kCloseMid}) {
        RunInThread([&] {
          SCOPED_TRACE(std::string(protocol) + (tls_out ? " by TLS " : " ") +
                       kBackendNames[static_cast<size_t>(kind)]);
          Case with = With(protocol, TlsMode::kImplicit, kCloses, tls_out);
          with.backend = kind;
          with.client = ClientKind::kIdle;
          with.client_ends_first = with.server_beside = false;
          OneSession session(with);
          session.StartClient();
          session.RunFor(milliseconds(3'000));
          EXPECT_EQ(session.ended(), 1);
          const ServerState& state = *session.gateway().backends().server(0).state;
          // The words that the other kind says are no messages of IRC.
          const bool nonsense = std::string_view(protocol) == "irc";
          EXPECT_EQ(state.suspected, nonsense || kind == BackendKind::kCloseMute);
          EXPECT_EQ(state.health.load(), Health::kUp);
          session.Finish();
        });
      }
    }
  }
}

// Where the client speaks first, a server that does not answer is suspected in the time of a try.
TEST(SickServer, ASilentAnswerIsSuspected) {
  for (const BackendKind kind : {BackendKind::kSilent, BackendKind::kNormal}) {
    for (const bool tls_out : {false, true}) {
      RunInThread([&] {
        Case with = With("ldap", TlsMode::kImplicit, kCloses, tls_out);
        with.backend = kind;
        with.client_ends_first = with.server_beside = false;
        OneSession session(with);
        const std::atomic<bool>& suspected =
            session.gateway().backends().server(0).state->suspected;
        session.StartClient();
        session.RunFor(milliseconds(kGreetingTry - 1));
        EXPECT_FALSE(suspected);
        session.RunFor(2 * kSlack);
        EXPECT_EQ(suspected, kind == BackendKind::kSilent);
        EXPECT_EQ(session.ended(), kind == BackendKind::kSilent ? 0 : 1);
        session.Finish();
      });
    }
  }
}

// Only messages may come before an IRC server's welcome.
TEST(SickServer, NonsenseBeforeTheWelcomeIsSuspected) {
  for (const bool tls_out : {false, true}) {
    RunInThread([tls_out] {
      Case with = With("irc", TlsMode::kImplicit, kCloses, tls_out);
      with.backend = BackendKind::kGarbage;
      with.client = ClientKind::kIdle;
      with.client_ends_first = with.server_beside = false;
      OneSession session(with);
      session.StartClient();
      session.RunFor(milliseconds(3'000));
      EXPECT_EQ(Label(session.reason()), Label(EndReason::kBackendProtocol));
      EXPECT_TRUE(session.gateway().backends().server(0).state->suspected);
      session.Finish();
    });
  }
}

// A connect proves nothing: only the greeting marks a server up.
TEST(SickServer, OnlyAGreetingMarksUp) {
  for (const BackendKind kind : {BackendKind::kNormal, BackendKind::kCloseMute}) {
    RunInThread([kind] {
      Case with = With("imap", TlsMode::kImplicit, kCloses, false);
      with.backend = kind;
      with.server_beside = false;
      OneSession session(with);
      session.gateway().backends().MarkDown(0);
      session.StartClient();
      session.RunFor(milliseconds(5'000));
      EXPECT_EQ(session.gateway().backends().server(0).up(), kind == BackendKind::kNormal);
      session.Finish();
    });
  }
}

// Octets that a server sends by the slowest drip do not keep the session.
TEST(SickServer, ADripDoesNotExtendTheTry) {
  RunInThread([] {
    Case with = With("imap", TlsMode::kImplicit, kSilent, false);
    with.backend = BackendKind::kSilent;
    for (int i = 0; i < 2'000; ++i) with.script.emplace_back(i == 0 ? "* OK " : "x");
    OneSession session(with);
    session.StartClient();
    session.RunFor(milliseconds(kGreetingTry + 100));
    EXPECT_GE(Failures(session), 1u);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
