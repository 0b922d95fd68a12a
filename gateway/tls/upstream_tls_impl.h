// What an UpstreamTls is made of. For tls/ only.
#pragma once

#include <string>
#include <vector>

#include "gateway/tls/tls_engine.h"
#include "gateway/tls/upstream_tls.h"

namespace starling {

struct UpstreamTls::Impl : TlsEngine {
  Impl(const UpstreamTlsPolicy& from, size_t servers) : policy(from), sessions(servers) {}

  bool Init();
  // An SSL for `server`, ready to begin; null on lack of memory.
  bssl::UniquePtr<SSL> Begin(uint32_t server);
  // Where the latest session with the server of `ssl` is kept.
  static bssl::UniquePtr<SSL_SESSION>& KeptFor(const SSL* ssl);

  const UpstreamTlsPolicy policy;
  bool name_is_address = false;
  // By server: the latest. Never grows, since each SSL has the address of one.
  std::vector<bssl::UniquePtr<SSL_SESSION>> sessions;
};

}  // namespace starling
