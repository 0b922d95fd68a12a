// What a listener's TLS is: certificates, groups, suites, ALPN, tickets, who may
// come. Keys and chains are parsed once a process (credential_store.h) and shared; an
// SSL_CTX is made once a worker and listener policy (TlsContext).
//
// Not for: a connection's state (tls_session.h). No OpenSSL type appears here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/tls/credential_store.h"
#include "gateway/tls/trust_store.h"

namespace starling {

// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by the workers.
class TicketKeys;

// Random keys of the process's own; a new one seals every `period` seconds, and the
// one before still opens.
std::shared_ptr<TicketKeys> MakeTicketKeys(int64_t period = 8 * 3'600);

// Keys of a file that gateways share, in the format of HAProxy's tls-ticket-keys:
// base64 of 48 or of 80 octets a line, at least three lines. The first one seals, all
// open. An error names file and line, never the content.
struct TicketFile {
  std::shared_ptr<TicketKeys> keys;
  std::string digest;  // of the content
  bool world_readable = false;
};
absl::StatusOr<TicketFile> ReadTicketKeys(const std::string& file);

struct TicketKeysInfo {
  uint64_t generation = 0;  // how many keys have sealed so far
  int64_t since = 0;        // Unix seconds: when this one began to; 0: none has
  size_t keys = 0;          // that open
};
TicketKeysInfo InfoOf(TicketKeys& keys);
// `keys` are of a file that `before` were read from earlier, and take over what is known
// of them.
void FollowTicketKeys(TicketKeys& keys, TicketKeys& before);

enum class ClientCertificateMode : uint8_t { kNone, kOptional, kRequire };

struct TlsPolicy {
  std::shared_ptr<const CredentialIndex> certificates;
  std::string alpn = {};         // the protocol's identifier; empty: ALPN is not spoken
  std::string second_alpn = {};  // taken as well
  bool alpn_strict = false;      // who does not ask for it is refused
  bool sni_strict = false;       // who asks for no name, or an unknown one, is refused
  bool tls12 = true;             // false: TLS 1.3 only
  bool cbc = false;              // in TLS 1.2, behind all others, ECDHE with AES-CBC as well
  // Names of tls_names.h in the server's order; empty: the defaults.
  std::vector<std::string> ciphers = {};
  std::vector<std::string> groups = {};
  std::vector<std::string> signature_algorithms = {};
  ClientCertificateMode client_certificate = ClientCertificateMode::kNone;
  std::shared_ptr<const TrustStore> client_trust = nullptr;  // unless kNone
  std::shared_ptr<TicketKeys> tickets = nullptr;
};

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
