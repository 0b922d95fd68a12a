// The fixed limits of LDAP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A message before TLS. The dialogue reads it when it is whole. StartTLS and simple binds
// have less than 200 octets, a bind with a Kerberos ticket a few thousand. RFC 4511 sets no
// limit.
inline constexpr size_t kLdapMaxMessage = 8'192;

}  // namespace starling
