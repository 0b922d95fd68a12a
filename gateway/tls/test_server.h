// A TlsSession with strings of ciphertext on both sides, fed in portions of any
// size, and what connects it to a TestClient or to another. For tests and benchmarks.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/tls/test_client.h"
#include "gateway/tls/tls_session.h"

namespace starling {

class TestServer {
 public:
  // `in_portion`: octets of input shown at once; `room`: output space a call, at
  // least 64 after the handshake since a record must fit.
  explicit TestServer(TlsContext& context, size_t in_portion = 16384, size_t room = 17920);
  // The same the other way round: the gateway as the client of a server.
  TestServer(UpstreamTls& upstream, uint32_t server);

  std::string input;     // ciphertext from the client, appended by the caller
  std::string output;    // ciphertext to the client, taken away by the caller
  std::string received;  // plaintext

  // Handshake, then reading, as far as `input` reaches. The last result.
  TlsResult Step();
  // Seals all of `plain` into `output`, however many calls that takes.
  TlsResult Write(std::string_view plain);
  TlsResult CloseNotify();

  bool connected() const { return connected_; }
  TlsSession& session() { return session_; }

 private:
  TestServer(size_t in_portion, size_t room);

  // Makes `call` with a view of input and output until it no longer wants room or
  // portions that are there.
  template <typename Call>
  TlsResult Run(Call call);

  TlsSession session_;
  size_t in_portion_;
  bool connected_ = false;
  std::string space_;
  std::string plain_;
};

// Carries octets between the two until neither has any more to say. True if both
// are connected.
bool Exchange(TestClient& client, TestServer& server);
// `client` is one of an UpstreamTls.
bool Exchange(TestServer& client, TestServer& server);

}  // namespace starling
