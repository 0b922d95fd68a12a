// The inside of an UpstreamTls: the library's context and the latest session of each
// server. For tls/ only.
#pragma once

#include <string>
#include <vector>

#include "gateway/tls/tls_engine.h"
#include "gateway/tls/upstream_tls.h"

namespace starling {

struct UpstreamTls::Impl : TlsEngine {
  Impl(const UpstreamTlsPolicy& from, size_t servers) : policy(from), sessions(servers) {}

  bool Init();
  // An SSL for `server`, ready for its handshake; null when memory ran out.
  bssl::UniquePtr<SSL> Begin(uint32_t server);
  // The slot that holds the latest session with the server of `ssl`.
  static bssl::UniquePtr<SSL_SESSION>& KeptFor(const SSL* ssl);

  const UpstreamTlsPolicy policy;
  bool name_is_address = false;
  // The latest session by server. Never resized: each SSL keeps the address of its slot.
  std::vector<bssl::UniquePtr<SSL_SESSION>> sessions;
};

}  // namespace starling
