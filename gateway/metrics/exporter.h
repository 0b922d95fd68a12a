// Turns the shards of all workers into series: a prometheus::Collectable that
// sums when it is asked, and what serves it, with /healthz and /readyz beside
// it. All series that can be known exist from the start, at 0.
//
// Not for: counting (metrics.h), sockets (http_server.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/metrics/http_server.h"
#include "gateway/metrics/metrics.h"
#include "gateway/metrics/process.h"
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
  };
  struct Certificate {
    std::string file;
    std::string names;
    int64_t not_after = 0;         // Unix seconds
    int64_t ocsp_next_update = 0;  // the same; 0: there is no response
  };
  struct TicketKeys {
    std::string source;  // file, or "internal"
    uint64_t generation = 0;
    int64_t created = 0;  // Unix seconds
  };
  // An attempt to read a configuration, or changed files of it.
  struct Reload {
    bool success = true;
    bool by_files = false;  // otherwise by a signal
    int64_t at = 0;         // Unix seconds
    double seconds = 0;     // that it took
    uint64_t generation = 0;
  };
  // What the program is and where its figures come from; fixed for its life.
  struct Sources {
    std::string version;
    std::string boringssl;
    std::string liburing;
    std::vector<const Shard*> shards;             // by worker; outlive the exporter
    std::function<bool(ServerSeries)> server_up;  // any thread; empty: no such family
    std::function<uint64_t()> log_lost;  // lines lost behind the workers' rings; may be empty
    std::function<std::vector<TicketKeys>()> ticket_keys;  // any thread; may be empty
  };

  explicit Exporter(Sources sources);

  // What the configuration names, by id; from any thread. More names than the
  // shards have room for are left out.
  void SetNames(std::vector<Listener> listeners, std::vector<Server> servers);
  void SetCertificates(std::vector<Certificate> certificates);
  // The last attempt to read the configuration. The start is the first one, and is
  // not counted as a reload.
  void SetStart(int64_t unix_seconds, uint64_t generation);
  void CountReload(const Reload& reload);
  // Generations that still have sessions, the newest included.
  void SetGenerations(size_t alive);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;
  void CollectListeners(Families& families) const;
  void CollectHistograms(Families& families) const;
  void CollectServers(Families& families) const;
  void CollectWorkers(Families& families) const;
  void CollectProcess(Families& families) const;
  void CollectCertificates(Families& families) const;
  void CollectReloads(Families& families) const;

  const Sources sources_;
  const ProcessMetrics process_;
  mutable std::mutex mutex_;  // guards what follows, and the use of process_
  std::vector<Listener> listeners_;
  std::vector<Server> servers_;
  std::vector<Certificate> certificates_;
  Reload reload_;
  uint64_t reloads_[2][2] = {};  // by success and by what asked for it
  size_t generations_ = 1;
};

// Serves /metrics (the text format), /healthz (200 while the process lives) and
// /readyz: 200 while `not_ready` returns nothing, otherwise 503 with its line.
// `not_ready` is called in the server's thread.
HttpHandler MetricsHandler(std::shared_ptr<const prometheus::Collectable> collectable,
                           std::function<std::string()> not_ready);

}  // namespace starling
