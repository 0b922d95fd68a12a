// The fixed limits of XMPP, each with the section of the RFC that it comes from or the
// reason for its size.
//
// Not for: what an operator may set (DialogueOptions, in protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling {

// All octets before TLS: one header and <starttls/>, about 400.
inline constexpr size_t kXmppMaxOctets = 10'240;

// White space behind <starttls/>, up to the first octet of TLS. A stream may have it between
// any two elements (RFC 6120 section 11.7), and some clients end each element by a line feed.
inline constexpr uint8_t kXmppMaxSpaceAfterUpgrade = 16;

// One tag. Headers of servers have up to 400 octets; the longest address alone (RFC
// 7622 section 3.1) would have 3,071.
inline constexpr size_t kXmlMaxTag = 4'096;

// Expat's memory, in the dialogue's storage. A usual header takes a half of it, and a
// tag of kXmlMaxTag octets fits unless it is made of hundreds of attributes.
inline constexpr size_t kXmlMemory = 24'576;

// A client's own name that is sent back in the header. Names of domains have up to 255
// octets (RFC 7622 section 3.2), and only those are told before TLS.
inline constexpr size_t kXmppMaxName = 255;

}  // namespace starling
