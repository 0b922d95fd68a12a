// A worker: one thread's share of the gateway. It owns a ring, its listening
// sockets' accepts, a session table, buffers, timers, TLS contexts and a metric
// shard, and turns: wait, record completions, pump each session once.
//
// Not for: what a session does (session/), start-up order and signals (main).
// The same object runs on the simulated ring; several can be stepped in one
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/config.h"
#include "gateway/io/ring.h"
#include "gateway/log/log.h"
#include "gateway/memory/memory_share.h"
#include "gateway/metrics/metrics.h"
#include "gateway/session/worker_config.h"
#include "gateway/sources/deny_lists.h"
#include "gateway/sources/source_table.h"
#include "gateway/sync/mutex.h"
#include "gateway/worker/new_socket.h"

namespace starling {

// What a worker needs and does not own, unless said otherwise; all of it
// outlives the worker.
struct WorkerOptions {
  uint32_t index = 0;
  Shard* shard = nullptr;
  LogRing* log = nullptr;                // null: nothing is logged
  std::unique_ptr<WorkerConfig> config;  // owned; its limits size the worker
  std::unique_ptr<Ring> ring;            // owned
  int trim_fd = -1;                      // MemoryTrimmer::fd(); -1: nobody trims
  int look_fd = -1;                      // an eventfd: memory may run short; -1: nobody looks
  uint32_t accepts = 0;                  // RingOptions::accepts
  SourceTable* sources = nullptr;        // of the process
  std::shared_ptr<const DenyLists> deny;
};

class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before Start().
  absl::Status AddListener(const NewSocket& socket);

  // In the worker's own thread: enables the ring and arms the accepts.
  absl::Status Start();

  // One turn: submits, waits for completions or the next deadline (not at all if
  // `wait` is false), pumps. False when draining is over: no accept is armed and
  // no session left.
  bool Turn(bool wait = true);

  // A reload, from any thread; the worker acts in its next turn. First it takes the
  // sockets of new addresses, all or none, without accepting on them: the ring may have
  // no place for one while many data channels come and go. They are held until Apply()
  // uses them, or until others are reserved in their place (none, to give them up).
  void Reserve(std::vector<NewSocket> sockets);
  // Whether it holds them all, or why it holds none; nullopt: it has not looked yet.
  std::optional<absl::Status> reserved();
  // Then it begins to serve by `config`: each held socket, and each socket whose address
  // `config` still has. Any other goes on serving its old listener until CloseRemoved().
  // The next may follow when applied_generation() is this one's.
  void Apply(std::unique_ptr<WorkerConfig> config);
  uint64_t applied_generation() const {
    return applied_generation_.load(std::memory_order_acquire);
  }
  // Configurations that nobody uses any more, for the caller to free.
  std::vector<std::unique_ptr<WorkerConfig>> TakeRetired();
  // From any thread: who is turned away from the next turn on. `end_established`: sessions of
  // such clients end, too.
  void Deny(std::shared_ptr<const DenyLists> deny, bool end_established);
  // Closes the sockets whose addresses the configuration has no more; done when
  // removed_sockets() is 0. It counts them from the update on.
  void CloseRemoved();
  uint32_t removed_sockets() const { return removed_sockets_.load(std::memory_order_acquire); }

  // From any thread: the memory was looked at. The worker has `share` until the next call. It ends
  // sessions whose peer takes nothing, to free so many octets (0: none), soon with `urgent`; and
  // with `refuse` it refuses new ones until the next call.
  struct MemoryOrder {
    MemoryShare share;
    uint64_t octets = 0;
    bool in_kernel = false;
    bool urgent = false;
    bool refuse = false;
  };
  void Relieve(const MemoryOrder& order);
  // Memory of the blocks that sessions hold.
  uint64_t queued_octets() const { return queued_octets_.load(std::memory_order_relaxed); }

  // From any thread; each is idempotent.
  void StopAccepting();  // cancel accepts, give up listening sockets
  void EndSessions();    // the drain deadline: last words, then terminate
  void StopNow();        // no last words
  // Accepts are reaped and listening sockets given up.
  bool accepting_stopped() const { return accepting_stopped_.load(std::memory_order_acquire); }
  // Sessions in the table, for the main thread's drain loop.
  uint32_t sessions() const { return sessions_.load(std::memory_order_relaxed); }

  const Ring& ring() const;

 private:
  struct Impl;
  void Ask(uint32_t request);
  void CloseUnreserved() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeReservation();
  void TakeConfig();
  void TakeDeny();
  MemoryOrder MemoryOrdered();
  void TakeMemoryOrder();
  void AskToLook();
  void Retire();

  std::unique_ptr<Impl> impl_;
  const int look_fd_;
  std::atomic<uint32_t> requests_{0};
  std::atomic<uint64_t> applied_generation_{0};
  std::atomic<uint32_t> removed_sockets_{0};
  Mutex mutex_;  // for reloads and deny lists only
  // Asked for, and not looked at yet; and what became of the last ones.
  std::optional<std::vector<NewSocket>> to_reserve_ ABSL_GUARDED_BY(mutex_);
  absl::Status reserved_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<WorkerConfig> next_config_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const DenyLists> next_deny_ ABSL_GUARDED_BY(mutex_);
  bool end_denied_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<WorkerConfig>> retired_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint32_t> sessions_{0};
  std::atomic<uint64_t> queued_octets_{0};
  Mutex memory_mutex_;  // once a look
  MemoryOrder memory_order_ ABSL_GUARDED_BY(memory_mutex_);
  std::atomic<uint32_t> looks_{0};  // so many orders came
  uint32_t taken_looks_ = 0;        // of them the worker has seen so many
  bool asked_to_look_ = false;      // since then
  std::atomic<bool> holds_relays_{false};
  std::atomic<bool> refuse_for_memory_{false};
  std::atomic<bool> accepting_stopped_{false};
};

}  // namespace starling
