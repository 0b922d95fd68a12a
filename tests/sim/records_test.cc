// Tests a dialogue that reads the lines of a server with TLS: however the server cuts
// them into records, the client gets every line once and in order, before and after the
// relay begins; and a server that breaks off ends the session at once.
//
// Not for: a client's records (inside_test.cc).
#include <gtest/gtest.h>

#include <chrono>
#include <new>
#include <string>
#include <vector>

#include "protocols/frames/dialogue.h"
#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

// Passes on one whole line of the server with each call. An empty line is the last one
// before the relay.
class WholeLines final : public Negotiator {
 public:
  explicit WholeLines(const DialogueOptions& /*options*/) {}

  Step OnClient(ByteView /*in*/, Output& /*out*/) override { return {}; }
  Step OnBackend(ByteView in, Output& out) override {
    Step step;
    const std::string_view line = AsText(in).substr(0, AsText(in).find('\n') + 1);
    if (line.size() > out.client.room()) return step;
    step.consumed = line.size();
    EXPECT_TRUE(out.client.Append(in.first(step.consumed)));
    if (line == "\n") step.verdict = Verdict::kRelay;
    return step;
  }
  Step OnEvent(const Event& event, Output& /*out*/) override {
    Step step;
    if (event.kind == EventKind::kLegUp) {
      step.verdict = Verdict::kReadInside;
      step.established = true;
    } else {
      Close(step, ReasonOf(event));
    }
    return step;
  }
};

ProtocolRow Row() {
  ProtocolRow row = *FindProtocol("tcp");
  row.create = [](void* storage, const DialogueOptions& options) -> Negotiator* {
    return new (storage) WholeLines(options);
  };
  row.speaks_inside = true;
  return row;
}
const ProtocolRow kRow = Row();

Case With(std::vector<std::string> script, BackendKind end = BackendKind::kNormal) {
  Case with{"records",          EndReason::kNone,         "tcp",
            TlsMode::kImplicit, ClientKind::kIdle,        end,
            ServerKind::kUp,    &ListenerLimits::idle_ms, 600'000};
  with.row = &kRow;
  with.tls_out = true;
  with.linger_ms = 1'000;
  with.script = std::move(script);
  return with;
}

std::string Received(const Case& with, const std::function<void(OneSession&)>& then = {}) {
  std::string received;
  RunInThread([&] {
    OneSession session(with);
    HandClient client(session);
    session.RunFor(milliseconds(20) * with.script.size());
    client.Exchange();
    received = client.TakeReceived();
    if (then) then(session);
    session.Finish();
  });
  return received;
}

std::string Joined(const std::vector<std::string>& script) {
  std::string text;
  for (const std::string& part : script) text += part;
  return text;
}

TEST(Records, ALineIsCutAnywhere) {
  const std::string lines = "220 host\r\n220-two\r\n";
  for (size_t cut = 1; cut < lines.size(); ++cut) {
    SCOPED_TRACE("at " + std::to_string(cut));
    EXPECT_EQ(Received(With({lines.substr(0, cut), lines.substr(cut)})), lines);
  }
  std::vector<std::string> octets;
  for (const char octet : lines) octets.emplace_back(1, octet);
  EXPECT_EQ(Received(With(octets)), lines);
}

// Each has three records, and each record ends inside a line.
std::vector<std::string> LongScript(size_t octets_of_a_record, const std::string& behind) {
  std::string text;
  for (int i = 0; text.size() < 3 * octets_of_a_record; ++i) {
    text +=
        "213-line " + std::to_string(i) + std::string(static_cast<size_t>(i) % 900, '.') + "\r\n";
  }
  text += behind;
  std::vector<std::string> script;
  for (size_t at = 0; at < text.size(); at += octets_of_a_record) {
    script.push_back(text.substr(at, octets_of_a_record));
  }
  return script;
}

TEST(Records, MoreThanABlockOfLines) {
  for (const size_t record : {1'000u, 5'000u, 9'001u, 16'384u}) {
    const std::vector<std::string> script = LongScript(record, "");
    EXPECT_EQ(Received(With(script)), Joined(script)) << record;
    // Everything at once, in as many records as it takes.
    EXPECT_EQ(Received(With({Joined(script)})), Joined(script)) << record;
  }
}

TEST(Records, TheRelayGetsWhatTheDialogueLeft) {
  const std::string behind = "\n" + std::string(40'000, 'r') + "no line's end";
  for (const size_t record : {700u, 5'000u, 16'384u}) {
    const std::vector<std::string> script = LongScript(record, behind);
    EXPECT_EQ(Received(With(script)), Joined(script)) << record;
    EXPECT_EQ(Received(With({Joined(script)})), Joined(script)) << record;
  }
}

TEST(Records, BreakingOffEndsTheSession) {
  struct End {
    const char* name;
    BackendKind kind;
    EndReason reason;
  };
  const End table[] = {{"with close_notify", BackendKind::kCloseMute, EndReason::kBackendProtocol},
                       {"without", BackendKind::kTruncateMid, EndReason::kBackendTruncated}};
  for (const End& end : table) {
    for (const std::string rest : {"", "half a li"}) {
      SCOPED_TRACE(std::string(end.name) + ", " + rest);
      const Case with = With({"220-one\r\n220 t", "wo\r\n" + rest}, end.kind);
      const auto ended = [&](OneSession& session) {
        session.RunFor(milliseconds(2'000));
        EXPECT_EQ(session.ended(), 1);
        EXPECT_EQ(Label(session.reason()), Label(end.reason));
      };
      EXPECT_EQ(Received(with, ended), "220-one\r\n220 two\r\n");
    }
  }
}

}  // namespace
}  // namespace starling::sim
