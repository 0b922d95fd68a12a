// Which credentials to offer for a server name. Built once a context; a
// handshake costs one or two hash look-ups.
//
// A list holds, in the configured order, the credentials that name the host
// itself, then those whose wildcard covers it, then, for clients that can verify
// none of these keys, the first credential of each other kind of key. The TLS
// library takes the first of a list that the client can verify.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/tls/credential.h"

namespace starling {

class CredentialIndex {
 public:
  using List = std::vector<const Credential*>;

  // `credentials` is not empty; the list for unknown or absent names begins with
  // its first one. The credentials outlive the index.
  explicit CredentialIndex(const std::vector<std::shared_ptr<const Credential>>& credentials);

  // The number of the list for a lower-case `name`; 0 is the default's.
  size_t Find(std::string_view name) const;
  const List& At(size_t list) const { return lists_[list]; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  size_t Intern(List list);

  std::vector<List> lists_;
  // Exact names as they are; wildcards without their asterisk (".example.org").
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> by_name_;
};

}  // namespace starling
