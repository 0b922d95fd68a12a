// LDAP's messages as far as a gateway needs them: who asks for what, and the short
// answers that it gives itself. RFC 4511.
//
// Not for: what an operation asks for (ldap.cc reads the two that matter).
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

// The controls of a request that its client calls critical (RFC 4511 4.1.11): an operation
// is not to be done without them.
enum class LdapCritical : uint8_t {
  kNone,     // or those that change nothing about StartTLS
  kKnown,    // servers know them, StartTLS has no use for them
  kUnknown,  // one at least
};

struct LdapMessage {
  enum class Status : uint8_t { kNeedMore, kBad, kTooLong, kMessage };
  Status status = Status::kNeedMore;
  size_t size = 0;  // octets of the whole
  uint32_t id = 0;  // 1 to 2^31-1
  uint8_t op = 0;   // the tag of the operation
  ByteView body;    // its content
  LdapCritical critical = LdapCritical::kNone;
};

// The first message of `in`, of kLdapMaxMessage octets at most.
LdapMessage ReadLdapMessage(ByteView in);

// The tag of the response to a request; 0: it has none, or it is no request.
uint8_t LdapResponseTo(uint8_t request);

// Both have a `text` of 100 octets at most.
void SayLdapResult(uint32_t id, uint8_t tag, LdapResult result, std::string_view text, Writer& out);
// A notice of disconnection (section 4.4.1): what the server says unasked.
void SayLdapNotice(LdapResult result, std::string_view text, Writer& out);

}  // namespace starling
