// The fixed limits of XMPP. Each names its RFC section, or the reason for its size.
//
// Not for: limits that an operator sets (DialogueOptions, in
// protocols/contract/negotiator.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling {

// All octets before TLS. One header and <starttls/> take about 400.
inline constexpr size_t kXmppMaxOctets = 10'240;

// White space between <starttls/> and the first octet of TLS. A stream may have white space
// between any two elements (RFC 6120 section 11.7), and some clients end each element with
// a line feed.
inline constexpr uint8_t kXmppMaxSpaceAfterUpgrade = 16;

// One tag. Servers' headers have up to 400 octets. The longest address alone (RFC 7622
// section 3.1) could have 3,071.
inline constexpr size_t kXmlMaxTag = 4'096;

// Expat's memory, in the dialogue's storage. A usual header takes half of it. A tag of
// kXmlMaxTag octets fits, unless it has hundreds of attributes.
inline constexpr size_t kXmlMemory = 24'576;

// A client's own name, which the header in return repeats. Domain names have up to 255
// octets (RFC 7622 section 3.2), and before TLS clients send nothing but a domain name.
inline constexpr size_t kXmppMaxName = 255;

}  // namespace starling
