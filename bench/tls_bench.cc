// Benchmarks of the server's side of TLS in memory: handshakes and records through
// TlsSession, and for comparison the same handshakes by BoringSSL alone (memory BIOs, its
// defaults). Times include the server's calls only, not the client's, which run between
// them.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/bare_handshake.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_session.h"

namespace starling {
namespace {

using bench::BareServer;
using bench::Connect;
using bench::Require;
using bench::Timed;

constexpr uint16_t kTls12 = 0x0303, kTls13 = 0x0304;
constexpr uint16_t kHybrid = 0x11ec, kX25519 = 29, kP256 = 23;

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

const TestCertificate& Certificate(TestKey key) {
  static const TestCertificate ec = MakeTestCertificate({.key = TestKey::kEcP256});
  static const TestCertificate rsa = MakeTestCertificate({.key = TestKey::kRsa2048});
  return key == TestKey::kEcP256 ? ec : rsa;
}

// The gateway's server.
class Gateway {
 public:
  explicit Gateway(TestKey key) {
    CredentialStore store;
    const TestCertificate& made = Certificate(key);
    auto credential = store.LoadPem({"bench.crt", "bench.key"}, made.cert, made.key);
    Require(credential.ok(), "credential");
    auto context = TlsContext::Create(
        {.certificates = MakeCredentialIndex({*credential}), .tickets = MakeTicketKeys()});
    Require(context.ok(), "context");
    context_ = *std::move(context);
  }

  class Connection {
   public:
    explicit Connection(Gateway& server) : out_(17920) {
      Require(session_.Start(*server.context_), "session");
    }
    // True when the handshake is complete.
    bool Handshake(const std::string& in, std::string& out) {
      TlsSession::Io io{.in = Bytes(in), .out = out_};
      const TlsResult result = session_.Handshake(io);
      Require(result != TlsResult::kFailed, "handshake");
      out.assign(reinterpret_cast<const char*>(out_.data()), io.written);
      return result == TlsResult::kOk;
    }
    void Write(const std::string& plain, std::string& out) {
      TlsSession::Io io{.out = out_};
      size_t taken = 0;
      Require(session_.Write(io, Bytes(plain), taken) == TlsResult::kOk, "write");
      out.assign(reinterpret_cast<const char*>(out_.data()), io.written);
    }
    TlsSession& session() { return session_; }

   private:
    TlsSession session_;
    std::vector<uint8_t> out_;
  };

 private:
  std::unique_ptr<TlsContext> context_;
};

// The floor: BoringSSL alone.
class Bare : public BareServer {
 public:
  explicit Bare(TestKey key) : BareServer(Certificate(key).cert, Certificate(key).key) {}
};

struct Kind {
  const char* name;
  uint16_t version;
  TestKey key;
  uint16_t group;
  bool resumed;
};

template <typename Server>
void Handshake(benchmark::State& state, const Kind& kind) {
  Server server(kind.key);
  TestClientOptions options;
  options.min_version = options.max_version = kind.version;
  options.groups = {kind.group};
  // In TLS 1.2 the list of groups also restricts the curves of certificates.
  if (kind.version == kTls12) options.groups.push_back(kP256);
  if (kind.resumed) {
    TestClient first(options);
    Connect(server, first, true);
    options.session = first.session();
    Require(options.session != nullptr, "ticket");
  }
  for (auto _ : state) {
    TestClient client(options);
    state.SetIterationTime(Connect(server, client, false));
    Require(client.resumed() == kind.resumed, "resumption");
  }
}

constexpr Kind kKinds[] = {
    {"tls13_ecdsa_x25519", kTls13, TestKey::kEcP256, kX25519, false},
    {"tls13_ecdsa_p256", kTls13, TestKey::kEcP256, kP256, false},
    {"tls13_ecdsa_x25519mlkem768", kTls13, TestKey::kEcP256, kHybrid, false},
    {"tls13_rsa2048_x25519", kTls13, TestKey::kRsa2048, kX25519, false},
    {"tls13_rsa2048_x25519mlkem768", kTls13, TestKey::kRsa2048, kHybrid, false},
    {"tls13_resumed_x25519", kTls13, TestKey::kEcP256, kX25519, true},
    {"tls13_resumed_x25519mlkem768", kTls13, TestKey::kEcP256, kHybrid, true},
    {"tls13_rsa2048_resumed_x25519", kTls13, TestKey::kRsa2048, kX25519, true},
    {"tls12_ecdsa_x25519", kTls12, TestKey::kEcP256, kX25519, false},
    {"tls12_rsa2048_x25519", kTls12, TestKey::kRsa2048, kX25519, false},
    {"tls12_resumed", kTls12, TestKey::kEcP256, kX25519, true},
};

[[maybe_unused]] const bool kRegistered = [] {
  for (const Kind& kind : kKinds) {
    const auto add = [&](const char* server, auto* function) {
      const std::string name = std::string("Handshake/") + kind.name + "/" + server;
      benchmark::RegisterBenchmark(name.c_str(), function, kind)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    };
    add("gateway", &Handshake<Gateway>);
    add("bare", &Handshake<Bare>);
  }
  return true;
}();

// A connected pair for records.
struct Pair {
  Pair(Gateway& server, uint16_t version) : connection(server) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    client = std::make_unique<TestClient>(options);
    std::string out;
    bool done = false;
    while (!done || !client->connected()) {
      Require(client->Step(), "client");
      const std::string in = std::exchange(client->output, {});
      if (!done) done = connection.Handshake(in, out);
      client->input += std::exchange(out, {});
    }
  }
  Gateway::Connection connection;
  std::unique_ptr<TestClient> client;
};

void RecordsIn(benchmark::State& state) {
  Gateway server(TestKey::kEcP256);
  Pair pair(server, kTls13);
  constexpr int kRecords = 64;
  const std::string plain(static_cast<size_t>(state.range(0)), 'x');
  std::vector<uint8_t> space(plain.size());
  for (auto _ : state) {
    for (int i = 0; i < kRecords; i++) pair.client->Write(plain);
    const std::string wire = std::exchange(pair.client->output, {});
    double seconds = 0;
    Timed(seconds, [&] {
      TlsSession::Io io{.in = Bytes(wire)};
      for (int i = 0; i < kRecords; i++) {
        size_t got = 0;
        pair.connection.session().Read(io, space, got);
        Require(got == plain.size(), "read");
      }
      return 0;
    });
    state.SetIterationTime(seconds);
  }
  state.SetBytesProcessed(state.iterations() * kRecords * static_cast<int64_t>(plain.size()));
}
BENCHMARK(RecordsIn)->Arg(64)->Arg(512)->Arg(4096)->Arg(16384)->UseManualTime();

void RecordsOut(benchmark::State& state) {
  Gateway server(TestKey::kEcP256);
  Pair pair(server, kTls13);
  const std::string plain(static_cast<size_t>(state.range(0)), 'x');
  std::vector<uint8_t> space(17920);
  for (auto _ : state) {
    TlsSession::Io io{.out = space};
    size_t taken = 0;
    pair.connection.session().Write(io, Bytes(plain), taken);
    Require(taken == plain.size(), "write");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(plain.size()));
}
BENCHMARK(RecordsOut)->Arg(64)->Arg(512)->Arg(4096)->Arg(16384);

// The heap of a server's session that has sent a line after its handshake and is now
// idle. The result is the counter, not the time.
void IdleSession(benchmark::State& state) {
  constexpr size_t kSessions = 1000;
  const auto version = static_cast<uint16_t>(state.range(0));
  Gateway server(TestKey::kEcP256);
  for (auto _ : state) {
    std::vector<TlsSession> idle(kSessions);
    const size_t before = mallinfo2().uordblks;
    for (TlsSession& session : idle) {
      Pair pair(server, version);
      std::string out;
      pair.connection.Write("250 ok", out);
      session = std::move(pair.connection.session());
    }
    state.counters["bytes_a_session"] =
        static_cast<double>(mallinfo2().uordblks - before) / kSessions;
  }
}
BENCHMARK(IdleSession)->Arg(kTls12)->Arg(kTls13)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace starling
