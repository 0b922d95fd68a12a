// Tests the prober against real sockets: small servers on loopback and Unix sockets.
#include "gateway/upstream/prober.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "gateway/upstream/prober_testing.h"
#include "gtest/gtest.h"
#include "protocols/proxy/proxy_header.h"

namespace starling {
namespace {

TEST_F(ProberTest, AsksForCapabilitiesAndLeavesPolitely) {
  std::atomic<int> polite{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    Write(fd, "HI\n");
    if (ReadLine(fd) != "ASK") return;
    Write(fd, "CA");
    Write(fd, "PS 7\n");
    if (ReadAll(fd) == "BYE\n") ++polite;
  });
  Begin({server.address()}, {.protocol = &kGreets, .ask = true});
  Until([&] { return backends_->Capabilities(0) == 7; });
  Until([&] { return polite == 1; });
  EXPECT_TRUE(backends_->server(0).up());
  EXPECT_EQ(changes_.count(), 0u);  // servers count as up at the start
}

// Its destructor joins the thread.
TEST_F(ProberTest, EndsAlthoughNoDescriptorWasLeft) {
  FakeServer server("127.0.0.1:0", [](int fd) { ReadAll(fd); });
  BackendConfig config;
  config.servers = {server.address()};
  backends_ = std::make_unique<Backends>(std::vector<BackendConfig>{config});
  options_.plans = {ProbePlan{}};
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  prober_ = std::make_unique<Prober>(*backends_, options_);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  prober_->Start();
  prober_.reset();
}

TEST_F(ProberTest, ReadsAGreetingAndSaysNothing) {
  std::atomic<int> polite{0};
  FakeServer server(UniqueName(), [&](int fd) {
    Write(fd, "H");
    Write(fd, "I\n");
    if (ReadAll(fd).empty()) ++polite;
  });
  Begin({server.address()}, {.protocol = &kGreets});
  Until([&] { return polite == 1; });
  EXPECT_TRUE(backends_->server(0).up());
}

TEST_F(ProberTest, ConnectingIsEnoughWhereNobodyGreets) {
  std::atomic<int> polite{0};
  for (const ProbePlan& plan : {ProbePlan{}, ProbePlan{.protocol = &kSilent}}) {
    polite = 0;
    FakeServer server("127.0.0.1:0", [&](int fd) {
      if (ReadAll(fd).empty()) ++polite;
    });
    Begin({server.address()}, plan);
    Until([&] { return polite == 1; });
    EXPECT_TRUE(backends_->server(0).up());
    prober_.reset();
  }
}

TEST_F(ProberTest, ProxyHeaderComesFirst) {
  for (const ProxyOut proxy : {ProxyOut::kV1, ProxyOut::kV2}) {
    std::string got;
    std::atomic<bool> done{false};
    FakeServer server("127.0.0.1:0", [&](int fd) {
      if (done) return;
      Write(fd, "HI\n");
      got = ReadAll(fd);
      done = true;
    });
    Begin({server.address()}, {.protocol = &kGreets}, proxy);
    Until([&] { return done.load(); });
    const ProxyParse parse = ParseProxy(AsBytes(got));
    EXPECT_EQ(parse.status, ProxyParse::Status::kDone) << parse.error;
    EXPECT_EQ(parse.local, proxy == ProxyOut::kV2);
    EXPECT_EQ(parse.source.family, Endpoint::Family::kNone) << "no client is behind it";
    EXPECT_EQ(parse.consumed, got.size());
    EXPECT_EQ(got.starts_with("PROXY UNKNOWN\r\n"), proxy == ProxyOut::kV1);
    prober_.reset();
  }
}

TEST_F(ProberTest, NobodyListens) {
  std::string name;
  SocketAddress gone;
  {
    FakeServer server("127.0.0.1:0", nullptr);
    gone = server.address();
  }
  Begin({gone, SocketAddress::Parse("unix:/nonexistent/socket").value()}, {.protocol = &kGreets});
  changes_.WaitFor("unix:/nonexistent/socket down");
  Until([&] { return !backends_->server(0).up(); });
  EXPECT_EQ(backends_->FirstUnavailable(), "b");
}

struct Mute {
  const char* name;
  FakeServer::Script script;
  bool ask;
};

class ProberDownTest : public ProberTest, public testing::WithParamInterface<Mute> {};

// Whatever the fault, the server is down, and up again once it works.
TEST_P(ProberDownTest, DownAndUpAgain) {
  std::atomic<bool> well{false};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    if (!well) {
      GetParam().script(fd);
      return;
    }
    Write(fd, "HI\n");
    if (GetParam().ask && ReadLine(fd) == "ASK") Write(fd, "CAPS 3\n");
    ReadAll(fd);
  });
  options_.timeout_ms = 40;
  options_.retry_ms = 1;
  Begin({server.address()}, {.protocol = &kGreets, .ask = GetParam().ask});
  changes_.WaitFor(NameOf(server) + " down");
  EXPECT_EQ(backends_->Capabilities(0), 0u);
  well = true;
  changes_.WaitFor(NameOf(server) + " up");
  if (GetParam().ask) Until([&] { return backends_->Capabilities(0) == 3; });
}

INSTANTIATE_TEST_SUITE_P(
    All, ProberDownTest,
    testing::Values(Mute{"SaysNothing", [](int fd) { ReadAll(fd); }, false},
                    Mute{"ClosesAtOnce", [](int) {}, false},
                    Mute{"ClosesInsteadOfAnswering", [](int fd) { Write(fd, "HI\n"); }, true},
                    Mute{"Refuses",
                         [](int fd) {
                           Write(fd, "NO\n");
                           ReadAll(fd);
                         },
                         false},
                    Mute{"GreetsByHalf", [](int fd) { Write(fd, "H"); }, false},
                    Mute{"SaysNonsense",
                         [](int fd) {
                           Write(fd, "NO\n");
                           ReadAll(fd);
                         },
                         true},
                    Mute{"NeverEndsItsLine",
                         [](int fd) {
                           Write(fd, std::string(100'000, 'x'));
                           ReadAll(fd);
                         },
                         true}),
    [](const auto& info) { return info.param.name; });

TEST_F(ProberTest, KeepsWhatItKnewOfAServerThatWentDown) {
  std::atomic<bool> well{true};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    if (!well) return;
    Write(fd, "HI\n");
    if (ReadLine(fd) == "ASK") Write(fd, "CAPS 3\n");
    ReadAll(fd);
  });
  options_.interval_ms = 1;
  options_.retry_ms = 1;
  Begin({server.address()}, {.protocol = &kGreets, .ask = true});
  Until([&] { return backends_->Capabilities(0) == 3; });
  well = false;
  changes_.WaitFor(NameOf(server) + " down");
  EXPECT_EQ(backends_->Capabilities(0), 3u);
}

// The prober believes a worker's report, announces it, and checks it long before the
// interval.
TEST_F(ProberTest, WorkerSaysDown) {
  std::atomic<int> asked{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    Write(fd, "HI\n");
    if (ReadLine(fd) != "ASK") return;
    ++asked;
    Write(fd, "CAPS 3\n");
    ReadAll(fd);
  });
  options_.interval_ms = 3'600'000;
  options_.retry_ms = 1;
  Begin({server.address()}, {.protocol = &kGreets, .ask = true});
  // The first probe's result is stored, but the probe may not be over yet.
  Until([&] { return backends_->Capabilities(0) == 3; });
  backends_->MarkDown(0);
  changes_.WaitFor(NameOf(server) + " down");
  Until([&] { return asked == 2; });
  Until([&] { return backends_->server(0).up(); });
}

// A Unix socket with a full backlog neither counts as down nor blocks the prober.
TEST_F(ProberTest, FullBacklog) {
  FakeServer server(UniqueName(), nullptr, 0);
  const int filler = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  ASSERT_EQ(connect(filler, server.address().get(), server.address().length()), 0);
  options_.timeout_ms = 120;
  Begin({server.address()}, {});
  changes_.WaitFor(NameOf(server) + " down");
  close(filler);
}

// With more servers than parallel probes, silent servers do not keep the others waiting
// for ever.
TEST_F(ProberTest, BoundedParallelism) {
  std::atomic<int> served{0};
  FakeServer deaf("127.0.0.1:0", nullptr);
  FakeServer well("127.0.0.1:0", [&](int fd) {
    Write(fd, "HI\n");
    ReadAll(fd);
    ++served;
  });
  options_.parallel = 2;
  options_.timeout_ms = 400;
  options_.retry_ms = 3'600'000;
  Begin({deaf.address(), deaf.address(), deaf.address(), deaf.address(), well.address()},
        {.protocol = &kGreets});
  Until([&] { return served == 1; });
  EXPECT_TRUE(backends_->server(4).up());
  for (ServerId id = 0; id < 4; ++id) Until([&] { return !backends_->server(id).up(); });
}

// A server whose probe is due while too many run has it as soon as one of them is over.
TEST_F(ProberTest, APlaceThatBecomesFreeIsUsed) {
  std::atomic<int> probed{0};
  std::atomic<bool> held{false}, leave{false};
  FakeServer sick("127.0.0.1:0", [&](int) { ++probed; });
  FakeServer slow("127.0.0.1:0", [&](int) {
    held = true;
    Until([&] { return leave.load(); });
  });
  options_.parallel = 1;
  options_.interval_ms = options_.timeout_ms = options_.retry_max_ms = 3'600'000;
  options_.jitter = [&](uint32_t) { return held ? 3'600'000u : 0u; };
  Begin({sick.address(), slow.address()}, {.protocol = &kGreets});
  Until([&] { return held.load(); });
  const int before = probed;
  leave = true;
  Until([&] { return probed > before; });
}

// A server that waits for its client is asked something, and any answer will do.
TEST_F(ProberTest, SpeaksFirstWhereTheClientDoes) {
  std::atomic<bool> well{false};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    if (!well || ReadLine(fd) != "WHO") return;
    Write(fd, "?");
    ReadAll(fd);
  });
  options_.retry_ms = 1;
  Begin({server.address()}, {.protocol = &kAsked});
  changes_.WaitFor(NameOf(server) + " down");
  well = true;
  changes_.WaitFor(NameOf(server) + " up");
}

// Where the protocol can tell an answer from anything else, the probe does.
TEST_F(ProberTest, AnAnswerOfTheProtocol) {
  ProtocolRow row = kAsked;
  row.read_answer = ReadTestGreeting;
  std::atomic<bool> well{false};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    if (ReadLine(fd) != "WHO") return;
    Write(fd, well ? "HI\n" : "?\n");
    ReadAll(fd);
  });
  options_.retry_ms = options_.retry_max_ms = 1;
  Begin({server.address()}, {.protocol = &row});
  changes_.WaitFor(NameOf(server) + " down");
  well = true;
  changes_.WaitFor(NameOf(server) + " up");
  prober_.reset();
}

// Of a greeting or an answer the beginning is not enough.
TEST_F(ProberTest, AServerThatOnlyBeginsIsDown) {
  ProtocolRow answers = kAsked;
  answers.read_answer = ReadTestGreeting;
  for (const ProtocolRow* row : {&kGreets, static_cast<const ProtocolRow*>(&answers)}) {
    std::atomic<bool> well{false};
    FakeServer server("127.0.0.1:0", [&](int fd) {
      Write(fd, well ? "HI\n" : "H");
      ReadAll(fd);
    });
    options_.timeout_ms = 100;
    options_.retry_ms = options_.retry_max_ms = 1;
    Begin({server.address()}, {.protocol = row});
    changes_.WaitFor(NameOf(server) + " down");
    well = true;
    changes_.WaitFor(NameOf(server) + " up");
    prober_.reset();
  }
}

// Several protocols that greet: any words will do, and silence will not.
TEST_F(ProberTest, AServerThatMustSpeakAndDoesNotIsDown) {
  std::atomic<bool> well{false};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    if (well) Write(fd, "?");
    ReadAll(fd);
  });
  options_.timeout_ms = 300;  // longer than a server must keep quiet that may
  options_.retry_ms = options_.retry_max_ms = 1;
  Begin({server.address()}, {.must_speak = true});
  changes_.WaitFor(NameOf(server) + " down");
  well = true;
  changes_.WaitFor(NameOf(server) + " up");
}

// Accepting is not enough, even where nothing can be asked.
TEST_F(ProberTest, AServerThatClosesAtOnceIsDown) {
  for (const ProbePlan& plan : {ProbePlan{}, ProbePlan{.protocol = &kSilent}}) {
    FakeServer server("127.0.0.1:0", [](int) {});
    Begin({server.address()}, plan);
    changes_.WaitFor(NameOf(server) + " down");
    prober_.reset();
  }
}

// What a session suspects is probed long before the interval, but not judged by the session.
TEST_F(ProberTest, TellsOfPortsThatRanOut) {
  FakeServer server("127.0.0.1:0", [](int fd) {
    Write(fd, "HI\n");
    ReadAll(fd);
  });
  Begin({server.address()}, {.protocol = &kGreets});
  backends_->NoteOutOfPorts(0);
  changes_.WaitFor(NameOf(server) + " out of ports");
}

// The gateway cannot connect from there, whatever the server is like.
TEST_F(ProberTest, AProblemOfItsOwnSaysNothingAboutTheServer) {
  std::atomic<int> probed{0};
  FakeServer never("127.0.0.1:0", nullptr), other(UniqueName(), [&](int) { ++probed; });
  options_.retry_ms = options_.retry_max_ms = 1;
  Begin({never.address(), other.address()}, {}, ProxyOut::kNone,
        {SocketAddress::Parse("192.0.2.77:1").value().endpoint()});
  Until([&] { return probed > 20; });
  EXPECT_TRUE(backends_->server(0).up());
}

TEST_F(ProberTest, ConnectsFromWhereSessionsDo) {
  std::atomic<int> seen{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length);
    seen |= 1 << (ntohl(peer.sin_addr.s_addr) & 0xff);
  });
  options_.retry_ms = options_.retry_max_ms = 1;
  Begin({server.address()}, {}, ProxyOut::kNone,
        {SocketAddress::Parse("127.0.0.8:1").value().endpoint(),
         SocketAddress::Parse("127.0.0.9:1").value().endpoint()});
  Until([&] { return seen == (1 << 8 | 1 << 9); });
}

// A server that says nothing would never be found out if reloads come faster than the time-out.
TEST_F(ProberTest, ARunningProbeGoesOnAfterAReload) {
  for (const bool changed : {false, true}) {
    std::atomic<int> connections{0};
    std::atomic<bool> speaks{false};
    FakeServer server("127.0.0.1:0", [&](int fd) {
      ++connections;
      Until([&] { return speaks.load(); });
      Write(fd, "HI\n");
      ReadAll(fd);
    });
    configs_.clear();
    options_.timeout_ms = options_.retry_ms = 3'600'000;
    Begin({server.address()}, {.protocol = &kGreets});
    Until([&] { return connections == 1; });
    backends_->MarkDown(0);
    changes_.WaitFor(NameOf(server) + " down");
    ProbePlan plan{.protocol = &kGreets};
    if (changed) plan.options.hostname = "other.example.org";
    for (int i = 0; i < 3; ++i) Reload(plan);
    speaks = true;
    changes_.WaitFor(NameOf(server) + " up");
    EXPECT_EQ(connections, changed ? 2 : 1) << "the probe began again";
    prober_.reset();
  }
}

TEST_F(ProberTest, EndsAmidAProbe) {
  FakeServer deaf("127.0.0.1:0", nullptr);
  options_.timeout_ms = 3'600'000;
  Begin({deaf.address()}, {.protocol = &kGreets});
  prober_.reset();
}

}  // namespace
}  // namespace starling
