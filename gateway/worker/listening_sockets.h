// A worker's listening sockets: which there are, how many accepts are armed on each, and how
// one is given up. A socket belongs to an address; the listener that it serves changes with a
// reload.
//
// Not for: what becomes of an accepted connection (newcomer.h), or binding and steering
// (listen_group.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "gateway/session/context.h"
#include "gateway/session/worker_config.h"
#include "gateway/worker/new_socket.h"
#include "gateway/worker/newcomer.h"

namespace starling {

class ListeningSockets {
 public:
  // `ctx` outlives it and has its ring before anything is called. `most_armed`:
  // RingOptions::accepts.
  ListeningSockets(WorkerContext& ctx, uint32_t most_armed) : ctx_(ctx), most_armed_(most_armed) {}

  // Takes places in the ring for all of `wanted`; if it fails, it has taken no place. The sockets
  // accept nobody yet.
  absl::Status Hold(const std::vector<NewSocket>& wanted);
  void GiveUpHeld();
  // What is held serves `config` from now on.
  void ServeHeld(WorkerConfig& config);
  // A socket whose address stays serves `next` at once. Sessions that were accepted before
  // keep their listener.
  void Switch(WorkerConfig& next);

  // An accept has completed. nullopt: without a connection.
  std::optional<Newcomer> Accepted(const Completion& completion);
  // `waiting`: newcomers that were accepted and have no slot yet.
  void Arm(size_t waiting);
  // When accepts that failed are armed again; kNever: nothing waits for that.
  MonoTime retry_at() const { return accept_at_ > ctx_.now ? accept_at_ : kNever; }

  void StopAll();
  void StopRemoved();
  // Closes each stopped socket once no accept is armed on it. The next turn submits the close.
  void CloseStopped();
  bool close_pending() const { return close_pending_; }
  bool none() const;
  // Sockets whose addresses the configuration has no more.
  uint32_t removed() const;

 private:
  struct Socket {
    Fd fd = kNoFd;  // none: the place is free
    WorkerListener* listener = nullptr;
    SocketAddress address;
    uint32_t armed = 0;
    bool removed = false;      // the configuration has no such address any more
    bool stopped = false;      // no accept is armed any more; closed when the last has come back
    bool close_asked = false;  // the close is submitted by this turn
  };
  // Has its place in the ring, and is accepted on once the next configuration is applied.
  struct Held {
    Fd fd = kNoFd;
    uint32_t listener = 0;
    SocketAddress address;
  };

  static void Serve(Socket& socket, WorkerListener* listener);
  void Open(const Held& held, WorkerConfig& config);
  void Stop(Socket& socket);

  WorkerContext& ctx_;
  const uint32_t most_armed_;
  std::vector<Socket> sockets_;  // places, of which some are free
  std::vector<Held> held_;
  bool stopping_ = false;
  uint32_t closing_ = 0;        // stopped, and not closed yet
  bool close_pending_ = false;  // a socket's close waits for a turn to submit it
  MonoTime accept_at_{};        // accepts are armed again from then on
};

}  // namespace starling
