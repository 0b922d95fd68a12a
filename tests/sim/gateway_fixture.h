// The gateway of a simulated run: a worker with everything that it needs, made from a
// configuration, with access for tests.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/log/log.h"
#include "gateway/metrics/metrics.h"
#include "gateway/sources/source_table.h"
#include "gateway/tls/tls_context.h"
#include "gateway/upstream/upstream.h"
#include "gateway/worker/worker.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

class GatewayFixture {
 public:
  // `config` must outlive it. Listens on the first bind address of each listener.
  GatewayFixture(World& world, const Config& config);
  ~GatewayFixture();

  // Runs one turn. False when the worker has finished.
  bool Turn();
  Worker& worker() { return *worker_; }
  // Gives the worker a new copy of the same configuration. Does nothing while the
  // worker has not applied the last one.
  void Reload();
  Shard& shard() { return shard_; }
  SourceTable& sources() { return sources_; }
  Backends& backends() { return *backends_; }
  // Log records since the last call.
  std::vector<SessionRecord> TakeRecords();

  uint64_t Ended(EndReason reason) const;
  uint64_t Accepted() const;
  uint64_t Resumed() const;
  // By the index of kDirectionLabels.
  uint64_t Octets(size_t direction) const;
  // Checks, when no session and no listener is left, that there is no leak and no error:
  // buffers, blocks, descriptors, gauges, stale completions, lost log lines. Reports to
  // World::Fail.
  void CheckNothingLeft();

  // Runs `body` in a new thread, where the TLS library's randomness starts again, so that
  // a run does not depend on earlier runs.
  static void InFreshThread(const std::function<void()>& body);

 private:
  // With a number of its own.
  std::unique_ptr<WorkerConfig> MakeWorkerConfig();
  void TakeRetired() { retired_ += worker_->TakeRetired().size(); }

  World& world_;
  const Config& config_;
  std::shared_ptr<Backends> backends_;
  std::shared_ptr<TicketKeys> tickets_;
  uint64_t generations_ = 0;
  uint64_t retired_ = 0;
  Shard shard_;
  SourceTable sources_{HashKey{1, 2}};
  LogRing log_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace starling::sim
