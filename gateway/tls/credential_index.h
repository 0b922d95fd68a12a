// Which credentials to offer for a server name. Made once for a listener policy
// and shared by the workers; a handshake costs one or two hash look-ups.
//
// A list holds the credentials that name the host itself, then those whose wildcard
// covers it, those valid today before others; then, for clients that can verify none
// of these keys, the first credential of each other kind of key. Of the same rank
// comes ECDSA before RSA, and else the configured order; only the first of each type
// of key is kept. The TLS library takes the first of a list that the client can
// verify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/tls/credential.h"

namespace starling {

// Immutable; any thread.
class CredentialIndex {
 public:
  using List = std::vector<const Credential*>;
  using Credentials = std::vector<std::shared_ptr<const Credential>>;

  // For clients that name no host, and for unknown names where that is allowed: what
  // serves the names of the first credential.
  static constexpr size_t kDefault = 0;

  // `now` (Unix seconds) decides which are valid.
  CredentialIndex(Credentials credentials, int64_t now);

  // The number of the list for a lower-case `name`, which may end in a dot. Nothing if
  // no credential is for it.
  std::optional<size_t> Find(std::string_view name) const;
  const List& At(size_t list) const { return lists_[list]; }

  bool empty() const { return credentials_.empty(); }
  const Credentials& credentials() const { return credentials_; }
  // Of all certificates and keys, in their order.
  const Sha256& digest() const { return digest_; }

 private:
  class Builder;

  Credentials credentials_;
  Sha256 digest_ = {};
  std::vector<List> lists_;
  // Into the credentials' names. Wildcards without their asterisk (".example.org").
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace starling
