// Trusted authorities and certificate revocation lists (RFC 5280). The gateway verifies
// the certificates of clients and of backends' servers against them.
//
// Not for: the gateway's own certificates (credential_store.h), or verifying (verify.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace starling {

// Immutable, shared by all workers.
class TrustStore {
 public:
  struct Impl;

  // `ca`: a PEM file of authorities, or a folder of such files. `crl`: a PEM file of
  // revocation lists, or empty for no check. With `crl`, verification looks up the
  // certificate itself, and each certificate above it whose issuer has a list. It fails
  // if a list has expired, or if the certificate's own issuer has no list. `depth`: the
  // largest number of certificates between the verified one and the authority. An error
  // begins with the path.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> Load(const std::string& ca,
                                                                const std::string& crl,
                                                                uint32_t depth);
  // The authorities that the operating system trusts.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> OfSystem();

  explicit TrustStore(std::unique_ptr<Impl> impl);
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  const Impl& impl() const { return *impl_; }
  // A digest of everything that a verification depends on, except the time.
  const std::string& digest() const;
  // Each begins with a path.
  const std::vector<std::string>& warnings() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
