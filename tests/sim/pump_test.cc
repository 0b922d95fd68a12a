// Tests that a peer with hundreds of lines at once does not keep the worker: the pump leaves
// the session after a number of rounds and goes on in the next turn, behind the others.
//
// No protocol here has so many rounds, since each reads all the lines that it has room to
// answer in one round. The contract lets a negotiator take one line only, as this one does.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string>

#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr int kLines = 500;

// Gives each line back to the client, whoever said it; one line a call.
class LineByLine final : public Negotiator {
 public:
  Step OnClient(ByteView in, Output& out) override { return GiveOne(in, out.client); }
  Step OnBackend(ByteView in, Output& out) override { return GiveOne(in, out.client); }
  Step OnEvent(const Event& event, Output& /*out*/) override {
    Step step;
    if (event.kind == EventKind::kLegUp) step.verdict = Verdict::kReadInside;
    return step;
  }

 private:
  static Step GiveOne(ByteView in, Writer& out) {
    Step step;
    const auto end = std::ranges::find(in, uint8_t{'\n'});
    if (end == in.end()) return step;
    step.consumed = static_cast<size_t>(end - in.begin()) + 1;
    EXPECT_TRUE(out.Append(in.first(step.consumed)));
    return step;
  }
};

ProtocolRow Row() {
  ProtocolRow row = *FindProtocol("tcp");
  row.create = [](void* storage, const DialogueOptions& /*options*/) -> Negotiator* {
    return new (storage) LineByLine;
  };
  row.speaks_inside = true;
  return row;
}
const ProtocolRow kRow = Row();

Case With(TlsMode tls) {
  Case with{"pump",
            EndReason::kNone,
            "tcp",
            tls,
            ClientKind::kIdle,
            BackendKind::kNormal,
            ServerKind::kUp,
            &ListenerLimits::idle_ms,
            kFar};
  with.row = &kRow;
  return with;
}

std::string Numbers() {
  std::string lines;
  for (int i = 0; i < kLines; ++i) lines += std::to_string(i) + '\n';
  return lines;
}

uint64_t PumpsCutShort(OneSession& session) {
  return session.gateway().shard().GetWorker(WorkerFamily::kLimitReached,
                                             static_cast<size_t>(Limit::kRounds));
}

TEST(Pump, ServesOthersWhileAClientHasHundredsOfCommands) {
  RunInThread([] {
    OneSession session(With(TlsMode::kStartTls));
    PlainClient busy(session);
    PlainClient other(session);
    session.RunFor(milliseconds(1));
    busy.Say(Numbers());
    other.Say("one\n");
    std::string answers;
    std::string of_other;
    for (int turn = 0; turn < 100 && of_other.empty(); ++turn) {
      session.world().At(session.world().now() + milliseconds(1),
                         [&session] { session.world().Interrupt(); });
      session.gateway().Turn();
      answers += busy.Take();
      of_other += other.Take();
    }
    EXPECT_EQ(of_other, "one\n");
    EXPECT_LT(answers.size(), Numbers().size());
    session.RunFor(milliseconds(10));
    EXPECT_EQ(answers + busy.Take(), Numbers());
    EXPECT_GE(PumpsCutShort(session), 2u);
    session.Finish();
  });
}

TEST(Pump, LeavesAServerWithHundredsOfLinesAfterItsRounds) {
  RunInThread([] {
    Case with = With(TlsMode::kImplicit);
    with.script = {Numbers()};
    OneSession session(with);
    HandClient client(session);
    client.Exchange();
    EXPECT_EQ(client.TakeReceived(), Numbers());
    EXPECT_GE(PumpsCutShort(session), 2u);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
