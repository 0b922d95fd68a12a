// What contexts of either side have in common: the library's context, the BIO, and
// whose call is running. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include "gateway/tls/span_bio.h"

namespace starling {

class TlsSession;

struct TlsEngine {
  SpanBio bio;
  TlsSession* current = nullptr;  // whose call of the library is running
  bssl::UniquePtr<SSL_CTX> ctx;

  // That a session was made from.
  static TlsEngine& Of(const SSL* ssl) {
    return *static_cast<TlsEngine*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }

 protected:
  TlsEngine() = default;
  ~TlsEngine() = default;
  // What all contexts are alike in; false on lack of memory.
  bool MakeContext();
};

}  // namespace starling
