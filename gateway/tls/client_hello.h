// What of a connection depends on its ClientHello: the order of groups, the order
// of ciphers, and the certificates for the name it asks for. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "gateway/tls/tls_context_impl.h"

namespace starling {

// Sets what is the same for all connections: versions, groups and suites in the
// server's order (RFC 9325), the default credentials. False on lack of memory.
bool ApplyPolicy(SSL_CTX* ctx, const TlsContext::Impl& context);

// To be called from select_certificate_cb. False fails the handshake.
bool OnClientHello(const SSL_CLIENT_HELLO& hello, const TlsContext::Impl& context);

// The groups of `policy` in the order for a client that sent these key shares: a
// group without a share would cost a round trip (HelloRetryRequest, RFC 8446
// section 4.1.4). `key_share` is the extension's body. Writes as many groups as the
// policy has; false if its own order will do.
bool OrderGroupsByKeyShare(std::span<const uint8_t> key_share, std::span<const uint16_t> policy,
                           std::span<uint16_t> groups);
// The most groups that a policy has.
inline constexpr size_t kMaxGroups = 8;

// The highest version that the hello offers, an index into kTlsOfferedLabels.
uint8_t OfferedVersion(const SSL_CLIENT_HELLO& hello);

}  // namespace starling
