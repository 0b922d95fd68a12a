// One worker's copy of a configuration: its listeners with their TLS contexts, its
// backends. A session keeps the WorkerConfig that it began with; new sessions begin
// with the newest.
//
// The main thread makes it. From then on only the worker touches it, without atomics.
// When the last session and socket have let it go, the worker hands it back, and the
// main thread frees it.
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
#include "gateway/session/fair_queue.h"
#include "gateway/session/places.h"
#include "gateway/sources/rules.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/upstream_tls.h"
#include "gateway/upstream/upstream.h"

namespace starling {

class WorkerConfig;

// One listener, as one worker serves it.
struct WorkerListener {
  const ListenerConfig* config = nullptr;
  WorkerConfig* owner = nullptr;  // the configuration that it is part of
  Backends* backends = nullptr;   // of the same configuration
  ListenerId id = 0;              // of its name, for the life of the process
  TlsContext* tls = nullptr;
  const SourceRules* sources = nullptr;
  uint32_t cursor = 0;  // round robin over its backend's servers
  uint32_t plaintext_cursor = 0;
  uint32_t retry_cursor = 0;  // for sessions that another server has failed
  // The first listener whose data channels use some of the same ports, and so this one.
  PlacePool port_pool = 0;
};

// A configuration that is loaded and checked, the same for all workers. Nothing in it
// changes any more; each worker's WorkerConfig is made from it.
struct ConfigSnapshot {
  uint64_t generation = 0;  // counts the configurations since the start
  std::shared_ptr<const Config> config;
  std::shared_ptr<Backends> backends;
  std::vector<ListenerId> ids;                             // by listener
  std::vector<TlsPolicy> policies;                         // those that differ
  std::vector<uint32_t> policy_of;                         // by listener
  std::vector<std::optional<UpstreamTlsPolicy>> upstream;  // by backend
};

class WorkerConfig {
 public:
  // One SSL_CTX a policy. An error names the listener.
  static absl::StatusOr<std::unique_ptr<WorkerConfig>> Make(const ConfigSnapshot& snapshot);
  WorkerConfig(const WorkerConfig&) = delete;
  WorkerConfig& operator=(const WorkerConfig&) = delete;

  const Config& config() const { return *config_; }
  uint64_t generation() const { return generation_; }
  WorkerListener& listener(uint32_t index) { return listeners_[index]; }
  // Null for a backend without TLS.
  UpstreamTls* upstream_tls(uint32_t backend) { return upstream_[backend].get(); }
  // Sessions of this worker that wait for a place. Null for a backend whose servers have no limit.
  FairQueue* queue(uint32_t backend) { return queues_[backend].get(); }

  // Each session and listening socket that points into it holds one reference.
  void Ref() { ++users_; }
  void Unref() { --users_; }
  bool in_use() const { return users_ > 0; }

 private:
  WorkerConfig() = default;

  uint64_t generation_ = 0;
  std::shared_ptr<const Config> config_;
  std::shared_ptr<Backends> backends_;
  std::vector<std::unique_ptr<TlsContext>> contexts_;
  std::vector<std::unique_ptr<SourceRules>> rules_;     // by listener
  std::vector<std::unique_ptr<UpstreamTls>> upstream_;  // by backend
  std::vector<std::unique_ptr<FairQueue>> queues_;      // by backend
  std::vector<WorkerListener> listeners_;               // as in the configuration; addresses stay
  uint32_t users_ = 0;
};

}  // namespace starling
