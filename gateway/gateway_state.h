// The parts of the running gateway, which starting, reloading and draining work on.
// Only the main thread uses them, except where a comment says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/deny_files.h"
#include "gateway/log/log.h"
#include "gateway/log/messages.h"
#include "gateway/memory/memory_limits.h"
#include "gateway/memory/memory_watch.h"
#include "gateway/memory/wake_event.h"
#include "gateway/memory_trimmer.h"
#include "gateway/metrics/exporter.h"
#include "gateway/metrics/metrics.h"
#include "gateway/metrics/names.h"
#include "gateway/sources/source_table.h"
#include "gateway/sync/mutex.h"
#include "gateway/tls/random.h"
#include "gateway/tls_assets.h"
#include "gateway/upstream/prober.h"
#include "gateway/upstream/upstream.h"
#include "gateway/worker/listen_group.h"
#include "gateway/worker/worker.h"

namespace starling {

struct GatewayState {
  // Connections accepted so far, of all listeners there ever were.
  uint64_t Accepted() const;
  // "" when clients may come, otherwise why not. Any thread.
  std::string NotReady(Readiness asked) const;
  // Which servers are up, by their series; nullopt where no server has the series now. Any thread.
  std::vector<std::optional<bool>> ServersUp() const;
  std::vector<Exporter::TicketKeys> TicketSources() const;  // any thread
  // `config` with the next generation number. An error says which table of names is full.
  absl::StatusOr<ConfigSnapshot> MakeSnapshot(std::shared_ptr<const Config> config,
                                              const TlsAssets& assets);
  // Who is turned away from now on.
  void Deny(const DenyFiles& files);
  // Says in the log who was refused since the last time, at most once a minute; at the end of
  // the process, `last`, without waiting for the minute.
  void ReportRefusals(MonoTime now, bool last = false);
  // Looks once a second whether memory runs short, and has workers end or refuse sessions.
  void WatchMemory(MonoTime now);
  bool MemoryLookIsDue(MonoTime now);
  std::vector<Exporter::Memory> MemoryInUse() const;  // any thread
  // Puts the configuration to use everywhere but in the workers: names in log and
  // metrics, backends and their prober.
  void Activate(const ConfigSnapshot& snapshot, TlsAssets assets, std::unique_ptr<Prober> next);
  // Log and metrics have the names of the table from now on.
  void ShowNames();
  // Of the snapshot's servers.
  std::unique_ptr<Prober> MakeProber(const ConfigSnapshot& snapshot) const;
  // Has the servers in use probed. If the system denies a thread, `prober_waits` says so.
  void StartProber();
  void Say(LogMessage message,
           std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {}) {
    log->Say(message, fields);
  }

  std::shared_ptr<const Config> config;  // of new sessions
  // What the process was started with. Rings, tables and the user are made of it, so a
  // reload must leave the options that need a restart as they are here.
  std::shared_ptr<const Config> started_with;
  CredentialStore store;
  TlsAssets assets;
  std::shared_ptr<TicketKeys> own_tickets;
  uint64_t generation = 0;
  NameTable names;
  std::shared_ptr<Backends> backends;
  // The same backends, and the sources of ticket keys, for the metrics' thread.
  mutable Mutex mutex;
  std::shared_ptr<Backends> shown_backends ABSL_GUARDED_BY(mutex);
  std::vector<TlsAssets::TicketSource> shown_tickets ABSL_GUARDED_BY(mutex);
  std::vector<MemoryUse> shown_memory ABSL_GUARDED_BY(mutex);
  MemoryLimits memory_limits;
  MemoryWatch memory;
  MonoTime memory_at{};       // when the next look is due
  MonoTime memory_before{};   // when the last one was
  const WakeEvent look_wake;  // workers ask for a look
  std::unique_ptr<Log> log;
  MemoryTrimmer trimmer;
  std::vector<std::unique_ptr<Shard>> shards;
  std::shared_ptr<Exporter> exporter;
  std::unique_ptr<HttpServer> http;
  SourceTable source_table{HashKey{RandomU64(), RandomU64()}};  // of all workers
  // What workers looked at before is freed here, not in one of their turns.
  std::shared_ptr<const DenyLists> deny, deny_before;
  std::vector<ListenerId> listener_ids;  // of the configuration
  MonoTime refusals_at{};                // when the next report is due
  std::vector<ListenGroup> groups;
  size_t most_sockets = 0;  // a worker's listening sockets at most
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<Prober> prober;
  bool prober_waits = false;  // for a thread
  std::atomic<uint32_t> started{0};
  std::atomic<bool> draining{false};
};

}  // namespace starling
