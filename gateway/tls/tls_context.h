// A listener's TLS: certificates, groups, suites, ALPN, tickets, and which clients may
// connect. Keys and chains are parsed once per process (credential_store.h) and shared.
// Each worker makes one TlsContext, which holds an SSL_CTX, per listener policy.
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
#include "gateway/tls/tls_names.h"
#include "gateway/tls/trust_store.h"

namespace starling {

// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by the workers.
class TicketKeys;

// Random keys of this process. Every `period` seconds a new key seals; its predecessor
// still opens.
std::shared_ptr<TicketKeys> MakeTicketKeys(int64_t period = 8 * 3'600);

// Keys from a file that several gateways share, in the format of HAProxy's
// tls-ticket-keys: at least three lines with base64 of 48 or of 80 octets each. The first
// key seals; all of them open. An error names the file and the line, never the content.
struct TicketFile {
  std::shared_ptr<TicketKeys> keys;
  std::string digest;  // of the content
  bool world_readable = false;
};
absl::StatusOr<TicketFile> ReadTicketKeys(const std::string& file);

struct TicketKeysInfo {
  uint64_t generation = 0;  // counts the keys that have sealed so far
  int64_t since = 0;        // Unix seconds: when the current key began to seal; 0: not yet
  size_t keys = 0;          // how many keys open tickets
};
TicketKeysInfo InfoOf(TicketKeys& keys);
// `keys` come from the same file as `before` did earlier; they take over its generation
// and age.
void FollowTicketKeys(TicketKeys& keys, TicketKeys& before);

struct TlsPolicy {
  std::shared_ptr<const CredentialIndex> certificates;
  std::string alpn = {};         // the protocol's identifier (RFC 7301); empty: no ALPN
  std::string second_alpn = {};  // an alternative to `alpn`; may be empty
  bool alpn_strict = false;      // refuse clients that do not offer it
  bool sni_strict = false;       // refuse clients that name no host or an unknown one
  bool tls12 = true;             // false: TLS 1.3 only
  bool cbc = false;              // in TLS 1.2, allow ECDHE with AES-CBC as a last resort
  // Names from tls_names.h in order of preference; empty: the defaults.
  std::vector<std::string> ciphers = {};
  std::vector<std::string> groups = {};
  std::vector<std::string> signature_algorithms = {};
  ClientCertificateMode client_certificate = ClientCertificateMode::kNone;
  std::shared_ptr<const TrustStore> client_trust = nullptr;  // needed unless kNone
  std::shared_ptr<TicketKeys> tickets = nullptr;
};

// Each worker has one per listener policy and uses it in its own thread only.
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
