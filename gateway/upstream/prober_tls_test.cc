// Tests probes inside TLS, against a server on loopback that speaks it.
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/credential_store.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"
#include "gateway/upstream/prober_testing.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

// One connection in TLS, blocking.
class TlsTalk {
 public:
  TlsTalk(TlsContext& context, int fd) : server_(context), fd_(fd) {}

  void Say(std::string_view text) {
    if (!server_.connected() && !Receive()) return;
    server_.Write(text);
    Flush();
  }
  std::string ReadLine() {
    while (server_.received.find('\n') == std::string::npos && Receive()) {
    }
    const size_t end = std::min(server_.received.find('\n'), server_.received.size());
    std::string line = server_.received.substr(0, end);
    server_.received.erase(0, end + 1);
    return line;
  }
  // True if the peer ended TLS before it ended the connection.
  bool EndsWhole() {
    while (Receive()) {
    }
    return closed_;
  }

 private:
  bool Receive() {
    const bool before = server_.connected();
    const size_t had = server_.received.size();
    do {
      char chunk[4096];
      const ssize_t n = recv(fd_, chunk, sizeof chunk, 0);
      if (n <= 0) return false;
      server_.input.append(chunk, static_cast<size_t>(n));
      closed_ = server_.Step() == TlsResult::kClosed;
      Flush();
      if (closed_) return false;
    } while (server_.connected() == before && server_.received.size() == had);
    return true;
  }
  void Flush() {
    const std::string out = std::exchange(server_.output, {});
    Write(fd_, out);
  }

  TestServer server_;
  int fd_;
  bool closed_ = false;
};

class ProberTlsTest : public testing::Test {
 protected:
  ProberTlsTest() {
    const TestCertificate made = MakeTestCertificate();
    TlsPolicy policy;
    policy.certificates = MakeCredentialIndex(
        {store_.LoadPem({"test.crt", "test.key"}, made.cert, made.key).value()});
    policy.tickets = MakeTicketKeys();
    context_ = std::move(TlsContext::Create(policy)).value();
  }
  void Begin(const FakeServer& server, ProbePlan plan) {
    BackendConfig config;
    config.servers.emplace_back(server.address());
    backends_ = std::make_unique<Backends>(std::vector<BackendConfig>{config});
    Prober::Options options;
    options.plans = {std::move(plan)};
    options.tls = {
        std::move(UpstreamTls::Create(
                      {.verify = false, .trust = nullptr, .name = {}, .certificate = {}}, 1))
            .value()};
    options.retry_ms = 1;
    options.on_news = changes_.callback();
    prober_ = std::make_unique<Prober>(*backends_, std::move(options));
    prober_->Start();
  }

  CredentialStore store_;
  std::unique_ptr<TlsContext> context_;
  Changes changes_;
  std::unique_ptr<Backends> backends_;
  std::unique_ptr<Prober> prober_;
};

TEST_F(ProberTlsTest, AsksInsideAndLeavesPolitely) {
  std::atomic<int> polite{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    TlsTalk talk(*context_, fd);
    talk.Say("HI\n");
    if (talk.ReadLine() != "ASK") return;
    talk.Say("CAPS 7\n");
    if (talk.ReadLine() == "BYE" && talk.EndsWhole()) ++polite;
  });
  Begin(server, {.protocol = &kGreets, .ask = true});
  Until([&] { return backends_->Capabilities(0) == 7; });
  Until([&] { return polite == 1; });
  EXPECT_TRUE(backends_->server(0).up());
}

// It accepts connections, and even TLS, and is no use to any session.
TEST_F(ProberTlsTest, AServerThatGreetsNobodyInsideIsDown) {
  std::atomic<int> fault{0};
  FakeServer server("127.0.0.1:0", [&](int fd) {
    TlsTalk talk(*context_, fd);
    if (fault == 0) return;                       // closes in the handshake
    if (fault == 1) Write(fd, "this is no TLS");  // answers in plaintext
    if (fault == 2) talk.Say("NO\n");             // refuses inside
    if (fault == 3) talk.Say("HI\n");
    ReadAll(fd);
  });
  for (; fault < 3; ++fault) {
    Begin(server, {.protocol = &kGreets});
    changes_.WaitFor(server.address().ToString() + " down");
    prober_.reset();
  }
  Begin(server, {.protocol = &kGreets});
  backends_->MarkDown(0);
  changes_.WaitFor(server.address().ToString() + " up");
}

}  // namespace
}  // namespace starling
