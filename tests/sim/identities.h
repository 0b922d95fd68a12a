// Certificates of a simulated run: the gateway's, those of the servers that are
// reached by TLS, and whom the gateway believes about them.
#pragma once

#include <memory>

#include "gateway/tls/credential.h"
#include "gateway/tls/trust_store.h"

namespace starling::sim {

inline constexpr const char* kServerName = "backend.sim";

struct Identities {
  std::shared_ptr<const Credential> gateway;
  std::shared_ptr<const Credential> server;    // of kServerName, by an authority of `trust`
  std::shared_ptr<const Credential> stranger;  // by another, of the same name
  std::shared_ptr<const TrustStore> trust;
};

// Made once a process; every run uses the same. Not to be made within a run: keys take
// from the generator that a run depends on.
const Identities& TheIdentities();

}  // namespace starling::sim
