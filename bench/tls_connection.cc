#include "bench/tls_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "bench/shortcuts.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr size_t kSources = 16;
// Room for four of the longest records, with TLS overhead.
constexpr size_t kOutput = 4 * (16'384 + 64);

// Binds to 127.0.0.`only`, or else to one of the addresses from 127.0.1.1 on; the kernel
// chooses the port at connect.
void BindSource(int fd, size_t only, size_t number) {
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in source{};
  source.sin_family = AF_INET;
  const size_t address = only != 0 ? 0x7f000000 + only : 0x7f000101 + number % kSources;
  source.sin_addr.s_addr = htonl(static_cast<uint32_t>(address));
  // If binding fails, the kernel chooses the address.
  [[maybe_unused]] const int bound =
      bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source);
}

void SetParameters(SSL_CTX* ctx, const LoadOptions& options) {
  SSL_CTX_set_min_proto_version(ctx, options.tls);
  SSL_CTX_set_max_proto_version(ctx, options.tls);
  // In TLS 1.2 the list of groups also restricts the curves of certificates.
  const uint16_t groups[] = {options.group, SSL_GROUP_SECP256R1};
  const bool both = options.tls == TLS1_2_VERSION && options.group != SSL_GROUP_SECP256R1;
  SSL_CTX_set1_group_ids(ctx, groups, both ? 2 : 1);
  const uint16_t cipher = SSL_CIPHER_AES_128_GCM_SHA256;
  SSL_CTX_set1_tls13_ciphers(ctx, &cipher, nullptr, 1);
  SSL_CTX_set_strict_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
  const uint16_t ecdsa[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256};
  const uint16_t rsa[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256};
  if (!options.alpn.empty()) {
    const std::string list = static_cast<char>(options.alpn.size()) + options.alpn;
    SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const uint8_t*>(list.data()), list.size());
  }
  if (options.key == Key::kEc) SSL_CTX_set_verify_algorithm_prefs(ctx, ecdsa, std::size(ecdsa));
  if (options.key == Key::kRsa) SSL_CTX_set_verify_algorithm_prefs(ctx, rsa, std::size(rsa));
}

}  // namespace

TlsClient::TlsClient(const LoadOptions& options, size_t buffer, bool buffer_output)
    : address_(options.address),
      nagle_(options.nagle),
      source_(options.source),
      starttls_(StartTlsScript(options.starttls)),
      buffer_(buffer),
      buffer_output_(buffer_output),
      context_(SSL_CTX_new(TLS_with_buffers_method())) {
  TakeShortcuts();
  SSL_CTX* ctx = context_.get();
  SetParameters(ctx, options);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, [](SSL*, uint8_t*) { return ssl_verify_ok; });
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(ctx, this);
  SSL_CTX_sess_set_new_cb(ctx, [](SSL* ssl, SSL_SESSION* session) {
    auto* self = static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    self->ticket_.reset(session);
    return 1;
  });
}

// --- the socket as a BIO ------------------------------------------------------

const BIO_METHOD* TlsConnection::Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "load");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, [](BIO*, int command, long, void*) {
      return static_cast<long>(command == BIO_CTRL_FLUSH);
    });
    return made;
  }();
  return method;
}

void TlsConnection::Receive() {
  const ssize_t got = recv(fd_, buffer_.get(), room_, 0);
  // A read shorter than the room: the poller will report further input.
  const bool whole = got == static_cast<ssize_t>(room_);
  readable_ = whole || (got > 0 && ended_);
  if (got == 0 || (got < 0 && errno != EAGAIN)) end_ = true;
  begin_ = 0;
  size_ = got > 0 ? static_cast<size_t>(got) : 0;
}

int TlsConnection::BioRead(BIO* bio, char* out, int size) {
  auto* self = static_cast<TlsConnection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self->size_ == 0 && self->readable_) self->Receive();
  if (self->size_ == 0) {
    if (self->end_) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(self->size_, static_cast<size_t>(size));
  std::memcpy(out, self->buffer_.get() + self->begin_, taken);
  self->begin_ += taken;
  self->size_ -= taken;
  return static_cast<int>(taken);
}

int TlsConnection::BioWrite(BIO* bio, const char* in, int size) {
  auto* self = static_cast<TlsConnection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self->buffer_output_ && self->state_ == State::kOpen) {
    if (self->output_.size() + static_cast<size_t>(size) > kOutput && !self->Flush()) {
      BIO_set_retry_write(bio);
      return -1;
    }
    self->output_.insert(self->output_.end(), in, in + size);
    return size;
  }
  const ssize_t sent = send(self->fd_, in, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

bool TlsConnection::Flush() {
  while (output_sent_ < output_.size()) {
    const ssize_t sent =
        send(fd_, output_.data() + output_sent_, output_.size() - output_sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) Fail("send");
    if (sent < 0) return false;
    output_sent_ += static_cast<size_t>(sent);
  }
  output_.clear();
  output_sent_ = 0;
  return true;
}

// --- the life of a connection ---------------------------------------------------

bool TlsConnection::OpenSocket(const TlsClient& client, size_t number) {
  const SocketAddress& to = client.address();
  fd_ = socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    Fail("socket");
    return false;
  }
  const int on = 1;
  if (!to.is_unix() && !client.nagle()) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (to.family() == AF_INET && to.is_local()) BindSource(fd_, client.source(), number);
  if (connect(fd_, to.get(), to.length()) == 0 || errno == EINPROGRESS) return true;
  Fail("connect");
  return false;
}

void TlsConnection::Start(Poller& poller, uint64_t tag, const TlsClient& client, size_t number,
                          SSL_SESSION* session) {
  Close();
  readable_ = ended_ = end_ = false;
  begin_ = size_ = 0;
  output_.clear();
  output_sent_ = 0;
  error_ = "";
  connected_ = opened_ = 0;
  started_ = Now();
  if (room_ != client.buffer()) {
    room_ = client.buffer();
    buffer_ = std::make_unique_for_overwrite<uint8_t[]>(room_);
  }
  buffer_output_ = client.buffer_output();
  starttls_ = client.starttls();
  if (!OpenSocket(client, number)) return;
  ssl_.reset(SSL_new(client.context()));
  SSL_set_connect_state(ssl_.get());
  if (session != nullptr) SSL_set_session(ssl_.get(), session);
  BIO* bio = BIO_new(Method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  state_ = State::kConnecting;
  poller.Add(fd_, tag);
}

void TlsConnection::Advance(bool ended) {
  readable_ = true;
  ended_ |= ended;
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t length = sizeof error;
    if (ended) getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Fail("connect");
    connected_ = Now();
    state_ = State::kHandshake;
    if (starttls_ != nullptr) {
      dialogue_.Begin(*starttls_);
      state_ = State::kDialogue;
    }
  }
  if (state_ == State::kDialogue) Talk();
  if (state_ == State::kHandshake) Handshake();
  AwaitEnd();
}

void TlsConnection::AwaitEnd() {
  uint8_t dropped[512];
  while (state_ == State::kFinishing && Read(dropped) > 0) continue;
}

void TlsConnection::Talk() {
  while (dialogue_.state() == Dialogue::State::kSay ||
         dialogue_.state() == Dialogue::State::kWait) {
    if (dialogue_.state() == Dialogue::State::kSay) {
      const std::string_view line = dialogue_.Say();
      const ssize_t sent = send(fd_, line.data(), line.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(line.size()))
        return Fail("the socket did not take a whole line");
    }
    if (size_ == 0 && readable_) Receive();
    if (size_ == 0 && end_) return Fail("the gateway ended the dialogue");
    if (size_ == 0) return;
    const auto* octets = reinterpret_cast<const char*>(buffer_.get() + begin_);
    const size_t taken = dialogue_.Take({octets, size_});
    begin_ += taken;
    size_ -= taken;
  }
  if (dialogue_.state() == Dialogue::State::kFailed) return Fail("the gateway refused a command");
  if (size_ > 0) return Fail("the gateway sent octets after the go-ahead");
  state_ = State::kHandshake;
}

void TlsConnection::Handshake() {
  ERR_clear_error();
  const int ret = SSL_do_handshake(ssl_.get());
  if (ret != 1) return Blocked(ret, "handshake");
  opened_ = Now();
  state_ = State::kOpen;
}

void TlsConnection::Write(std::span<const uint8_t> message) {
  ERR_clear_error();
  const int ret = SSL_write(ssl_.get(), message.data(), static_cast<int>(message.size()));
  if (ret != static_cast<int>(message.size())) Fail("the socket did not take a whole message");
}

size_t TlsConnection::WriteSome(std::span<const uint8_t> octets) {
  ERR_clear_error();
  const int ret = SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size()));
  if (ret > 0) return static_cast<size_t>(ret);
  Blocked(ret, "write");
  return 0;
}

size_t TlsConnection::Read(std::span<uint8_t> space) {
  ERR_clear_error();
  const int ret = SSL_read(ssl_.get(), space.data(), static_cast<int>(space.size()));
  if (ret > 0) return static_cast<size_t>(ret);
  Blocked(ret, "read");
  return 0;
}

void TlsConnection::Blocked(int ret, const char* what) {
  const int error = SSL_get_error(ssl_.get(), ret);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  const bool ended = error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL;
  if (state_ == State::kFinishing && ended) {
    state_ = State::kEnded;
  } else {
    Fail(ended ? "the gateway ended the connection" : what);
  }
}

void TlsConnection::Finish() {
  ERR_clear_error();
  state_ = State::kFinishing;
  SSL_shutdown(ssl_.get());
  shutdown(fd_, SHUT_WR);
  AwaitEnd();
}

void TlsConnection::Fail(const char* what) {
  error_ = what;
  state_ = State::kFailed;
}

void TlsConnection::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  ssl_.reset();
  state_ = State::kIdle;
}

}  // namespace starling::bench
