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
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/config.h"
#include "gateway/io/ring.h"
#include "gateway/log/log.h"
#include "gateway/metrics/metrics.h"
#include "gateway/session/generation.h"

namespace starling {

// What a worker needs and does not own, unless said otherwise; all of it
// outlives the worker.
struct WorkerOptions {
  uint32_t index = 0;
  Shard* shard = nullptr;
  LogRing* log = nullptr;                  // null: nothing is logged
  std::unique_ptr<Generation> generation;  // owned; its limits size the worker
  std::unique_ptr<Ring> ring;              // owned
  uint32_t accepts = 0;                    // RingOptions::accepts
};

// A listening socket for a worker to take over: one of the sockets of `listener` (an
// index into the generation's) bound to `address`. A caller that wants to steer it
// later keeps a duplicate, and then it stays open until that is closed too.
struct NewSocket {
  uint32_t listener = 0;
  int os_fd = -1;
  SocketAddress address;
};

// A reload, for one worker. Sockets whose address the new configuration has stay, and
// serve its listener from then on; those of other addresses go on with the old one
// until LetGo().
struct Adoption {
  std::unique_ptr<Generation> generation;
  std::vector<NewSocket> sockets;
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

  // From any thread; the worker acts in its next turn. One adoption at a time: the
  // next may follow when adopted() tells the generation's number.
  void Adopt(Adoption adoption);
  uint64_t adopted() const { return adopted_.load(std::memory_order_acquire); }
  // Generations that nobody uses any more, for the caller to free.
  std::vector<std::unique_ptr<Generation>> TakeRetired();
  // Gives up the sockets of addresses that the configuration has no more; done when
  // leaving() is 0. It counts them from the adoption on.
  void LetGo();
  uint32_t leaving() const { return leaving_.load(std::memory_order_acquire); }

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
  void TakeAdoption();
  void Retire();

  std::unique_ptr<Impl> impl_;
  std::atomic<uint32_t> requests_{0};
  std::atomic<uint64_t> adopted_{0};
  std::atomic<uint32_t> leaving_{0};
  std::mutex mutex_;  // guards what follows, which only reloads touch
  Adoption adoption_;
  std::vector<std::unique_ptr<Generation>> retired_;
  std::atomic<uint32_t> sessions_{0};
  std::atomic<bool> accepting_stopped_{false};
};

}  // namespace starling
