// `load floor`: the server's cost of a handshake when BoringSSL alone does it in memory,
// to compare with a gateway's.
#include <cstdio>
#include <string>

#include "bench/bare_handshake.h"
#include "bench/load_options.h"
#include "bench/usage.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"

namespace starling::bench {

namespace {

// The mean CPU time of handshakes in microseconds, measured for `seconds`.
double MeanHandshake(BareServer& server, const TestClientOptions& options, double seconds) {
  const double end = Now() + seconds;
  double used = 0;
  size_t count = 0;
  while (Now() < end) {
    TestClient client(options);
    used += Connect(server, client, false);
    Require(client.version() == options.max_version && client.group() == options.groups[0] &&
                client.resumed() == (options.session != nullptr),
            "the handshake negotiated other parameters than requested");
    ++count;
  }
  return used / static_cast<double>(count) * 1e6;
}

TestClientOptions ClientOptions(const LoadOptions& options) {
  TestClientOptions result;
  result.min_version = result.max_version = options.tls;
  result.groups = {options.group};
  // In TLS 1.2 the list of groups also restricts the curves of certificates.
  if (options.tls == TLS1_2_VERSION) result.groups.push_back(SSL_GROUP_SECP256R1);
  result.tls13_ciphers = {SSL_CIPHER_AES_128_GCM_SHA256};
  result.tls12_ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
  return result;
}

}  // namespace

int RunFloor(const LoadOptions& options) {
  const TestKey key = options.key == Key::kRsa ? TestKey::kRsa2048 : TestKey::kEcP256;
  const TestCertificate made = MakeTestCertificate({.key = key});
  BareServer server(made.cert, made.key);
  TestClientOptions client_options = ClientOptions(options);
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
