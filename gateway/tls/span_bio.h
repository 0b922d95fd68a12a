// The BIO through which the TLS library reads from and writes to the caller's spans
// directly. One object serves all sessions of a context, because only one of them runs at
// a time. Each SSL holds a reference to it.
//
// Not for: buffering. Without a current Io the BIO has nothing to read and no room to
// write.
#pragma once

#include <openssl/bio.h>

#include "gateway/tls/tls_session.h"

namespace starling {

class SpanBio {
 public:
  SpanBio();
  SpanBio(const SpanBio&) = delete;
  SpanBio& operator=(const SpanBio&) = delete;

  // Null if memory ran out.
  BIO* bio() const { return bio_.get(); }

  // Makes `io` the current Io as long as the object lives.
  class Use {
   public:
    Use(SpanBio& bio, TlsSession::Io& io) : bio_(bio) { bio_.io_ = &io; }
    ~Use() { bio_.io_ = nullptr; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    SpanBio& bio_;
  };

 private:
  static int Read(BIO* bio, char* out, int len);
  static int Write(BIO* bio, const char* in, int len);
  static long Control(BIO* bio, int command, long number, void* pointer);
  static const BIO_METHOD* Method();

  bssl::UniquePtr<BIO> bio_;
  TlsSession::Io* io_ = nullptr;
};

}  // namespace starling
