// TLS towards the servers of one backend: how to verify them, which certificate to
// present, and the sessions to resume. Each worker has one UpstreamTls per backend and
// uses it in its own thread only.
//
// Not for: a connection's state (tls_session.h). No OpenSSL type appears here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gateway/tls/credential_store.h"
#include "gateway/tls/trust_store.h"

namespace starling {

struct UpstreamTlsPolicy {
  bool verify = true;                             // false: accept any server
  std::shared_ptr<const TrustStore> trust;        // needed with `verify`
  std::string name;                               // the servers' host name or address
  bool own_names = false;                         // without `name`: each server has one of its own
  std::shared_ptr<const Credential> certificate;  // the gateway's own; may be null
};

// One of the servers.
struct UpstreamPeer {
  uint32_t server = 0;         // its index in the backend
  uint32_t occupant = 0;       // another one than before: another server has the index now
  std::string_view name = {};  // its own, as of UpstreamTlsPolicy::own_names
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
