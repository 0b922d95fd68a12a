// What a probe asks a directory: for the root entry, without any attribute.
#include "protocols/frames/dialogue.h"
#include "protocols/ldap/ldap.h"

namespace starling {
namespace {

// A search request (RFC 4511 4.5.1) with message id 1: base "", scope baseObject, never
// dereferenced, one entry, five seconds, (objectClass=*), attribute "1.1" (none).
constexpr std::string_view kRootSearch(
    "\x30\x2a\x02\x01\x01\x63\x25\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x01\x02\x01\x05"
    "\x01\x01\x00\x87\x0bobjectClass\x30\x05\x04\x03\x31\x2e\x31",
    44);

}  // namespace

void SayLdapFirstWords(const DialogueOptions& /*options*/, Writer& out) { Say(out, {kRootSearch}); }

}  // namespace starling
