// The floor: the server's side of a TLS handshake by BoringSSL alone (memory BIOs, the
// library's defaults), and functions that time a handshake in memory.
//
// For benchmarks: any failure aborts.
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
  // One certificate and its key, PEM.
  BareServer(const std::string& cert, const std::string& key);

  class Connection {
   public:
    explicit Connection(BareServer& server);
    // Takes octets from the client and puts the octets for it into `out`. True when the
    // handshake is complete.
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

// CPU seconds that this thread has used.
inline double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Runs `call` and adds its CPU time to `seconds`.
template <typename Call>
auto Timed(double& seconds, Call call) {
  const double start = CpuSeconds();
  auto result = call();
  seconds += CpuSeconds() - start;
  return result;
}

// Makes one connection to `server` (a BareServer, or a class with the same interface) and
// ends it. Returns the server's CPU seconds, without those of the client, which runs
// between the server's calls. With `want_ticket`, the client also receives a ticket.
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
