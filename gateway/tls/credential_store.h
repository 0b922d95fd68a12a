// Finds certificates and their keys in files and folders, checks them, parses each only
// once per process, and shares them among listeners, workers and configurations.
//
// Not for: what a listener does with them (tls_context.h), or verifying the certificates
// of clients and servers (trust_store.h). No OpenSSL type appears here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace starling {

// Where certificates come from. Exactly one form is set: `cert` and `key`, `pem`, or
// `folder`. Certificate and key files are PEM of at most 1 MiB; OCSP responses are DER of
// at most 64 KiB.
struct CertificateSource {
  std::string cert = {};  // leaf, then its chain
  std::string key = {};
  // OCSP response (RFC 6960) for `cert`. Empty: the file `cert` + ".ocsp", or `cert`
  // without its extension + ".ocsp", if it exists.
  std::string ocsp = {};
  // Key and chain in one file; the OCSP response is the file `pem` + ".ocsp", if it
  // exists.
  std::string pem = {};
  // A folder that holds, itself or in its direct subfolders: tls.crt with tls.key,
  // fullchain.pem with privkey.pem, fullchain.cer with NAME.key, NAME.crt with NAME.key,
  // NAME.pem with NAME.key, or NAME.pem that includes the key. Names that begin with a
  // dot are skipped.
  std::string folder = {};

  bool operator==(const CertificateSource&) const = default;
};

// Facts about a loaded certificate, for log and metrics.
struct CertificateInfo {
  enum class Ocsp : uint8_t {
    kNone,     // no response, or the responder does not know the certificate
    kGood,     // sent to clients that ask for it
    kStale,    // expired or not yet valid: not sent
    kRevoked,  // not sent
  };

  std::string file;        // path of the certificate
  std::string names;       // SANs (or CN), comma-separated
  int64_t not_before = 0;  // Unix seconds
  int64_t not_after = 0;
  std::string key_type;  // "EC256", "RSA2048", "ED25519" ...
  // Common names of the chain as it is sent: "mail.example.org <- R3 <- (ISRG Root X1)".
  // An issuer in parentheses is not sent.
  std::string chain;
  bool must_staple = false;  // RFC 7633
  Ocsp ocsp = Ocsp::kNone;
  int64_t ocsp_next_update = 0;       // Unix seconds; 0: unknown
  std::vector<std::string> warnings;  // each begins with a path
};

// One parsed key and chain. Immutable; all workers share it.
class Credential;

const CertificateInfo& Info(const Credential& credential);
// Unix seconds: when the credential changes next because a date passes (it becomes valid,
// expires, or its OCSP response does); 0: never.
int64_t NextDate(const Credential& credential);
// The credential without its OCSP response if that has expired since it was loaded,
// otherwise the credential itself. For use when the files cannot be loaded again.
std::shared_ptr<const Credential> WithoutStaleResponse(
    const std::shared_ptr<const Credential>& credential);

// Credentials by server name. Immutable; all workers share the index of a listener
// policy.
class CredentialIndex;

// Clients that name no host get the first of `credentials`.
std::shared_ptr<const CredentialIndex> MakeCredentialIndex(
    std::vector<std::shared_ptr<const Credential>> credentials);

const std::vector<std::shared_ptr<const Credential>>& CredentialsOf(const CredentialIndex& index);

// The result of loading a list of sources.
struct CertificateSet {
  std::vector<std::shared_ptr<const Credential>> credentials;  // in order, without duplicates
  std::vector<std::string> errors;                             // each begins with a path
  std::vector<std::string> notes;  // such as files in folders that are not certificates
  // Unix seconds: when to load again because a date passes (a response or a certificate
  // expires, or becomes valid) although no file changes. 0: never.
  int64_t reload_at = 0;
};

// The files and folders whose change can change what `source` gives, including files that
// do not exist yet.
std::vector<std::string> PathsOf(const CertificateSource& source);

// Parses each file content once and hands out the same credential as long as anybody
// holds it. Each load checks dates and file modes again, so loading again detects an
// expired response. Main thread only.
class CredentialStore {
 public:
  CredentialStore();
  ~CredentialStore();

  // Loads everything that can be loaded and reports an error for each source that cannot:
  // an unreadable file, missing or damaged PEM, a key that does not match, an unsupported
  // key, RSA below 2048 bits, an OCSP response that is damaged or about another
  // certificate, must-staple without a response, a folder without certificates, more than
  // `max_certificates`. An expired certificate only causes a warning, so that it does not
  // keep the gateway from serving the others.
  CertificateSet LoadAll(std::span<const CertificateSource> sources, size_t max_certificates);

  // Loads one source that is not a folder.
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const CertificateSource& source);
  // The same from the given contents, without an OCSP response. The names in `source`
  // appear in messages only.
  absl::StatusOr<std::shared_ptr<const Credential>> LoadPem(const CertificateSource& source,
                                                            std::string_view cert_pem,
                                                            std::string_view key_pem);

  // The number of remembered contents, including those no longer in use. For tests.
  size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
