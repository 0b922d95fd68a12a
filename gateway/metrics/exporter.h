// Turns the shards of all workers into series. A prometheus::Collectable sums them on
// demand, and an HTTP handler serves them at /metrics, with /healthz and /readyz. Every
// series whose labels are known in advance exists from the start, with the value 0.
//
// Not for: counting (metrics.h), sockets (http_server.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gateway/metrics/http_server.h"
#include "gateway/metrics/metrics.h"
#include "gateway/metrics/process.h"
#include "gateway/sync/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace starling {

class Exporter : public prometheus::Collectable {
 public:
  struct Listener {
    std::string name;
    std::string protocol;
  };
  struct Server {
    std::string backend;
    std::string server;

    bool operator==(const Server&) const = default;
  };
  struct Certificate {
    std::string file;
    std::string names;
    int64_t not_after = 0;         // Unix seconds
    int64_t ocsp_next_update = 0;  // Unix seconds; 0: no response
  };
  struct TicketKeys {
    std::string source;  // the file's path, or "internal"
    uint64_t generation = 0;
    int64_t created = 0;  // Unix seconds
  };
  // A limit of memory that the gateway watches.
  struct Memory {
    std::string what;
    uint64_t used = 0;   // octets
    uint64_t limit = 0;  // octets
  };
  // What a backend's names have resolved to.
  struct Resolved {
    std::string backend;
    std::vector<uint64_t> lookups;  // by result, as kLookups of list.h
    std::vector<uint64_t> refused;  // addresses that are not used, by reason, as kRefusedAddresses
    uint64_t addresses = 0;         // in use
    int64_t answered = 0;           // Unix seconds of the last good answer of the name that has
                                    // waited for one longest; 0: a name has had none
  };
  // An attempt to load a configuration, or changed files that it names.
  struct Reload {
    bool success = true;
    bool by_files = false;  // triggered by changed files rather than by a signal
    int64_t at = 0;         // Unix seconds
    double seconds = 0;     // how long it took
    uint64_t generation = 0;
  };
  // The program's versions and the sources of its figures, fixed for the life of the
  // exporter.
  struct Sources {
    std::string version;
    std::string boringssl;
    std::string liburing;
    std::string ring;                  // "io_uring" or "epoll"
    std::string ring_reason;           // why
    std::vector<const Shard*> shards;  // by worker; must outlive the exporter
    // By series; nullopt, or beyond the end: there is no such server now. Any thread; empty: no
    // such family.
    std::function<std::vector<std::optional<bool>>()> servers_up;
    std::function<std::vector<Resolved>()> resolved;  // any thread; may be empty
    std::function<uint64_t()> log_lost;  // lines lost after the workers' rings; may be empty
    std::function<std::vector<Memory>()> memory;           // any thread; may be empty
    std::function<std::vector<TicketKeys>()> ticket_keys;  // any thread; may be empty
  };

  explicit Exporter(Sources sources);

  // The names of the current configuration by id, from any thread. The exporter ignores
  // names that the shards have no room for. A server without a name is not shown. One whose id
  // another one had before begins with what the workers have counted for that one: call this before
  // they count for it.
  void SetNames(std::vector<Listener> listeners, std::vector<Server> servers);
  void SetCertificates(std::vector<Certificate> certificates);
  // Sets the latest attempt to load the configuration. The start is an attempt but not a
  // reload.
  void SetStart(int64_t unix_seconds, uint64_t generation);
  void CountReload(const Reload& reload);
  // How many configurations have sessions, including the newest.
  void SetGenerations(size_t alive);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;
  void CollectListeners(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectHistograms(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectServers(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectWorkers(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectResolved(Families& families) const;
  uint64_t ServerSum(size_t family, ServerSeries id, size_t row) const;
  void CollectMemory(std::vector<prometheus::MetricFamily>& families) const;
  void CollectProcess(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectCertificates(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectReloads(Families& families) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Sources sources_;
  mutable Mutex mutex_;
  const ProcessMetrics process_ ABSL_GUARDED_BY(mutex_);
  std::vector<Listener> listeners_ ABSL_GUARDED_BY(mutex_);
  std::vector<Server> servers_ ABSL_GUARDED_BY(mutex_);
  // What was counted for servers that had the id before, by the cells of one server.
  std::map<ServerSeries, std::vector<uint64_t>> before_ ABSL_GUARDED_BY(mutex_);
  std::vector<Certificate> certificates_ ABSL_GUARDED_BY(mutex_);
  Reload reload_ ABSL_GUARDED_BY(mutex_);
  uint64_t reloads_[2][2] ABSL_GUARDED_BY(mutex_) = {};  // by success and by trigger
  size_t generations_ ABSL_GUARDED_BY(mutex_) = 1;
};

// What a question to /readyz is about.
enum class Readiness : uint8_t {
  kProcess,       // this process takes connections
  kEveryBackend,  // ?backends=any: not ready if any backend has no server up
  kSomeBackend,   // ?backends=all: not ready if no backend has one
};

// Serves /metrics (text format 0.0.4), /healthz (200 while the process lives) and /readyz
// (200 while `not_ready` returns an empty string, otherwise 503 with that string). The
// server calls `not_ready` in its own thread.
HttpHandler MetricsHandler(std::shared_ptr<const prometheus::Collectable> collectable,
                           std::function<std::string(Readiness asked)> not_ready);

}  // namespace starling
