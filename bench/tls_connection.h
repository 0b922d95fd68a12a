// One TLS connection of the load generator: a client on a non-blocking socket.
//
// It reads through a small buffer of its own, so that a record costs one system
// call, and never verifies the certificate's chain (the signature it does).
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "bench/poller.h"
#include "gateway/io/socket_address.h"

namespace starling::bench {

// TLS 1.3, X25519 and nothing else. Keeps the latest ticket that came.
class TlsClient {
 public:
  TlsClient();

  SSL_CTX* context() const { return context_.get(); }
  SSL_SESSION* ticket() const { return ticket_.get(); }

 private:
  bssl::UniquePtr<SSL_CTX> context_;
  bssl::UniquePtr<SSL_SESSION> ticket_;
};

class TlsConnection {
 public:
  enum class State : uint8_t {
    kIdle,        // not started
    kConnecting,  // TCP
    kHandshake,
    kOpen,
    kFinishing,  // close_notify and the end of data are sent, the peer's awaited
    kEnded,      // the peer has ended too
    kFailed,     // anything else; error() says what
  };

  TlsConnection() = default;
  ~TlsConnection() { Close(); }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Begins; `tag` comes back from the poller. Where the address is IPv4 loopback
  // the source is one of 16 addresses, by `number`: a single one runs out of ports
  // at 28,000 connections a minute. `session` (may be null) is offered.
  void Start(Poller& poller, uint64_t tag, const TlsClient& client, const SocketAddress& to,
             size_t number, SSL_SESSION* session);
  // The poller says that the socket is ready: goes on as far as it can.
  void Advance(bool ended);

  // While kOpen. The message goes out whole or the connection has failed.
  void Write(std::span<const uint8_t> message);
  // What has come, at most `space`; 0: nothing now, or the state has changed.
  size_t Read(std::span<uint8_t> space);
  // Says that there is no more to come.
  void Finish();
  void Close();

  State state() const { return state_; }
  bool resumed() const { return SSL_session_reused(ssl_.get()) != 0; }
  const char* error() const { return error_; }
  double started() const { return started_; }      // Now() of Start
  double connected() const { return connected_; }  // of the end of TCP's handshake
  double opened() const { return opened_; }        // of the end of TLS's

 private:
  static int BioRead(BIO* bio, char* out, int size);
  static int BioWrite(BIO* bio, const char* in, int size);
  static const BIO_METHOD* Method();

  void Fail(const char* what);
  void Handshake();
  // What a call of the library returned, when it did not do its work.
  void Blocked(int ret, const char* what);

  bssl::UniquePtr<SSL> ssl_;
  int fd_ = -1;
  State state_ = State::kIdle;
  bool readable_ = false;  // the socket may have more
  bool ended_ = false;     // the poller saw the end coming
  bool end_ = false;       // of the peer's octets
  const char* error_ = "";
  double started_ = 0, connected_ = 0, opened_ = 0;
  size_t begin_ = 0, size_ = 0;  // in buffer_
  std::array<uint8_t, 4096> buffer_;
};

}  // namespace starling::bench
