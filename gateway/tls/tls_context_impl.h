// What a TlsContext is made of. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/credential_index.h"
#include "gateway/tls/span_bio.h"
#include "gateway/tls/tickets.h"
#include "gateway/tls/tls_context.h"

namespace starling {

struct TlsContext::Impl {
  explicit Impl(const TlsPolicy& policy)
      : alpn(policy.alpn),
        index(MakeCredentialIndex(policy.credentials)),
        tickets(policy.tickets) {}

  // False on lack of memory.
  bool Init();

  // The context an SSL was made from.
  static Impl& Of(const SSL* ssl);

  std::string alpn;
  std::shared_ptr<const CredentialIndex> index;
  TicketSealer tickets;
  SpanBio bio;
  bssl::UniquePtr<SSL_CTX> ctx;
};

}  // namespace starling
