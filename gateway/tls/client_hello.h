// Adapts a connection to its ClientHello: the order of groups, the order of ciphers, and
// the certificates for the requested server name. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "gateway/tls/tls_context_impl.h"

namespace starling {

// Sets what all connections of a context share: versions, groups and suites in the
// server's order (RFC 9325), and the default credentials. False when memory ran out.
bool ApplyPolicy(SSL_CTX* ctx, const TlsContext::Impl& context);

// Call from select_certificate_cb. False fails the handshake.
bool OnClientHello(const SSL_CLIENT_HELLO& hello, const TlsContext::Impl& context);

// Orders the groups of `policy` for a client that sent these key shares, groups with a
// share first: a group without one would cost a round trip (HelloRetryRequest, RFC 8446
// section 4.1.4). `key_share` is the extension's body. Writes policy.size() groups. False
// if the policy's own order will do.
bool OrderGroupsByKeyShare(std::span<const uint8_t> key_share, std::span<const uint16_t> policy,
                           std::span<uint16_t> groups);
// The largest number of groups in a policy.
inline constexpr size_t kMaxGroups = 8;

// The highest version that the hello offers; an index into kTlsOfferedLabels.
uint8_t OfferedVersion(const SSL_CLIENT_HELLO& hello);

}  // namespace starling
