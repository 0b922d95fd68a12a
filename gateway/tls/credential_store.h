// Certificates and their keys: found in files and folders, checked, parsed once
// a process and shared by listeners, workers and generations.
//
// Not for: what a listener does with them (tls_context.h), certificates of others
// (those are only verified). No OpenSSL type appears here.
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

// Where certificates come from. Exactly one form is set: cert and key, pem, or
// folder. Files are PEM of at most 1 MiB; responses DER of at most 64 KiB.
struct CertificateSource {
  std::string cert = {};  // leaf, then its chain
  std::string key = {};
  // OCSP response (RFC 6960) for `cert`. Empty: cert + ".ocsp", or cert without its
  // extension + ".ocsp", where there is one.
  std::string ocsp = {};
  // Key and chain in one file; its response is pem + ".ocsp", where there is one.
  std::string pem = {};
  // A folder of these and its subfolders of one level: tls.crt with tls.key,
  // fullchain.pem with privkey.pem, fullchain.cer with NAME.key, NAME.crt with
  // NAME.key, NAME.pem with NAME.key or with the key in itself. Names that begin with
  // a dot are skipped.
  std::string folder = {};

  bool operator==(const CertificateSource&) const = default;
};

// What is known of a loaded certificate without asking the TLS library again.
struct CertificateInfo {
  enum class Ocsp : uint8_t {
    kNone,     // no response, or one that knows nothing of the certificate
    kGood,     // sent to clients that ask
    kStale,    // out of date or not yet valid: not sent
    kRevoked,  // not sent
  };

  std::string file;        // of the certificate
  std::string names;       // SANs (or CN), comma-separated
  int64_t not_before = 0;  // Unix seconds
  int64_t not_after = 0;
  std::string key_type;  // "EC256", "RSA2048", "ED25519" ...
  // Common names for people, as sent: "mail.example.org <- R3 <- (ISRG Root X1)". In
  // parentheses stands an issuer that is not sent.
  std::string chain;
  bool must_staple = false;  // RFC 7633
  Ocsp ocsp = Ocsp::kNone;
  int64_t ocsp_next_update = 0;       // Unix seconds; 0: unknown
  std::vector<std::string> warnings;  // each begins with a path
};

// One parsed key and chain; immutable, shared by all workers.
class Credential;

const CertificateInfo& Info(const Credential& credential);
// Unix seconds: the next day, after now, on which its dates make it another; 0: none.
int64_t NextDate(const Credential& credential);
// Itself, or the same without the OCSP response that has run out since it was loaded:
// for when files cannot be loaded anew.
std::shared_ptr<const Credential> WithoutStaleResponse(
    const std::shared_ptr<const Credential>& credential);

// Credentials by server name, to be shared by all workers of a listener policy.
class CredentialIndex;

// The first of `credentials` is for clients that name no host.
std::shared_ptr<const CredentialIndex> MakeCredentialIndex(
    std::vector<std::shared_ptr<const Credential>> credentials);

const std::vector<std::shared_ptr<const Credential>>& CredentialsOf(const CredentialIndex& index);

// What a list of sources gave.
struct CertificateSet {
  std::vector<std::shared_ptr<const Credential>> credentials;  // in order, none twice
  std::vector<std::string> errors;                             // each begins with a path
  std::vector<std::string> notes;  // files of folders that are no certificates, and the like
  // Unix seconds: when dates alone make another set of the same files (a response gets
  // stale, a certificate expires or begins to be valid). 0: never.
  int64_t reload_at = 0;
};

// The files and the folder that a change of may change what the source gives, those
// included that are not there.
std::vector<std::string> PathsOf(const CertificateSource& source);

// Parses each content once and hands out the same credential for as long as anybody
// holds it. What is not the content's (dates, file modes) is judged at each load, so a
// response is found stale by loading again. Main thread only.
class CredentialStore {
 public:
  CredentialStore();
  ~CredentialStore();

  // All that can be loaded, and an error for each that cannot. Errors: unreadable, no
  // or damaged PEM, key of another certificate, unsupported key, RSA below 2048 bits,
  // damaged response or one of another certificate, must-staple without a response,
  // a folder without certificates, more than `max_certificates`. A certificate that has
  // expired is only warned of: it must not keep the others from being served.
  CertificateSet LoadAll(std::span<const CertificateSource> sources, size_t max_certificates);

  // One source that is not a folder.
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const CertificateSource& source);
  // The same with the content of cert and key at hand and no response; the names in
  // `source` are for messages only.
  absl::StatusOr<std::shared_ptr<const Credential>> LoadPem(const CertificateSource& source,
                                                            std::string_view cert_pem,
                                                            std::string_view key_pem);

  // Contents remembered, those no longer in use included: for tests.
  size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
