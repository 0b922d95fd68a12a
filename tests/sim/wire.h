// A client's or backend's end of a connection: what waits to be written, what
// was read, and being woken when either can go on.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/sim/sim_world.h"

namespace starling::sim {

class Wire {
 public:
  explicit Wire(World& world) : world_(world) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // `wake` is called when there is something to read or room to write.
  void Attach(SocketId socket, std::function<void()> wake) {
    socket_ = socket;
    world_.Watch(socket, std::move(wake));
  }
  bool open() const { return socket_ != kNoSocket && world_.IsOpen(socket_); }

  void Send(std::string_view octets) {
    out_ += octets;
    Flush();
  }
  void Flush();
  bool flushed() const { return out_.empty(); }

  // Reads up to `max` octets behind `in`. True: more waits.
  bool Receive(size_t max);
  std::string in;
  bool ended() const { return ended_; }    // the other side's direction is over
  bool failed() const { return failed_; }  // reset
  bool was_broken() const { return open() && world_.WasBroken(socket_); }

  // Ends our direction once all is written.
  void ShutdownWhenFlushed();
  void Close() {
    if (open()) world_.Close(socket_);
  }
  void Reset() {
    if (open()) world_.Reset(socket_);
  }

 private:
  World& world_;
  SocketId socket_ = kNoSocket;
  std::string out_;
  bool ended_ = false;
  bool failed_ = false;
  bool shut_ = false;
  bool shutdown_wanted_ = false;
};

}  // namespace starling::sim
