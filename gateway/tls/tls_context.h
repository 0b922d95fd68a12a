// What a listener's TLS is: certificates, groups, suites, ALPN. Keys and chains
// are parsed once a process (credential_store.h) and shared; an SSL_CTX is made
// once a worker and listener policy (TlsContext).
//
// Not for: a connection's state (tls_session.h). No OpenSSL type appears here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/tls/credential_store.h"

namespace starling {

class TicketKeys;

struct TlsPolicy {
  std::vector<std::shared_ptr<const Credential>> credentials;  // first is the default
  std::string alpn = {};  // the protocol's identifier; empty: ALPN is not spoken
  std::shared_ptr<TicketKeys> tickets = nullptr;
};

// Ticket keys shared by the workers of a process, made at start.
std::shared_ptr<TicketKeys> MakeTicketKeys();

// One a worker and listener policy; used by that worker's thread only.
class TlsContext {
 public:
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(const TlsPolicy& policy);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  struct Impl;
  Impl* impl() const { return impl_.get(); }

 private:
  TlsContext();
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
