// A TlsSession with ciphertext in strings, fed in portions of any size, and functions
// that connect it to a TestClient or to another TestServer. For tests and benchmarks.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/tls/test_client.h"
#include "gateway/tls/tls_session.h"

namespace starling {

class TestServer {
 public:
  // `in_portion`: the octets of input per call. `room`: the output space per call; after
  // the handshake at least 64, because a record must fit.
  explicit TestServer(TlsContext& context, size_t in_portion = 16384, size_t room = 17920);
  // The other direction: the gateway as the client of a server.
  TestServer(UpstreamTls& upstream, uint32_t server);
  TestServer(UpstreamTls& upstream, const UpstreamPeer& peer);

  std::string input;     // ciphertext from the peer; the caller appends
  std::string output;    // ciphertext to the peer; the caller removes
  std::string received;  // plaintext

  // Continues the handshake, then reads, as far as `input` reaches. Returns the last
  // result.
  TlsResult Step();
  // Seals all of `plain` into `output`, in as many calls as it takes.
  TlsResult Write(std::string_view plain);
  TlsResult CloseNotify();

  bool connected() const { return connected_; }
  TlsSession& session() { return session_; }

 private:
  TestServer(size_t in_portion, size_t room);

  // Repeats `call` with a view of input and output as long as it asks for room or for
  // input that is there.
  template <typename Call>
  TlsResult Run(Call call);

  TlsSession session_;
  size_t in_portion_;
  bool connected_ = false;
  std::string space_;
  std::string plain_;
};

// Carries octets between the two until both are silent. True if both are connected.
bool Exchange(TestClient& client, TestServer& server);
// `client` was made from an UpstreamTls.
bool Exchange(TestServer& client, TestServer& server);

}  // namespace starling
