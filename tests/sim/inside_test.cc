// Tests a dialogue that reads both sides inside TLS, in simulated time, with the real
// worker: it loses, doubles and reorders no octet, however the network cuts them, even if
// it hands over to the relay in the middle; and it ends as a relay does.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string>

#include "protocols/frames/dialogue.h"
#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kNever = 0;

// Passes everything on, as far as there is room. After `max_commands` of the client it
// leaves the rest to the relay.
class PassOn final : public Negotiator {
 public:
  explicit PassOn(const DialogueOptions& options) : relay_after_(options.max_commands) {}

  Step OnClient(ByteView in, Output& out) override {
    const size_t mine = relay_after_ == kNever ? in.size() : relay_after_ - passed_;
    Step step = Pass(in.first(std::min(in.size(), mine)), out.backend);
    passed_ += step.consumed;
    owed_ |= step.consumed > 0;
    if (relay_after_ != kNever && passed_ >= relay_after_) step.verdict = Verdict::kRelay;
    return step;
  }
  Step OnBackend(ByteView in, Output& out) override {
    owed_ = false;
    return Pass(in, out.client);
  }
  bool IsOwedAnswer() const override { return owed_; }
  Step OnEvent(const Event& event, Output& /*out*/) override {
    Step step;
    if (event.kind == EventKind::kLegUp) {
      step.verdict = Verdict::kReadInside;
      step.established = relay_after_ == kNever;
    } else if (event.kind != EventKind::kClientEnd) {
      Close(step, ReasonOf(event));
    }
    return step;
  }

 private:
  static Step Pass(ByteView in, Writer& to) {
    Step step;
    step.consumed = std::min(in.size(), to.room());
    EXPECT_TRUE(to.Append(in.first(step.consumed)));
    return step;
  }

  const uint32_t relay_after_;
  uint64_t passed_ = 0;
  bool owed_ = false;
};

ProtocolRow Row() {
  ProtocolRow row = *FindProtocol("tcp");
  row.create = [](void* storage, const DialogueOptions& options) -> Negotiator* {
    return new (storage) PassOn(options);
  };
  row.speaks_inside = true;
  return row;
}
const ProtocolRow kRow = Row();

Case With(uint32_t relay_after, ClientKind client, BackendKind backend) {
  Case with{"inside",        EndReason::kNone,         "tcp", TlsMode::kImplicit, client, backend,
            ServerKind::kUp, &ListenerLimits::idle_ms, 60'000};
  with.row = &kRow;
  with.linger_ms = 2'000;
  with.dialogue.max_commands = relay_after;
  return with;
}

TEST(Inside, LosesNothing) {
  for (const uint32_t relay_after : {kNever, 1u, 5'000u, 40'000u}) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      RunInThread([&] {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", relay after " +
                     std::to_string(relay_after));
        Case with = With(relay_after, ClientKind::kStream, BackendKind::kNormal);
        with.octets = 100'000;
        with.seed = seed;
        OneSession session(with);
        session.world().faults() = {.partial_send = 200,
                                    .short_receive = 200,
                                    .delay = 100,
                                    .max_delay_us = 1'000,
                                    .min_capacity = 1'000,
                                    .max_capacity = 70'000};
        session.StartClient();
        session.RunFor(milliseconds(30'000));
        EXPECT_EQ(session.ended(), 1);
        EXPECT_EQ(Label(session.reason()), Label(EndReason::kClientClosed));
        EXPECT_EQ(session.plan().client_got, with.octets);
        EXPECT_EQ(session.plan().backend_got, with.octets);
        session.Finish();
      });
    }
  }
}

struct End {
  const char* name;
  uint32_t relay_after;
  ClientKind client;
  BackendKind backend;
  EndReason reason;
  bool drain = false;
};

TEST(Inside, EndsLikeARelay) {
  const End table[] = {
      {"the server closes", kNever, ClientKind::kStream, BackendKind::kCloseMid,
       EndReason::kBackendProtocol},
      {"the server resets", kNever, ClientKind::kStream, BackendKind::kResetMid,
       EndReason::kBackendReset},
      {"the client resets", kNever, ClientKind::kResetInRelay, BackendKind::kNormal,
       EndReason::kClientReset},
      {"the client is cut off", kNever, ClientKind::kTruncate, BackendKind::kNormal,
       EndReason::kClientTruncated},
      {"nobody speaks", kNever, ClientKind::kIdle, BackendKind::kNormal, EndReason::kIdleDeadline},
      {"half a record", kNever, ClientKind::kHalfRecord, BackendKind::kNormal,
       EndReason::kRecordDeadline},
      {"a drain", kNever, ClientKind::kIdle, BackendKind::kNormal, EndReason::kDrainDeadline, true},
      {"not established in time", 1'000'000, ClientKind::kIdle, BackendKind::kNormal,
       EndReason::kPreRelayDeadline},
  };
  for (const End& end : table) {
    RunInThread([&] {
      SCOPED_TRACE(end.name);
      Case with = With(end.relay_after, end.client, end.backend);
      if (end.reason == EndReason::kRecordDeadline) with.limit = &ListenerLimits::record_ms;
      if (end.reason == EndReason::kPreRelayDeadline) with.limit = &ListenerLimits::pre_relay_ms;
      with.octets = 100'000;
      with.client_ends_first = end.client != ClientKind::kStream;
      OneSession session(with);
      session.StartClient();
      session.RunFor(milliseconds(5'000));
      if (end.drain) {
        session.gateway().worker().StopAccepting();
        session.gateway().worker().EndSessions();
      }
      session.RunFor(milliseconds(60'000) + kSlack);
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(Label(session.reason()), Label(end.reason));
      session.Finish();
    });
  }
}

// A server that owes an answer and says nothing is suspected. The deadline that ends the session is
// the client's only if the server has answered.
TEST(Inside, ASilentAnswerIsTheServersFault) {
  for (const uint32_t relay_after : {kNever, 1'000'000u}) {
    for (const bool silent : {true, false}) {
      RunInThread([&] {
        SCOPED_TRACE(std::string(silent ? "silent" : "answers") +
                     (relay_after == kNever ? ", established" : ""));
        Case with = With(relay_after, ClientKind::kStream,
                         silent ? BackendKind::kSilent : BackendKind::kNormal);
        if (relay_after != kNever) with.limit = &ListenerLimits::pre_relay_ms;
        with.client_ends_first = !silent;
        if (!silent) with.client = ClientKind::kIdle;
        OneSession session(with);
        const std::atomic<bool>& suspected =
            session.gateway().backends().server(0).state->suspected;
        session.StartClient();
        session.RunFor(milliseconds(kGreetingTry - 1));
        EXPECT_FALSE(suspected);
        session.RunFor(2 * kSlack);
        EXPECT_EQ(suspected, silent);
        EXPECT_EQ(session.ended(), 0);
        session.RunFor(milliseconds(60'000));
        EXPECT_EQ(session.ended(), 1);
        const EndReason clients =
            relay_after == kNever ? EndReason::kIdleDeadline : EndReason::kPreRelayDeadline;
        EXPECT_EQ(Label(session.reason()), Label(silent ? EndReason::kGreetingDeadline : clients));
        EXPECT_EQ(suspected, silent);
        session.Finish();
      });
    }
  }
}

}  // namespace
}  // namespace starling::sim
