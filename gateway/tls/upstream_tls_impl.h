// The inside of an UpstreamTls: the library's context and the latest session of each
// server. For tls/ only.
#pragma once

#include <string>
#include <vector>

#include "gateway/tls/tls_engine.h"
#include "gateway/tls/upstream_tls.h"

namespace starling {

struct UpstreamTls::Impl : TlsEngine {
  // What is kept of one server.
  struct Kept {
    bssl::UniquePtr<SSL_SESSION> session;  // the latest one
    uint32_t occupant = 0;
    std::string name;
    bool name_is_address = false;
  };

  Impl(const UpstreamTlsPolicy& from, size_t servers);

  bool Init();
  // What is kept of this server, and of no other that had its index before.
  Kept& For(const UpstreamPeer& peer);
  // An SSL for the server, ready for its handshake; null when memory ran out.
  bssl::UniquePtr<SSL> Begin(Kept& server);
  // What is kept of the server of `ssl`.
  static Kept& KeptFor(const SSL* ssl);

  const UpstreamTlsPolicy policy;
  // By server. Never resized: each SSL keeps the address of its element.
  std::vector<Kept> kept;
};

}  // namespace starling
