#include "gateway/tls/tls_engine.h"

#include "gateway/io/clock.h"

namespace starling {
namespace {

void CurrentTime(const SSL*, timeval* out) {
  const WallMicros now = WallNow();
  out->tv_sec = now / 1'000'000;
  out->tv_usec = now % 1'000'000;
}

}  // namespace

bool TlsEngine::MakeContext() {
  // This method does not parse X.509: the library sends chains as they are.
  ctx.reset(SSL_CTX_new(TLS_with_buffers_method()));
  if (ctx == nullptr || bio.bio() == nullptr) return false;
  SSL_CTX_set_app_data(ctx.get(), this);
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_current_time_cb(ctx.get(), CurrentTime);
  return true;
}

}  // namespace starling
