// LDAP's messages as far as the gateway needs them: the id and the operation of a request,
// and the gateway's own short answers. RFC 4511.
//
// Not for: the contents of operations (ldap.cc reads those of the two that matter).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// Universal tags (X.690 8.1.2), and those of RFC 4511 appendix B.
inline constexpr uint8_t kLdapInteger = 0x02;
inline constexpr uint8_t kLdapOctetString = 0x04;
inline constexpr uint8_t kLdapBindRequest = 0x60;
inline constexpr uint8_t kLdapUnbindRequest = 0x42;
inline constexpr uint8_t kLdapAbandonRequest = 0x50;
inline constexpr uint8_t kLdapExtendedRequest = 0x77;
inline constexpr uint8_t kLdapExtendedResponse = 0x78;

enum class LdapResult : uint8_t {  // RFC 4511 4.1.9
  kSuccess = 0,
  kProtocolError = 2,
  kUnavailableCriticalExtension = 12,
  kConfidentialityRequired = 13,
  kUnavailable = 52,
};

// The critical controls of a request (RFC 4511 4.1.11). A server that does not support one
// must not perform the operation.
enum class LdapCritical : uint8_t {
  kNone,     // no critical control, or only some that do not affect StartTLS
  kKnown,    // servers may know them, but StartTLS has no use for them
  kUnknown,  // at least one that nobody knows
};

struct LdapMessage {
  enum class Status : uint8_t { kNeedMore, kBad, kTooLong, kMessage };
  Status status = Status::kNeedMore;
  size_t size = 0;  // octets of the whole message
  uint32_t id = 0;  // 1 to 2^31-1
  uint8_t op = 0;   // the tag of the operation
  ByteView body;    // its content
  LdapCritical critical = LdapCritical::kNone;
};

// The first message of `in`, if it has at most kLdapMaxMessage octets.
LdapMessage ReadLdapMessage(ByteView in);

// The tag of the response to a request. 0 if it has no response, or is not a request.
uint8_t LdapResponseTo(uint8_t request);

// In both, `text` may have at most 100 octets.
void SayLdapResult(uint32_t id, uint8_t tag, LdapResult result, std::string_view text, Writer& out);
// A notice of disconnection (section 4.4.1), which a server sends unasked.
void SayLdapNotice(LdapResult result, std::string_view text, Writer& out);

}  // namespace starling
