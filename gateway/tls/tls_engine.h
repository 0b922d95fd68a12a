// The common part of contexts for clients and for servers: the library's context, the
// BIO, and the session whose library call is running. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include "gateway/tls/span_bio.h"

namespace starling {

class TlsSession;

struct TlsEngine {
  SpanBio bio;
  TlsSession* current = nullptr;  // the session whose library call is running
  bssl::UniquePtr<SSL_CTX> ctx;

  // The engine that made `ssl`.
  static TlsEngine& Of(const SSL* ssl) {
    return *static_cast<TlsEngine*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }

 protected:
  TlsEngine() = default;
  ~TlsEngine() = default;
  // Sets what all contexts share. False when memory ran out.
  bool MakeContext();
};

}  // namespace starling
