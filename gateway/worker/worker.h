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
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/config.h"
#include "gateway/io/ring.h"
#include "gateway/log/log.h"
#include "gateway/metrics/metrics.h"
#include "gateway/tls/tls_context.h"
#include "gateway/upstream/upstream.h"

namespace starling {

// What a worker needs and does not own, unless said otherwise; all of it
// outlives the worker.
struct WorkerOptions {
  uint32_t index = 0;
  const Config* config = nullptr;
  Backends* backends = nullptr;
  Shard* shard = nullptr;
  LogRing* log = nullptr;  // null: nothing is logged
  std::vector<std::shared_ptr<const Credential>> credentials;
  std::shared_ptr<TicketKeys> tickets;
  std::unique_ptr<Ring> ring;  // owned
};

class Worker {
 public:
  static absl::StatusOr<std::unique_ptr<Worker>> Create(WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before Start(): one of the sockets of config->listeners[listener], bound to
  // `address`. It is taken over; a caller that wants to steer it later keeps a
  // duplicate, and then it stays open until that is closed too.
  absl::Status AddListener(uint32_t listener, int os_fd, const SocketAddress& address);

  // In the worker's own thread: enables the ring and arms the accepts.
  absl::Status Start();

  // One turn: submits, waits for completions or the next deadline (not at all if
  // `wait` is false), pumps. False when draining is over: no accept is armed and
  // no session left.
  bool Turn(bool wait = true);

  // From any thread; each is idempotent, the worker acts in its next turn.
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
  explicit Worker(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  std::atomic<uint32_t> requests_{0};
  std::atomic<uint32_t> sessions_{0};
  std::atomic<bool> accepting_stopped_{false};
};

}  // namespace starling
