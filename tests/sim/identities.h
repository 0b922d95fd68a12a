// The certificates of a simulated run: the gateway's, those of servers with TLS, and the
// authorities that the gateway trusts for them.
#pragma once

#include <memory>

#include "gateway/tls/credential.h"
#include "gateway/tls/trust_store.h"

namespace starling::sim {

inline constexpr const char* kServerName = "backend.sim";

struct Identities {
  std::shared_ptr<const Credential> gateway;
  std::shared_ptr<const Credential> server;    // for kServerName, by an authority in `trust`
  std::shared_ptr<const Credential> stranger;  // for the same name, by another authority
  std::shared_ptr<const TrustStore> trust;
};

// Made once per process and shared by all runs. Do not make them within a run: making
// keys uses the generator that the run depends on.
const Identities& TheIdentities();

}  // namespace starling::sim
