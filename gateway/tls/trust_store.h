// Whom to believe: authorities and lists of revoked certificates that the
// certificates of clients, or of servers behind us, are verified against (RFC 5280).
//
// Not for: our own certificates (credential_store.h).
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
  // revocation lists, or empty; with it the certificate itself is looked up, and those
  // above it where their issuers have a list. A list that is out of date fails
  // verification, and so does a missing one of the certificate's issuer. `depth`:
  // certificates between the one verified and the authority. An error begins with the
  // path.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> Load(const std::string& ca,
                                                                const std::string& crl,
                                                                uint32_t depth);
  // What the operating system trusts.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> OfSystem();

  explicit TrustStore(std::unique_ptr<Impl> impl);
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  const Impl& impl() const { return *impl_; }
  // Of everything that a verification depends on, but the day.
  const std::string& digest() const;
  // Each begins with a path.
  const std::vector<std::string>& warnings() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
