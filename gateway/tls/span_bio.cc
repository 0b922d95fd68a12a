#include "gateway/tls/span_bio.h"

#include <algorithm>
#include <cstring>

namespace starling {

SpanBio::SpanBio() : bio_(Method() == nullptr ? nullptr : BIO_new(Method())) {
  if (bio_ == nullptr) return;
  BIO_set_data(bio_.get(), this);
  BIO_set_init(bio_.get(), 1);
}

int SpanBio::Read(BIO* bio, char* out, int len) {
  BIO_clear_retry_flags(bio);
  TlsSession::Io* io = static_cast<SpanBio*>(BIO_get_data(bio))->io_;
  const size_t available = io == nullptr ? 0 : io->in.size() - io->consumed;
  if (available == 0 || len <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(available, static_cast<size_t>(len));
  std::memcpy(out, io->in.data() + io->consumed, n);
  io->consumed += n;
  return static_cast<int>(n);
}

int SpanBio::Write(BIO* bio, const char* in, int len) {
  BIO_clear_retry_flags(bio);
  TlsSession::Io* io = static_cast<SpanBio*>(BIO_get_data(bio))->io_;
  const size_t room = io == nullptr ? 0 : io->out.size() - io->written;
  if (room == 0 || len <= 0) {
    BIO_set_retry_write(bio);
    return -1;
  }
  const size_t n = std::min(room, static_cast<size_t>(len));
  std::memcpy(io->out.data() + io->written, in, n);
  io->written += n;
  return static_cast<int>(n);
}

long SpanBio::Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* SpanBio::Method() {
  // Never freed, because BIOs may outlive every other static object.
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "span");
    if (m != nullptr) {
      BIO_meth_set_read(m, &SpanBio::Read);
      BIO_meth_set_write(m, &SpanBio::Write);
      BIO_meth_set_ctrl(m, &SpanBio::Control);
    }
    return m;
  }();
  return method;
}

}  // namespace starling
