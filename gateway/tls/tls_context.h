// What a listener's TLS is: certificates, groups, suites, ALPN. Keys and chains
// are parsed once a process (CredentialStore) and shared; an SSL_CTX is made
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

namespace starling {

struct CertificateFiles {
  std::string cert;  // PEM: leaf first, then the chain
  std::string key;   // PEM
};

// What is known of a loaded certificate without asking the TLS library again.
struct CertificateInfo {
  std::string file;
  std::string names;       // SANs (or CN), comma-separated
  int64_t not_before = 0;  // Unix seconds
  int64_t not_after = 0;
  std::string key_type;               // "EC256", "RSA2048" ...
  std::vector<std::string> warnings;  // about to expire, world-readable key, weak ...
};

// One parsed key and chain; immutable, shared by all workers.
class Credential;

// Parses each pair once (keyed by content). Main thread only.
class CredentialStore {
 public:
  CredentialStore();
  ~CredentialStore();

  // An error names the file and what is wrong: unreadable, no PEM, key does not
  // match, expired, not yet valid, RSA below 2048 bits, unsupported key.
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const CertificateFiles& files);
  // The same with the files' content at hand; `names` is for messages only.
  absl::StatusOr<std::shared_ptr<const Credential>> LoadPem(const CertificateFiles& names,
                                                            std::string_view cert_pem,
                                                            std::string_view key_pem);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

const CertificateInfo& Info(const Credential& credential);

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
