// The floor: the server's side of a TLS handshake by BoringSSL with nothing around
// it (memory BIOs, the library's defaults), and how a handshake in memory is timed.
//
// For benchmarks: what does not work aborts.
#pragma once

#include <openssl/ssl.h>
#include <time.h>

#include <memory>
#include <string>
#include <utility>

#include "gateway/tls/test_client.h"

namespace starling::bench {

// Prints `what` and aborts unless `ok`.
void Require(bool ok, const char* what);

class BareServer {
 public:
  // A chain of one certificate and its key, PEM.
  BareServer(const std::string& cert, const std::string& key);

  class Connection {
   public:
    explicit Connection(BareServer& server);
    // Takes octets of the client and puts what goes to it into `out`. True when
    // the handshake is done.
    bool Handshake(const std::string& in, std::string& out);
    void Write(const std::string& plain, std::string& out);

   private:
    void Drain(std::string& out);

    bssl::UniquePtr<SSL> ssl_;
    BIO* in_ = nullptr;  // both owned by ssl_
    BIO* out_ = nullptr;
  };

 private:
  bssl::UniquePtr<SSL_CTX> context_;
};

// CPU seconds of this thread.
inline double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Runs `call` and adds its time.
template <typename Call>
auto Timed(double& seconds, Call call) {
  const double start = CpuSeconds();
  auto result = call();
  seconds += CpuSeconds() - start;
  return result;
}

// One connection to `server` (BareServer, or one of the same shape) from its making
// to its end; returns the server's CPU seconds. The client, which runs between the
// server's calls, is not counted. `want_ticket` also gives the client its ticket.
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

}  // namespace starling::bench
