// Tests a session whose server is slow, in simulated time, with the real worker: it goes elsewhere
// only where that is better, and never fares worse than with its server alone.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlowTls{2'000};
constexpr milliseconds kSlowGreeting{26'000};
// What other sessions have found out already.
constexpr MonoTime kTrialAt = kNever;

// A server that takes `after` to do TLS, or else to greet; and one beside it.
Case Slow(bool tls_out, milliseconds after, milliseconds beside, TlsMode tls = TlsMode::kImplicit) {
  Case with{"slow",
            EndReason::kNone,
            "imap",
            tls,
            ClientKind::kStream,
            BackendKind::kNormal,
            ServerKind::kUp,
            &ListenerLimits::greeting_ms,
            30'000,
            tls_out};
  with.connect_ms = 5'000;
  with.server_beside = true;
  with.serves_after = after;
  with.beside_serves_after = beside;
  with.linger_ms = 2'000;
  return with;
}

uint64_t TlsTimeouts(OneSession& session, ServerId id) {
  return session.gateway().shard().GetServer(ServerFamily::kBackendTlsFailures, id,
                                             static_cast<size_t>(TlsFailure::kTimeout));
}
uint64_t Silences(OneSession& session, ServerId id) {
  return session.gateway().shard().GetServer(ServerFamily::kGreetingFailures, id,
                                             static_cast<size_t>(GreetingFailure::kSilent));
}
uint64_t Left(OneSession& session, ServerId id) {
  return TlsTimeouts(session, id) + Silences(session, id);
}
ServerPace& PaceOf(OneSession& session, ServerId id) {
  return session.gateway().backends().server(id).state->pace;
}

void ExpectServed(OneSession& session, milliseconds within) {
  session.StartClient();
  session.RunFor(within);
  EXPECT_EQ(session.ended(), 1);
  EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
  EXPECT_EQ(session.plan().client_got, session.plan().backend_octets);
  EXPECT_EQ(session.plan().backend_got, session.plan().client_octets);
}

struct Slowness {
  bool tls_out;
  milliseconds after;
};
constexpr Slowness kSlownesses[] = {{true, kSlowTls}, {false, kSlowGreeting}};

void ForEach(const std::function<void(TlsMode, const Slowness&)>& body) {
  for (const TlsMode tls : {TlsMode::kImplicit, TlsMode::kStartTls}) {
    for (const Slowness& slowness : kSlownesses) {
      RunInThread([&] {
        SCOPED_TRACE(std::string(tls == TlsMode::kImplicit ? "implicit " : "STARTTLS ") +
                     (slowness.tls_out ? "TLS" : "greeting"));
        body(tls, slowness);
      });
    }
  }
}

TEST(SlowServer, AServerThatIsDownShortensNothing) {
  ForEach([](TlsMode tls, const Slowness& slow) {
    OneSession session(Slow(slow.tls_out, slow.after, milliseconds(0), tls));
    session.gateway().backends().MarkDown(1);
    ExpectServed(session, slow.after + milliseconds(3'000));
    EXPECT_EQ(Left(session, 0), 0u);
    EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kLate);
    EXPECT_FALSE(session.gateway().backends().server(1).up()) << "nobody went there";
    session.Finish();
  });
}

TEST(SlowServer, NorDoesOneThatIsFullOrDrains) {
  for (const bool drains : {false, true}) {
    ForEach([drains](TlsMode tls, const Slowness& slow) {
      Case with = Slow(slow.tls_out, slow.after, milliseconds(0), tls);
      with.change = [drains](Config& config) {
        config.backends[0].servers[1].max_sessions = 1;
        config.backends[0].servers[1].drains = drains;
        config.backends[0].queue = 10;
      };
      OneSession session(with);
      uint32_t cursor = 1;
      Backends& backends = session.gateway().backends();
      if (!drains) ASSERT_EQ(backends.Pick(0, {.cursor = &cursor}).server, 1);
      ExpectServed(session, slow.after + milliseconds(3'000));
      EXPECT_EQ(Left(session, 0), 0u);
      if (!drains) backends.Leave(1);
      session.Finish();
    });
  }
}

// Only the connect of the one good server is late: the kernel sends SYNs again.
TEST(SlowServer, AConnectHasTheWholeTimeBesideAServerThatIsDown) {
  RunInThread([] {
    Case with = Slow(false, milliseconds(0), milliseconds(0));
    with.servers = ServerKind::kBlackHole;
    OneSession session(with);
    Backends& backends = session.gateway().backends();
    backends.MarkDown(1);
    session.StartClient();
    session.RunFor(milliseconds(4'990));
    EXPECT_TRUE(backends.server(0).up());
    EXPECT_TRUE(backends.server(0).state->suspected) << "a probe judges meanwhile";
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(milliseconds(3'000));
    EXPECT_FALSE(backends.server(0).up());
    EXPECT_EQ(session.ended(), 1);
    session.Finish();
  });
}

// Nothing is known of the other one yet.
TEST(SlowServer, IsLeftForOneThatIsPrompt) {
  ForEach([](TlsMode tls, const Slowness& slow) {
    OneSession session(Slow(slow.tls_out, slow.after, milliseconds(0), tls));
    const uint32_t limit = slow.tls_out ? kConnectTry : kGreetingTry;
    ExpectServed(session, milliseconds(limit + 3'000));
    EXPECT_EQ(Left(session, 0), 1u);
    EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kMute);
    EXPECT_EQ(PaceOf(session, 1).pace(), Pace::kPrompt);
    session.Finish();
  });
}

// All are slow, and others have met that.
TEST(SlowServer, IsKeptWhereTheOtherIsNoBetter) {
  ForEach([](TlsMode tls, const Slowness& slow) {
    OneSession session(Slow(slow.tls_out, slow.after, slow.after, tls));
    const Wait wait = slow.tls_out ? Wait::kReach : Wait::kGreeting;
    session.gateway().backends().NoteSlow(1, wait, kTrialAt);
    ExpectServed(session, slow.after + milliseconds(3'000));
    EXPECT_EQ(Left(session, 0) + Left(session, 1), 0u);
    EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kLate);
    session.Finish();
  });
}

// Others have found out when it answers: too late for a session that has waited elsewhere.
TEST(SlowServer, IsKeptWhereTheOtherAnswersTooLate) {
  RunInThread([] {
    OneSession session(Slow(false, kSlowGreeting, kSlowGreeting));
    PaceOf(session, 0).NoteSlow(Wait::kGreeting, MonoTime::min());
    session.gateway().backends().NoteSlow(1, Wait::kGreeting, kTrialAt);
    PaceOf(session, 1).NoteAnswer(Wait::kGreeting, 26'000);
    ExpectServed(session, kSlowGreeting + milliseconds(3'000));
    EXPECT_EQ(Left(session, 0) + Left(session, 1), 0u);
    session.Finish();
  });
}

// The first server never answers, the other late, which is known.
TEST(SlowServer, IsBetterThanOneThatHangs) {
  RunInThread([] {
    Case with = Slow(true, milliseconds(100'000), kSlowTls);
    OneSession session(with);
    session.gateway().backends().NoteSlow(1, Wait::kReach, kTrialAt);
    PaceOf(session, 1).NoteAnswer(Wait::kReach, 2'010);
    ExpectServed(session, milliseconds(kConnectTry) + kSlowTls + milliseconds(3'000));
    EXPECT_EQ(TlsTimeouts(session, 0), 1u);
    session.Finish();
  });
}

// The same where it does not even accept: it might be well.
TEST(SlowServer, IsBetterThanABlackHole) {
  RunInThread([] {
    Case with = Slow(true, milliseconds(0), kSlowTls);
    with.servers = ServerKind::kBlackHole;
    OneSession session(with);
    session.gateway().backends().NoteSlow(1, Wait::kReach, kTrialAt);
    ExpectServed(session, milliseconds(kConnectTry) + kSlowTls + milliseconds(3'000));
    EXPECT_FALSE(session.gateway().backends().server(0).up());
    session.Finish();
  });
}

// The first client of two slow servers leaves one, and has the rest of the time at the other.
TEST(SlowServer, TheLastTryHasTheRestOfTheTime) {
  RunInThread([] {
    OneSession session(Slow(true, kSlowTls, kSlowTls));
    ExpectServed(session, milliseconds(kConnectTry) + kSlowTls + milliseconds(3'000));
    EXPECT_EQ(TlsTimeouts(session, 0), 1u);
    EXPECT_EQ(TlsTimeouts(session, 1), 0u);
    session.Finish();
  });
}

// A second server is left for a third only if that one has the time of a try.
TEST(SlowServer, NobodyGoesToAServerForALastMoment) {
  RunInThread([] {
    Case with = Slow(true, kSlowTls, kSlowTls);
    with.connect_ms = 2 * kConnectTry + 1'000;
    with.black_hole_beside = true;  // where the session would have a second
    OneSession session(with);
    // The unreachable one is out of the question for the first retry.
    session.gateway().backends().NoteSlow(1, Wait::kReach, kTrialAt);
    session.StartClient();
    session.RunFor(milliseconds(kConnectTry + 200));
    PaceOf(session, 1).NoteAnswer(Wait::kReach, 0);
    session.RunFor(milliseconds(5'000));
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
    session.Finish();
  });
}

// --- Servers that begin their greeting at once ---

constexpr milliseconds kTeaser{6'000};  // as postscreen's
constexpr milliseconds kHangs{100'000};

Case Begins(const char* protocol, TlsMode tls, milliseconds rest_after,
            milliseconds beside_rest_after, bool tls_out) {
  Case with = Slow(tls_out, milliseconds(0), milliseconds(0), tls);
  with.protocol = protocol;
  with.greets_on_after = rest_after;
  with.beside_greets_on_after = beside_rest_after;
  return with;
}

// All protocols with greetings of several lines; FTP's client has a test of its own.
void ForEachBegun(const std::function<void(const char*, TlsMode, bool)>& body) {
  for (const char* protocol : {"smtp", "lmtp", "managesieve"}) {
    for (const TlsMode tls : {TlsMode::kImplicit, TlsMode::kStartTls}) {
      for (const bool tls_out : {false, true}) {
        RunInThread([&] {
          SCOPED_TRACE(std::string(protocol) + (tls == TlsMode::kImplicit ? " implicit" : "") +
                       (tls_out ? " by TLS" : ""));
          body(protocol, tls, tls_out);
        });
      }
    }
  }
}

TEST(SlowServer, ABegunGreetingThatHangsIsLeftAfterASecondTry) {
  ForEachBegun([](const char* protocol, TlsMode tls, bool tls_out) {
    OneSession session(Begins(protocol, tls, kHangs, milliseconds(0), tls_out));
    session.StartClient();
    session.RunFor(milliseconds(kGreetingTry - 10));
    const ServerState& state = *session.gateway().backends().server(0).state;
    EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kPrompt);
    EXPECT_FALSE(state.suspected);
    session.RunFor(2 * kSlack);
    EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kMute) << "newcomers go to the other one";
    EXPECT_TRUE(state.suspected) << "a probe judges";
    session.RunFor(milliseconds(kGreetingTry) - 4 * kSlack);
    EXPECT_EQ(Left(session, 0), 0u);
    session.RunFor(milliseconds(3'000));
    EXPECT_EQ(Left(session, 0), 1u);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
    EXPECT_EQ(session.plan().client_got, session.plan().backend_octets);
    session.Finish();
  });
}

// Beside one that is prompt, too: it would only be tested again by the next one.
TEST(SlowServer, ATeaserIsWaitedFor) {
  for (const milliseconds beside : {milliseconds(0), kTeaser, kHangs}) {
    ForEachBegun([beside](const char* protocol, TlsMode tls, bool tls_out) {
      OneSession session(Begins(protocol, tls, kTeaser, beside, tls_out));
      ExpectServed(session, kTeaser + milliseconds(3'000));
      EXPECT_EQ(Left(session, 0) + Left(session, 1), 0u);
      EXPECT_EQ(PaceOf(session, 0).pace(), Pace::kLate);
      session.Finish();
    });
  }
}

TEST(SlowServer, ABegunGreetingHasTheWholeTimeWhereNoOtherServerIsBetter) {
  ForEachBegun([](const char* protocol, TlsMode tls, bool tls_out) {
    OneSession session(Begins(protocol, tls, kSlowGreeting, milliseconds(0), tls_out));
    session.gateway().backends().MarkDown(1);
    ExpectServed(session, kSlowGreeting + milliseconds(3'000));
    EXPECT_EQ(Left(session, 0), 0u);
    session.Finish();
  });
}

TEST(SlowServer, ABegunGreetingThatNeverEndsEndsTheSessionInTime) {
  RunInThread([] {
    OneSession session(Begins("smtp", TlsMode::kImplicit, kHangs, kHangs, false));
    session.StartClient();
    session.RunFor(milliseconds(29'990));
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(2 * kSlack);
    EXPECT_EQ(session.ended(), 1);
    EXPECT_EQ(Label(session.reason()), Label(EndReason::kGreetingDeadline));
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
