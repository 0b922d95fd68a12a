// What TLS costs on the server's side, in memory: handshakes and records through
// TlsSession, and beside them the same handshakes by BoringSSL with nothing around
// it (memory BIOs, its own defaults). Times are of the server's calls only; the
// client runs between them and is not counted.
#include <benchmark/benchmark.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_session.h"

namespace starling {
namespace {

constexpr uint16_t kTls12 = 0x0303, kTls13 = 0x0304;
constexpr uint16_t kHybrid = 0x11ec, kX25519 = 29;

void Require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "tls_bench: %s\n", what);
  std::abort();
}

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

const TestCertificate& Certificate(TestKey key) {
  static const TestCertificate ec = MakeTestCertificate({.key = TestKey::kEcP256});
  static const TestCertificate rsa = MakeTestCertificate({.key = TestKey::kRsa2048});
  return key == TestKey::kEcP256 ? ec : rsa;
}

// The gateway's own way.
class Gateway {
 public:
  explicit Gateway(TestKey key) {
    CredentialStore store;
    const TestCertificate& made = Certificate(key);
    auto credential = store.LoadPem({"bench.crt", "bench.key"}, made.cert, made.key);
    Require(credential.ok(), "credential");
    auto context = TlsContext::Create({{*credential}, ""}, MakeTicketKeys());
    Require(context.ok(), "context");
    context_ = *std::move(context);
  }

  class Connection {
   public:
    explicit Connection(Gateway& server) : out_(17920) {
      Require(session_.Start(*server.context_), "session");
    }
    // True when the handshake is done.
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

// The floor: the library alone.
class Bare {
 public:
  explicit Bare(TestKey key) : ctx_(SSL_CTX_new(TLS_with_buffers_method())) {
    const TestCertificate& made = Certificate(key);
    bssl::UniquePtr<BIO> cert_pem(BIO_new_mem_buf(made.cert.data(), made.cert.size()));
    bssl::UniquePtr<BIO> key_pem(BIO_new_mem_buf(made.key.data(), made.key.size()));
    bssl::UniquePtr<X509> cert(PEM_read_bio_X509(cert_pem.get(), nullptr, nullptr, nullptr));
    bssl::UniquePtr<EVP_PKEY> pkey(
        PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
    uint8_t* der = nullptr;
    const int size = i2d_X509(cert.get(), &der);
    bssl::UniquePtr<CRYPTO_BUFFER> leaf(CRYPTO_BUFFER_new(der, size, nullptr));
    OPENSSL_free(der);
    CRYPTO_BUFFER* chain[] = {leaf.get()};
    Require(SSL_CTX_set_chain_and_key(ctx_.get(), chain, 1, pkey.get(), nullptr), "bare key");
    SSL_CTX_set_num_tickets(ctx_.get(), 1);
    SSL_CTX_set_session_cache_mode(ctx_.get(), SSL_SESS_CACHE_OFF);
  }

  class Connection {
   public:
    explicit Connection(Bare& server) : ssl_(SSL_new(server.ctx_.get())) {
      in_ = BIO_new(BIO_s_mem());
      out_ = BIO_new(BIO_s_mem());
      BIO_set_mem_eof_return(in_, -1);
      SSL_set_bio(ssl_.get(), in_, out_);
      SSL_set_accept_state(ssl_.get());
    }
    bool Handshake(const std::string& in, std::string& out) {
      BIO_write(in_, in.data(), static_cast<int>(in.size()));
      const int ret = SSL_do_handshake(ssl_.get());
      Require(ret == 1 || SSL_get_error(ssl_.get(), ret) == SSL_ERROR_WANT_READ, "bare handshake");
      Drain(out);
      return ret == 1;
    }
    void Write(const std::string& plain, std::string& out) {
      Require(SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())) > 0,
              "bare write");
      Drain(out);
    }

   private:
    void Drain(std::string& out) {
      const uint8_t* data = nullptr;
      size_t size = 0;
      BIO_mem_contents(out_, &data, &size);
      out.assign(reinterpret_cast<const char*>(data), size);
      BIO_reset(out_);
    }
    bssl::UniquePtr<SSL> ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
  };

 private:
  bssl::UniquePtr<SSL_CTX> ctx_;
};

// Runs `call` and adds its time.
template <typename Call>
auto Timed(double& seconds, Call call) {
  const auto start = std::chrono::steady_clock::now();
  auto result = call();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

// One connection from its making to its end; the server's seconds.
template <typename Server>
double Connect(Server& server, TestClient& client, bool want_ticket) {
  double seconds = 0;
  auto connection =
      Timed(seconds, [&] { return std::make_unique<typename Server::Connection>(server); });
  std::string out;
  bool done = false;
  while (!done || !client.connected()) {
    Require(client.Step(), "client");
    const std::string in = std::exchange(client.output, {});
    if (!done) done = Timed(seconds, [&] { return connection->Handshake(in, out); });
    client.input += std::exchange(out, {});
  }
  if (want_ticket) {
    connection->Write("x", out);
    client.input += out;
    Require(client.Step(), "client");
  }
  Timed(seconds, [&] {
    connection.reset();
    return 0;
  });
  return seconds;
}

template <typename Server>
void Handshake(benchmark::State& state, uint16_t version, TestKey key, uint16_t group,
               bool resumed) {
  Server server(key);
  TestClientOptions options;
  options.min_version = options.max_version = version;
  options.groups = {group};
  if (resumed) {
    TestClient first(options);
    Connect(server, first, true);
    options.session = first.session();
    Require(options.session != nullptr, "ticket");
  }
  for (auto _ : state) {
    TestClient client(options);
    state.SetIterationTime(Connect(server, client, false));
    Require(client.resumed() == resumed, "resumption");
  }
}

#define HANDSHAKE(name, ...)                \
  HANDSHAKE_OF(Gateway, name, __VA_ARGS__); \
  HANDSHAKE_OF(Bare, name, __VA_ARGS__)
#define HANDSHAKE_OF(server, name, ...)                   \
  BENCHMARK_CAPTURE(Handshake<server>, name, __VA_ARGS__) \
      ->UseManualTime()                                   \
      ->Unit(benchmark::kMicrosecond)

HANDSHAKE(tls13_ecdsa_x25519, kTls13, TestKey::kEcP256, kX25519, false);
HANDSHAKE(tls13_ecdsa_x25519mlkem768, kTls13, TestKey::kEcP256, kHybrid, false);
HANDSHAKE(tls13_rsa2048_x25519, kTls13, TestKey::kRsa2048, kX25519, false);
HANDSHAKE(tls13_resumed_x25519, kTls13, TestKey::kEcP256, kX25519, true);
HANDSHAKE(tls12_ecdsa_x25519, kTls12, TestKey::kEcP256, kX25519, false);
HANDSHAKE(tls12_resumed, kTls12, TestKey::kEcP256, kX25519, true);

// A connected pair for records.
struct Pair {
  explicit Pair(uint16_t version) : server(TestKey::kEcP256), connection(server) {
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
  Gateway server;
  Gateway::Connection connection;
  std::unique_ptr<TestClient> client;
};

void RecordsIn(benchmark::State& state) {
  Pair pair(kTls13);
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
BENCHMARK(RecordsIn)->Arg(512)->Arg(16384)->UseManualTime();

void RecordsOut(benchmark::State& state) {
  Pair pair(kTls13);
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
BENCHMARK(RecordsOut)->Arg(512)->Arg(16384);

}  // namespace
}  // namespace starling
