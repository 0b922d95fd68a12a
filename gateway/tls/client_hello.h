// What of a connection depends on its ClientHello: the order of groups, the order
// of ciphers, and the certificates for the name it asks for. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace starling {

class CredentialIndex;

// Sets what is the same for all connections: versions, groups and suites in the
// server's order (RFC 9325), the default credentials. False on lack of memory.
bool ApplyPolicy(SSL_CTX* ctx, const CredentialIndex& credentials);

// To be called from select_certificate_cb. False fails the handshake.
bool OnClientHello(const SSL_CLIENT_HELLO& hello, const CredentialIndex& credentials);

// The supported groups in the order for a client that sent these key shares: a
// group without a share would cost a round trip (HelloRetryRequest, RFC 8446
// section 4.1.4). `key_share` is the extension's body. Writes
// kSupportedGroupCount groups; false if the ordinary order will do.
inline constexpr size_t kSupportedGroupCount = 3;
bool OrderGroupsByKeyShare(std::span<const uint8_t> key_share,
                           std::span<uint16_t, kSupportedGroupCount> groups);

}  // namespace starling
