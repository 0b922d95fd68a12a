// What a configuration is for one worker: listeners with their TLS, backends. A
// session belongs to the generation it began with, and keeps it; new sessions
// begin with the newest.
//
// Made by the main thread, then the worker's alone, without atomics, until its
// last user is gone; the worker hands it back, and the main thread frees it.
//
// Not for: sockets (worker/), or where keys and certificates come from (tls/).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/config/config.h"
#include "gateway/metrics/metrics.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/upstream_tls.h"
#include "gateway/upstream/upstream.h"

namespace starling {

class Generation;

// A listener as this worker uses it.
struct ListenerRuntime {
  const ListenerConfig* config = nullptr;
  Generation* generation = nullptr;
  Backends* backends = nullptr;  // of the same configuration
  ListenerId id = 0;             // of its name, for the life of the process
  TlsContext* tls = nullptr;
  uint32_t cursor = 0;  // round robin over its backend's servers
  uint32_t plaintext_cursor = 0;
};

// The same for all workers; everything in it is shared and not changed any more.
struct Blueprint {
  uint64_t number = 0;
  std::shared_ptr<const Config> config;
  std::shared_ptr<Backends> backends;
  std::vector<ListenerId> ids;                             // by listener
  std::vector<TlsPolicy> policies;                         // those that differ
  std::vector<uint32_t> policy_of;                         // by listener
  std::vector<std::optional<UpstreamTlsPolicy>> upstream;  // by backend
};

class Generation {
 public:
  // One SSL_CTX a policy. An error names the listener.
  static absl::StatusOr<std::unique_ptr<Generation>> Make(const Blueprint& blueprint);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  const Config& config() const { return *config_; }
  uint64_t number() const { return number_; }
  ListenerRuntime& listener(uint32_t index) { return listeners_[index]; }
  // Null for a backend without TLS.
  UpstreamTls* upstream_tls(uint32_t backend) { return upstream_[backend].get(); }

  // Sessions and listening sockets that point into it.
  void Use() { ++users_; }
  void Leave() { --users_; }
  bool in_use() const { return users_ > 0; }

 private:
  Generation() = default;

  uint64_t number_ = 0;
  std::shared_ptr<const Config> config_;
  std::shared_ptr<Backends> backends_;
  std::vector<std::unique_ptr<TlsContext>> contexts_;
  std::vector<std::unique_ptr<UpstreamTls>> upstream_;  // by backend
  std::vector<ListenerRuntime> listeners_;              // as in the configuration; addresses stay
  uint32_t users_ = 0;
};

}  // namespace starling
