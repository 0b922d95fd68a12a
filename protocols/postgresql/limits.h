// The fixed limits of PostgreSQL. Each names its source, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling {

// The largest length that a request before TLS may claim. The server has the same limit for
// a connection's first message (MAX_STARTUP_PACKET_LENGTH).
inline constexpr uint32_t kPostgresqlMaxRequest = 10'000;

// A CancelRequest: length, code, the session's number and its key. The key has 4 octets;
// since version 3.2 of the protocol it may have up to 256.
inline constexpr size_t kPostgresqlMinCancel = 16;
inline constexpr size_t kPostgresqlMaxCancel = 268;

}  // namespace starling
