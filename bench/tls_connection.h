// One TLS connection of the load generator: a client on a non-blocking socket.
//
// It reads through a buffer of its own, so that a record costs one system call, and
// verifies nothing (bench/shortcuts.h).
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

// What the connections of a command have in common: one version, one group,
// AES-128-GCM and nothing else, so that every server is given the same work. Keeps
// the latest ticket that came.
class TlsClient {
 public:
  // `buffer`: octets that a connection can receive at once. Those with `buffer_output`
  // send when told to (Flush), not record by record.
  explicit TlsClient(const LoadOptions& options, size_t buffer = 4096, bool buffer_output = false);

  SSL_CTX* context() const { return context_.get(); }
  SSL_SESSION* ticket() const { return ticket_.get(); }
  const SocketAddress& address() const { return address_; }
  bool nagle() const { return nagle_; }
  const Script* starttls() const { return starttls_; }  // null: none
  size_t buffer() const { return buffer_; }
  bool buffer_output() const { return buffer_output_; }

 private:
  const SocketAddress address_;
  const bool nagle_;
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
  void Start(Poller& poller, uint64_t tag, const TlsClient& client, size_t number,
             SSL_SESSION* session);
  // The poller says that the socket is ready: goes on as far as it can.
  void Advance(bool ended);

  // While kOpen. The message goes out whole or the connection has failed.
  void Write(std::span<const uint8_t> message);
  // As much of it as goes out now; 0: the poller will tell of room. What comes next
  // must begin with the same octets.
  size_t WriteSome(std::span<const uint8_t> octets);
  // Sends what is buffered. False if some is left, for which the poller will tell of room.
  bool Flush();
  // What has come, at most `space`; 0: nothing now, or the state has changed.
  size_t Read(std::span<uint8_t> space);
  // Says that there is no more to come.
  void Finish();
  void Close();
  // Ends what is not as it should be; `what` for error().
  void Fail(const char* what);

  State state() const { return state_; }
  SSL* ssl() const { return ssl_.get(); }  // null once closed
  bool resumed() const { return SSL_session_reused(ssl_.get()) != 0; }
  const char* error() const { return error_; }
  double started() const { return started_; }      // Now() of Start
  double connected() const { return connected_; }  // of the end of TCP's handshake
  double opened() const { return opened_; }        // of the end of TLS's

 private:
  static int BioRead(BIO* bio, char* out, int size);
  static int BioWrite(BIO* bio, const char* in, int size);
  static const BIO_METHOD* Method();

  bool OpenSocket(const TlsClient& client, size_t number);
  void Receive();
  void Talk();
  void Handshake();
  void AwaitEnd();
  // What a call of the library returned, when it did not do its work.
  void Blocked(int ret, const char* what);

  bssl::UniquePtr<SSL> ssl_;
  int fd_ = -1;
  State state_ = State::kIdle;
  bool readable_ = false;  // the socket may have more
  bool ended_ = false;     // the poller saw the end coming
  bool end_ = false;       // of the peer's octets
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
