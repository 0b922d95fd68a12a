// The fixed limits of PostgreSQL, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling {

// A request before TLS, as its length claims; the server's own bound for what a
// connection begins with (MAX_STARTUP_PACKET_LENGTH).
inline constexpr uint32_t kPostgresqlMaxRequest = 10'000;

// A CancelRequest: length, code, the session's number, and its key. That has 4 octets;
// since version 3.2 of the protocol it may have up to 256.
inline constexpr size_t kPostgresqlMinCancel = 16;
inline constexpr size_t kPostgresqlMaxCancel = 268;

}  // namespace starling
