// What was received and cannot be used yet: it waits in the smallest block that has room and moves
// to larger ones as it grows. Every octet arrives once and in order, however it was cut.
//
// Not for: whole sessions with random cuts (simulation_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <string_view>

#include "gateway/io/buffer_pool.h"
#include "protocols/registry.h"
#include "tests/sim/hand_relay.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr char kEnd = '\n';

// The text of line `number`: letters by which each octet is known.
std::string Line(uint32_t number, size_t size) {
  std::string line;
  for (size_t i = 0; i + 1 < size; ++i) {
    line += static_cast<char>('a' + static_cast<uint8_t>(CodedOctet('l', number, i)) % 26);
  }
  return line + kEnd;
}

// Waits for whole lines, compares each with the one that it must be, and answers with its number.
class WholeLines final : public Negotiator {
 public:
  Step OnClient(ByteView in, Output& out) override {
    Step step;
    const auto end = std::ranges::find(in, static_cast<uint8_t>(kEnd));
    if (end == in.end()) return step;
    step.consumed = static_cast<size_t>(end - in.begin()) + 1;
    const std::string line(in.begin(), in.begin() + static_cast<ptrdiff_t>(step.consumed));
    EXPECT_EQ(line, Line(number_, step.consumed));
    const std::string answer = std::to_string(number_++) + kEnd;
    EXPECT_TRUE(
        out.client.Append({reinterpret_cast<const uint8_t*>(answer.data()), answer.size()}));
    return step;
  }
  Step OnBackend(ByteView /*in*/, Output& /*out*/) override { return {}; }
  Step OnEvent(const Event& /*event*/, Output& /*out*/) override { return {}; }

 private:
  uint32_t number_ = 0;
};

ProtocolRow Row() {
  ProtocolRow row = *FindProtocol("tcp");
  row.create = [](void* storage, const DialogueOptions& /*options*/) -> Negotiator* {
    return new (storage) WholeLines;
  };
  return row;
}
const ProtocolRow kRow = Row();

Case LinesCase() {
  Case with = {"lines",
               EndReason::kNone,
               "tcp",
               TlsMode::kStartTls,
               ClientKind::kIdle,
               BackendKind::kNormal,
               ServerKind::kUp,
               &ListenerLimits::idle_ms,
               kFar};
  with.row = &kRow;
  return with;
}

// Lines of all sizes, back to back, and the answers to them.
constexpr size_t kSizes[] = {10,     480, 512,   513,    2'000, 2'100,
                             16'000, 300, 5'000, 17'000, 1,     12'000};
struct Lines {
  std::string said;
  std::string answers;
};
Lines AllLines(uint32_t times) {
  Lines lines;
  for (uint32_t number = 0; number < times * std::size(kSizes); ++number) {
    lines.said += Line(number, kSizes[number % std::size(kSizes)]);
    lines.answers += std::to_string(number) + kEnd;
  }
  return lines;
}

TEST(Stashes, LinesInPiecesArriveWhole) {
  for (const size_t piece : {1u, 97u, 511u, 512u, 513u, 700u, 2'047u, 2'049u, 5'000u}) {
    SCOPED_TRACE(piece);
    RunInThread([piece] {
      OneSession session(LinesCase());
      PlainClient client(session);
      const Lines lines = AllLines(1);
      for (size_t begin = 0; begin < lines.said.size(); begin += piece) {
        client.Say(std::string_view(lines.said).substr(begin, piece));
        session.RunFor(milliseconds(1));
      }
      session.RunFor(milliseconds(5));
      EXPECT_EQ(client.Take(), lines.answers);
      session.Finish();
    });
  }
}

// Pieces of different sizes: what is left of one line stands in the middle of a block, and has to
// move to its front or to a larger one.
TEST(Stashes, ARestInTheMiddleOfABlockIsKept) {
  RunInThread([] {
    OneSession session(LinesCase());
    PlainClient client(session);
    const Lines lines = AllLines(30);
    Rng rng(3);
    std::string answers;
    for (size_t begin = 0; begin < lines.said.size();) {
      const size_t piece = rng.Chance(500) ? rng.Between(1, 600) : rng.Between(1, 4'000);
      client.Say(std::string_view(lines.said).substr(begin, piece));
      begin += piece;
      session.RunFor(milliseconds(1));
      answers += client.Take();
    }
    session.RunFor(milliseconds(5));
    EXPECT_EQ(answers + client.Take(), lines.answers);
    session.Finish();
  });
}

TEST(Stashes, TakeTheSmallestBlockThatHasRoom) {
  RunInThread([] {
    OneSession session(LinesCase());
    PlainClient client(session);
    session.RunFor(milliseconds(5));
    const std::string line = Line(0, 17'000);
    const auto held_after = [&](size_t from, size_t to) {
      client.Say(std::string_view(line).substr(from, to - from));
      session.RunFor(milliseconds(5));
      return session.gateway().worker().queued_octets();
    };
    EXPECT_EQ(held_after(0, 1), BufferPool::kTinyBlockSize);
    EXPECT_EQ(held_after(1, 512), BufferPool::kTinyBlockSize);
    EXPECT_EQ(held_after(512, 513), BufferPool::kSmallBlockSize);
    EXPECT_EQ(held_after(513, 2'048), BufferPool::kSmallBlockSize);
    EXPECT_EQ(held_after(2'048, 2'049), BufferPool::kBlockSize);
    EXPECT_EQ(held_after(2'049, 16'999), BufferPool::kBlockSize);
    EXPECT_EQ(held_after(16'999, 17'000), 0u);
    EXPECT_EQ(client.Take(), "0\n");
    session.Finish();
  });
}

// The hello as well, in every cut.
TEST(Stashes, AHelloInPiecesArrivesWhole) {
  for (const size_t piece : {1u, 97u, 511u, 513u, 2'049u}) {
    SCOPED_TRACE(piece);
    RunInThread([piece] {
      OneSession session(RelayCase());
      HandServer server(session);
      TestClientOptions options;
      options.alpn.assign(60, std::string(100, 'a'));
      options.alpn.emplace_back("tcp");
      HandRelay relay(session, server, 1, options, piece);
      relay.ServerPours(1'000);
      relay.ClientTakesAll();
      EXPECT_EQ(relay.client_got(), relay.server_sent());
      session.Finish();
    });
  }
}

// More than the largest receive waits where the sink takes nothing; then it takes all.
TEST(Stashes, WhatWaitsForASinkThatIsStuckArrivesWhole) {
  for (const bool down : {true, false}) {
    RunInThread([down] {
      OneSession session(RelayCase());
      HandServer server(session);
      HandRelay relay(session, server);
      for (int round = 0; round < 5; ++round) {
        down ? relay.ServerPours() : relay.ClientPours();
        down ? relay.ClientTakesAll() : relay.ServerTakesAll();
      }
      const uint64_t sent = down ? relay.server_sent() : relay.client_sent();
      const uint64_t got = down ? relay.client_got() : relay.server_got();
      EXPECT_GT(got, 400'000u);
      if (down) EXPECT_EQ(got, sent);
      session.Finish();
    });
  }
}

}  // namespace
}  // namespace starling::sim
