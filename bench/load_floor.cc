// `load floor`: what a handshake costs the server's side when BoringSSL does it in
// memory and nothing else is done, as a measure for what a gateway adds.
#include <cstdio>
#include <string>

#include "bench/bare_handshake.h"
#include "bench/load_options.h"
#include "bench/usage.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"

namespace starling::bench {

namespace {

// Mean CPU of handshakes until `seconds` are over, in microseconds.
double MeanHandshake(BareServer& server, const TestClientOptions& options, double seconds) {
  const double end = Now() + seconds;
  double used = 0;
  size_t count = 0;
  while (Now() < end) {
    TestClient client(options);
    used += Connect(server, client, false);
    ++count;
  }
  return used / static_cast<double>(count) * 1e6;
}

}  // namespace

int RunFloor(const LoadOptions& options) {
  const TestCertificate made = MakeTestCertificate({.key = TestKey::kEcP256});
  BareServer server(made.cert, made.key);
  TestClientOptions client_options;
  client_options.min_version = 0x0304;
  client_options.groups = {SSL_GROUP_X25519};
  MeanHandshake(server, client_options, options.warm_up);
  std::printf("full_us=%.2f\n", MeanHandshake(server, client_options, options.seconds));

  TestClient first(client_options);
  Connect(server, first, true);
  client_options.session = first.session();
  Require(client_options.session != nullptr, "ticket");
  std::printf("resumed_us=%.2f\n", MeanHandshake(server, client_options, options.seconds));
  return 0;
}

}  // namespace starling::bench
