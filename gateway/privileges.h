// The process's rights: which user it is, what it keeps, what is switched off
// for good. Called by the main thread before any other thread exists, since
// capabilities and no_new_privs belong to threads and are inherited.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace starling {

// Becomes `user` (and `group`, by default the user's own), keeping only
// CAP_NET_BIND_SERVICE, so that a reload can open ports below 1024 and a
// successor can join the group of sockets. Empty `user`: stays who it is.
absl::Status ChangeUser(const std::string& user, const std::string& group);

// no_new_privs; no core dumps and no ptrace by others of the same user, since
// memory holds keys and mail.
absl::Status Harden();

}  // namespace starling
