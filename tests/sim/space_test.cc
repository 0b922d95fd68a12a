// Tests white space between an upgrade command and TLS, where the protocol's row allows
// some, in simulated time, with the real worker: wherever it comes and however the
// network cuts it, the worker drops as many octets as are allowed, and treats anything
// else as an injection.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kHeader =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "to='mail.example.org' version='1.0'>";
constexpr std::string_view kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr std::string_view kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr size_t kMost = 16;

// What a client says in addition to the header, the command and TLS.
struct Between {
  std::string with_command;  // in one segment
  std::string later;         // at once, in a separate segment
  std::string after_reply;   // after it has read the go-ahead
  std::string with_hello;    // in one segment

  std::string all() const { return with_command + later + after_reply + with_hello; }
};

Between Cut(const std::string& octets, Rng& rng) {
  Between result;
  for (const char octet : octets) {
    std::string* const parts[] = {&result.with_command, &result.later, &result.after_reply,
                                  &result.with_hello};
    *parts[rng.Between(0, 3)] += octet;
  }
  return result;
}

Case With(uint64_t seed) {
  Case with{"space",
            EndReason::kNone,
            "tcp",
            TlsMode::kStartTls,
            ClientKind::kIdle,
            BackendKind::kNormal,
            ServerKind::kUp,
            &ListenerLimits::idle_ms,
            kFar};
  with.row = FindProtocol("xmpp-client");
  with.seed = seed;
  with.linger_ms = 2'000;
  return with;
}

class Client {
 public:
  explicit Client(OneSession& session) : session_(session), tls_(TestClientOptions{}) {
    const SessionPlan& plan = session.plan();
    EXPECT_EQ(session.world().Connect(plan.listener->address, plan.endpoint, &socket_), 0);
  }

  // Plays the whole session. Returns whether TLS came up.
  bool Upgrade(const Between& between) {
    Put(kHeader);
    ReadUntil("</stream:features>");
    Put(std::string(kStartTls) + between.with_command);
    if (!between.later.empty()) {
      session_.RunFor(milliseconds(session_.world().rng().Between(0, 2)));
      Put(between.later);
    }
    ReadUntil(kProceed);
    Put(between.after_reply);
    tls_.Step();
    Put(between.with_hello + std::exchange(tls_.output, {}));
    for (int i = 0; i < 100 && !tls_.connected() && session_.ended() == 0; ++i) {
      session_.RunFor(milliseconds(2));
      tls_.input += Read();
      tls_.Step();
      Put(std::exchange(tls_.output, {}));
    }
    return tls_.connected();
  }

 private:
  // An ended session reads nothing more.
  void Put(std::string_view octets) {
    if (octets.empty() || !session_.world().Writable(socket_)) return;
    session_.world().Write(socket_,
                           {reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
  }
  std::string Read() {
    uint8_t memory[4'096];
    const int got = session_.world().Readable(socket_) ? session_.world().Read(socket_, memory) : 0;
    return got > 0 ? std::string(reinterpret_cast<char*>(memory), static_cast<size_t>(got)) : "";
  }
  void ReadUntil(std::string_view end) {
    std::string said;
    for (int i = 0; i < 100 && !said.ends_with(end) && session_.ended() == 0; ++i) {
      session_.RunFor(milliseconds(1));
      said += Read();
    }
  }

  OneSession& session_;
  SocketId socket_ = kNoSocket;
  TestClient tls_;
};

void RunSpace(const std::string& octets, uint64_t seed, bool calm, bool allowed) {
  RunInThread([&] {
    OneSession session(With(seed));
    if (!calm) {
      session.world().faults() = {.partial_send = 200,
                                  .short_receive = 300,
                                  .delay = 300,
                                  .max_delay_us = 2'000,
                                  .min_capacity = 2'000,
                                  .max_capacity = 70'000};
    }
    const Between between = Cut(octets, session.world().rng());
    SCOPED_TRACE(
        "seed " + std::to_string(seed) + ": " + std::to_string(between.with_command.size()) + ", " +
        std::to_string(between.later.size()) + ", " + std::to_string(between.after_reply.size()) +
        ", " + std::to_string(between.with_hello.size()));
    Client client(session);
    EXPECT_EQ(client.Upgrade(between), allowed);
    session.RunFor(milliseconds(4'000));
    EXPECT_EQ(session.plan().backend_got, 0u);
    if (allowed) {
      EXPECT_EQ(session.ended(), 0);
    } else {
      EXPECT_EQ(session.ended(), 1);
      EXPECT_EQ(Label(session.reason()), Label(EndReason::kPlaintextInjection));
    }
    session.Finish();
  });
}

std::string Blanks(size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += "\n \r\t"[i % 4];
  return result;
}

TEST(Space, SoMuchIsDroppedWhereverItComes) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, kMost - 1, kMost}) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      RunSpace(Blanks(count), seed, /*calm=*/seed % 4 == 0, /*allowed=*/true);
    }
  }
}

TEST(Space, OneOctetMoreIsAnInjection) {
  for (const size_t count : {kMost + 1, 3 * kMost, size_t{300}}) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      RunSpace(Blanks(count), seed, /*calm=*/seed % 4 == 0, /*allowed=*/false);
    }
  }
}

TEST(Space, NothingElseIsDropped) {
  for (const std::string_view octet : {"<", "x", "\xa0", "\x0b", "\x0c", "\x80", "\x17"}) {
    for (const size_t before : {size_t{0}, size_t{3}, kMost - 1}) {
      for (uint64_t seed = 1; seed <= 8; ++seed) {
        RunSpace(Blanks(before) + std::string(octet), seed, /*calm=*/seed % 4 == 0,
                 /*allowed=*/false);
      }
    }
  }
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    RunSpace(std::string(1, '\0'), seed, /*calm=*/false, /*allowed=*/false);
  }
}

}  // namespace
}  // namespace starling::sim
