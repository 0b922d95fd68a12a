// The fixed limits of LDAP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>

namespace starling {

// A message before TLS, which is looked at when it is whole. StartTLS and simple
// binds have less than 200 octets, a bind with a Kerberos ticket a few thousand; RFC
// 4511 sets no bound.
inline constexpr size_t kLdapMaxMessage = 8'192;

}  // namespace starling
