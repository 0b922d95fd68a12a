// What a configuration's TLS is made of, read from its files: certificates, ticket
// keys, authorities and revocation lists, as policies for the contexts of tls/. For
// start, -t, reload, and when a file has changed.
//
// Not for: noticing changes (watch/), or what a worker makes of it (session/).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/upstream_tls.h"

namespace starling {

struct TlsAssets {
  // Ticket keys of a file.
  struct TicketSource {
    std::string file;
    std::shared_ptr<TicketKeys> keys;
    std::string digest;
  };

  std::vector<TlsPolicy> policies;                             // those that differ
  std::vector<uint32_t> policy_of;                             // by listener
  std::vector<std::optional<UpstreamTlsPolicy>> upstream;      // by backend
  std::vector<std::shared_ptr<const Credential>> credentials;  // all, each once
  std::vector<TicketSource> tickets;
  std::vector<std::string> trust;     // digests, in the order of their files
  std::vector<std::string> errors;    // each begins with a path
  std::vector<std::string> warnings;  // the same
  std::vector<std::string> notes;     // the same: what was passed over
  std::vector<std::string> paths;     // files and folders that a change of matters

  // Unix seconds: when dates alone make the same files another thing; 0: never.
  int64_t reload_at = 0;

  bool ok() const { return errors.empty(); }
  // Whether sessions would notice no difference; of the same configuration.
  bool SameAs(const TlsAssets& other) const;
};

// What is left of `assets` where OCSP responses have run out since: all but those.
TlsAssets WithoutStaleResponses(const TlsAssets& assets);

// Main thread. `own_tickets` are the keys of listeners without a file.
TlsAssets LoadTlsAssets(const Config& config, CredentialStore& store,
                        const std::shared_ptr<TicketKeys>& own_tickets);

}  // namespace starling
