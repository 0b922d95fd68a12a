// A TLS connection of the load generator: a client on a non-blocking socket.
//
// It reads through its own buffer, so that a record costs one system call. It verifies
// nothing (bench/shortcuts.h).
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/dialogue.h"
#include "bench/load_options.h"
#include "bench/poller.h"

namespace starling::bench {

// The common settings of a command's connections: one version, one group and AES-128-GCM,
// so that every server does the same work. Keeps the latest ticket.
class TlsClient {
 public:
  // `buffer`: the octets that a connection can receive at once. With `buffer_output`,
  // connections send in Flush() rather than record by record.
  explicit TlsClient(const LoadOptions& options, size_t buffer = 4096, bool buffer_output = false);

  SSL_CTX* context() const { return context_.get(); }
  SSL_SESSION* ticket() const { return ticket_.get(); }
  const SocketAddress& address() const { return address_; }
  bool nagle() const { return nagle_; }
  size_t source() const { return source_; }
  const Script* starttls() const { return starttls_; }  // null: none
  size_t buffer() const { return buffer_; }
  bool buffer_output() const { return buffer_output_; }

 private:
  const SocketAddress address_;
  const bool nagle_;
  const size_t source_;
  const Script* const starttls_;
  const size_t buffer_;
  const bool buffer_output_;
  bssl::UniquePtr<SSL_CTX> context_;
  bssl::UniquePtr<SSL_SESSION> ticket_;
};

class TlsConnection {
 public:
  enum class State : uint8_t {
    kIdle,        // not started
    kConnecting,  // TCP
    kDialogue,    // STARTTLS
    kHandshake,
    kOpen,
    kFinishing,  // has sent close_notify and end of data, and waits for the peer's
    kEnded,      // the peer has ended too
    kFailed,     // see error()
  };

  TlsConnection() = default;
  ~TlsConnection() { Close(); }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Begins to connect. The poller reports `tag`. To an address on IPv4 loopback, unless the
  // client has a source address of its own, `number` selects one of 16 source addresses, because a
  // single one runs out of ports at 28,000 connections a minute. Offers `session` for resumption
  // unless it is null.
  void Start(Poller& poller, uint64_t tag, const TlsClient& client, size_t number,
             SSL_SESSION* session);
  // Call when the poller reports the socket: continues as far as possible.
  void Advance(bool ended);

  // In state kOpen: sends the whole message, or the connection fails.
  void Write(std::span<const uint8_t> message);
  // Sends as much as possible and returns how many octets. 0: wait for the poller. The
  // next call must begin with the octets that were not sent.
  size_t WriteSome(std::span<const uint8_t> octets);
  // Sends the buffered output. False if some is left; then wait for the poller.
  bool Flush();
  // Reads at most `space`. 0: nothing is there, or the state has changed.
  size_t Read(std::span<uint8_t> space);
  // Sends close_notify and the end of data.
  void Finish();
  void Close();
  // Ends the connection because of a fault; error() returns `what`.
  void Fail(const char* what);

  State state() const { return state_; }
  SSL* ssl() const { return ssl_.get(); }  // null once closed
  bool resumed() const { return SSL_session_reused(ssl_.get()) != 0; }
  const char* error() const { return error_; }
  double started() const { return started_; }      // Now() at Start
  double connected() const { return connected_; }  // Now() when TCP was connected
  double opened() const { return opened_; }        // Now() when the TLS handshake was complete

 private:
  static int BioRead(BIO* bio, char* out, int size);
  static int BioWrite(BIO* bio, const char* in, int size);
  static const BIO_METHOD* Method();

  bool OpenSocket(const TlsClient& client, size_t number);
  void Receive();
  void Talk();
  void Handshake();
  void AwaitEnd();
  // Handles the return value of a library call that did not succeed.
  void Blocked(int ret, const char* what);

  bssl::UniquePtr<SSL> ssl_;
  int fd_ = -1;
  State state_ = State::kIdle;
  bool readable_ = false;  // the socket may have more
  bool ended_ = false;     // the poller has reported the end of data
  bool end_ = false;       // read the end of data
  bool buffer_output_ = false;
  const Script* starttls_ = nullptr;
  Dialogue dialogue_;
  const char* error_ = "";
  double started_ = 0, connected_ = 0, opened_ = 0;
  size_t begin_ = 0, size_ = 0, room_ = 0;  // of buffer_
  std::unique_ptr<uint8_t[]> buffer_;
  std::vector<char> output_;
  size_t output_sent_ = 0;
};

}  // namespace starling::bench
