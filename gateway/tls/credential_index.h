// Chooses the credentials to offer for a server name. Built once per listener policy and
// shared by the workers; a handshake costs one or two hash look-ups.
//
// A list is sorted by these rules, the first deciding: valid today before not; naming the
// host itself before covering it by a wildcard; ECDSA before Ed25519 before RSA; the
// configured order. Of each key type it keeps only the first. At the end come, for
// clients that support none of these keys, the first credential of each other kind of
// key. The TLS library takes the first of the list whose key the client supports.
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

  // The list for clients that name no host, and for unknown names where the policy allows
  // them: the credentials that share a name with the first one.
  static constexpr size_t kDefault = 0;

  // `now` (Unix seconds) decides which credentials are valid.
  CredentialIndex(Credentials credentials, int64_t now);

  // The number of the list for a lower-case `name`, which may end in a dot. nullopt if no
  // credential covers the name.
  std::optional<size_t> Find(std::string_view name) const;
  const List& At(size_t list) const { return lists_[list]; }

  bool empty() const { return credentials_.empty(); }
  const Credentials& credentials() const { return credentials_; }
  // The digest of all certificates and keys, in their order.
  const Sha256& digest() const { return digest_; }

 private:
  class Builder;

  Credentials credentials_;
  Sha256 digest_ = {};
  std::vector<List> lists_;
  // Keys point into the credentials' names. A wildcard's key lacks the asterisk:
  // ".example.org".
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace starling
