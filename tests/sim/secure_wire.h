// A client's end of a connection that speaks TLS, from some moment on.
//
// Not for: servers, whose Wire has TLS itself; clients that tamper with records
// (sim_client.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/tls/test_client.h"
#include "tests/sim/wire.h"

namespace starling::sim {

class SecureWire {
 public:
  explicit SecureWire(World& world) : wire_(world) {}

  void Attach(SocketId socket, std::function<void()> wake) {
    wire_.Attach(socket, std::move(wake));
  }
  void BeginTls() {
    tls_ = std::make_unique<TestClient>(TestClientOptions{});
    tls_->input = std::exchange(wire_.in, {});
    Pass();
  }

  // Reads at most `max` octets, into `in`. True if more waits.
  bool Receive(size_t max) {
    wire_.Flush();
    const bool more = wire_.Receive(max);
    Pass();
    return more;
  }
  std::string in;

  // In plaintext before TLS; otherwise once TLS is established.
  void Send(std::string_view octets) {
    if (tls_ == nullptr) return wire_.Send(octets);
    plain_ += octets;
    Pass();
  }
  bool flushed() const { return wire_.flushed() && plain_.empty(); }

  bool open() const { return wire_.open(); }
  bool secure() const { return tls_ != nullptr && tls_->connected(); }
  // An orderly end: inside TLS by close_notify.
  bool ended() const { return tls_ == nullptr ? wire_.ended() && !failed() : tls_->closed(); }
  // Nothing more can come.
  bool over() const { return wire_.ended() || failed() || ended(); }
  bool failed() const { return wire_.failed() || (tls_ != nullptr && tls_->failed()); }
  bool was_broken() const { return wire_.was_broken(); }

  // Ends this direction, by close_notify too.
  void End() {
    if (secure()) {
      Pass();
      tls_->CloseNotify();
      Pass();
    }
    wire_.ShutdownWhenFlushed();
  }
  void Truncate() { wire_.ShutdownWhenFlushed(); }
  void Close() { wire_.Close(); }
  void Reset() { wire_.Reset(); }

 private:
  void Pass() {
    if (tls_ == nullptr) {
      in += std::exchange(wire_.in, {});
      return;
    }
    tls_->input += std::exchange(wire_.in, {});
    tls_->Step();
    if (tls_->connected() && !plain_.empty()) tls_->Write(std::exchange(plain_, {}));
    in += std::exchange(tls_->received, {});
    wire_.Send(std::exchange(tls_->output, {}));
  }

  Wire wire_;
  std::unique_ptr<TestClient> tls_;
  std::string plain_;
};

}  // namespace starling::sim
