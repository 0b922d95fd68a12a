// A client's or backend's end of a connection: what waits to be written, what
// was read, and being woken when either can go on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/tls/test_server.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

// How much is written at a time: mostly less than a record, sometimes several.
inline uint64_t DrawPortion(Rng& rng) { return rng.Between(1, rng.Chance(150) ? 60'000 : 8'192); }

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

  // From here on TLS, as its server: `in` and what is sent are plaintext then.
  void StartTls(TlsContext& context);
  // TLS is there, or was never begun.
  bool secure() const { return tls_ == nullptr || tls_->connected(); }

  void Send(std::string_view octets) {
    (tls_ == nullptr ? out_ : plain_) += octets;
    Flush();
  }
  void Flush();
  bool flushed() const { return out_.empty() && plain_.empty(); }

  // Reads up to `max` octets behind `in`. True: more waits.
  bool Receive(size_t max);
  std::string in;
  bool ended() const { return ended_; }    // the other side's direction is over
  bool failed() const { return failed_; }  // reset, or cut off within TLS
  bool was_broken() const { return open() && world_.WasBroken(socket_); }

  // Ends our direction once all is written.
  void ShutdownWhenFlushed();
  // The same, without a word of TLS about it.
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
  bool closed_ = false;  // close_notify was sent, or shall not be
  bool ended_ = false;
  bool failed_ = false;
  bool shut_ = false;
  bool shutdown_wanted_ = false;
};

}  // namespace starling::sim
