// TLS towards the servers of a backend: whom to believe, what to show, and sessions
// to resume. One a worker and backend; used by that worker's thread only.
//
// Not for: a connection's state (tls_session.h). No OpenSSL type appears here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/tls/credential_store.h"
#include "gateway/tls/trust_store.h"

namespace starling {

struct UpstreamTlsPolicy {
  bool verify = true;                             // false: anybody may be the server
  std::shared_ptr<const TrustStore> trust;        // if servers are verified
  std::string name;                               // host name or address
  std::shared_ptr<const Credential> certificate;  // our own; may be null
};

class UpstreamTls {
 public:
  static absl::StatusOr<std::unique_ptr<UpstreamTls>> Create(const UpstreamTlsPolicy& policy,
                                                             size_t servers);
  ~UpstreamTls();
  UpstreamTls(const UpstreamTls&) = delete;
  UpstreamTls& operator=(const UpstreamTls&) = delete;

  struct Impl;
  Impl* impl() const { return impl_.get(); }

 private:
  UpstreamTls();
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
