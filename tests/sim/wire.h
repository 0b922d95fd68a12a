// One end of a connection, of a client or a backend: the octets to write, the octets
// read, and a call when either can continue.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/tls/test_server.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

// How much to write at a time: mostly less than a record, sometimes several records.
inline uint64_t DrawPortion(Rng& rng) { return rng.Between(1, rng.Chance(150) ? 60'000 : 8'192); }

class Wire {
 public:
  explicit Wire(World& world) : world_(world) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Calls `wake` when there is something to read or room to write.
  void Attach(SocketId socket, std::function<void()> wake) {
    socket_ = socket;
    world_.Watch(socket, std::move(wake));
  }
  bool open() const { return socket_ != kNoSocket && world_.IsOpen(socket_); }

  // From now on speaks TLS as the server: `in` and sent octets are then plaintext.
  void StartTls(TlsContext& context);
  // TLS is established, or was never begun.
  bool secure() const { return tls_ == nullptr || tls_->connected(); }

  void Send(std::string_view octets) {
    (tls_ == nullptr ? out_ : plain_) += octets;
    Flush();
  }
  void Flush();
  bool flushed() const { return out_.empty() && plain_.empty(); }

  // Appends up to `max` octets to `in`. True if more waits.
  bool Receive(size_t max);
  std::string in;
  bool ended() const { return ended_; }    // the peer has ended its direction
  bool failed() const { return failed_; }  // reset, or cut off inside TLS
  bool was_broken() const { return open() && world_.WasBroken(socket_); }

  // Ends this direction once everything is written.
  void ShutdownWhenFlushed();
  // The same without close_notify.
  void TruncateWhenFlushed();
  void Close() {
    if (open()) world_.Close(socket_);
  }
  void Reset() {
    if (open()) world_.Reset(socket_);
  }

 private:
  void Seal();
  void Open();

  World& world_;
  SocketId socket_ = kNoSocket;
  std::string out_;
  std::unique_ptr<TestServer> tls_;
  std::string plain_;    // to be sealed
  bool closed_ = false;  // has sent close_notify, or must not send it
  bool ended_ = false;
  bool failed_ = false;
  bool shut_ = false;
  bool shutdown_wanted_ = false;
};

}  // namespace starling::sim
