#include "protocols/ldap/ldap_message.h"

#include <algorithm>
#include <array>
#include <optional>

#include "protocols/frames/dialogue.h"
#include "protocols/ldap/ber.h"
#include "protocols/ldap/limits.h"

namespace starling {

namespace {

constexpr std::string_view kNoticeOid = "1.3.6.1.4.1.1466.20036";

constexpr uint8_t kBoolean = 0x01;
constexpr uint8_t kEnumerated = 0x0a;
constexpr uint8_t kSequence = 0x30;
constexpr uint8_t kControls = 0xa0;
constexpr uint8_t kResponseName = 0x8a;

// Builds one message from its end to its beginning, so that it knows each length when it
// writes it. All of the gateway's messages fit into kRoom octets.
class MessageBuilder {
 public:
  void Text(uint8_t tag, std::string_view text) {
    if (text.size() > begin_) return;
    begin_ -= text.size();
    for (size_t i = 0; i < text.size(); ++i) octets_[begin_ + i] = static_cast<uint8_t>(text[i]);
    Head(tag, text.size());
  }
  void Code(LdapResult result) {
    Put(static_cast<uint8_t>(result));
    Head(kEnumerated, 1);
  }
  void Number(uint32_t number) {
    const size_t before = size();
    do {
      Put(static_cast<uint8_t>(number));
      number >>= 8;
    } while (number != 0);
    if ((octets_[begin_] & 0x80) != 0) Put(0);  // the sign
    Head(kLdapInteger, size() - before);
  }
  void Around(uint8_t tag) { Head(tag, size()); }
  ByteView view() const { return ByteView(octets_).subspan(begin_); }

 private:
  static constexpr size_t kRoom = 256;

  size_t size() const { return kRoom - begin_; }
  void Put(uint8_t octet) {
    if (begin_ > 0) octets_[--begin_] = octet;
  }
  void Head(uint8_t tag, size_t length) {
    Put(static_cast<uint8_t>(length));
    if (length >= 0x80) Put(0x81);
    Put(tag);
  }

  std::array<uint8_t, kRoom> octets_{};
  size_t begin_ = kRoom;
};

// Critical controls that do not affect StartTLS. Java's clients send ManageDsaIT with every
// request.
constexpr std::array<std::string_view, 2> kHarmless = {
    "2.16.840.1.113730.3.4.2",     // ManageDsaIT (RFC 3296)
    "1.3.6.1.4.1.21008.108.63.1",  // session tracking
};

// Controls that servers may know. A request with one of these is told that it needs TLS.
// The answer that the control is unknown would be false for the server, and clients
// remember it.
constexpr std::array<std::string_view, 21> kOfServers = {
    "1.2.840.113556.1.4.319",     // paged results (RFC 2696)
    "1.2.840.113556.1.4.473",     // sorting (RFC 2891)
    "2.16.840.1.113730.3.4.9",    // virtual list view
    "2.16.840.1.113730.3.4.18",   // proxied authorization (RFC 4370)
    "2.16.840.1.113730.3.4.3",    // persistent search
    "2.16.840.1.113730.3.4.16",   // authorization identity (RFC 3829)
    "1.3.6.1.1.12",               // assertion (RFC 4528)
    "1.3.6.1.1.13.1",             // pre-read (RFC 4527)
    "1.3.6.1.1.13.2",             // post-read
    "1.3.6.1.1.21.2",             // transactions (RFC 5805)
    "1.3.6.1.1.22",               // do not use a copy (RFC 6171)
    "1.3.6.1.4.1.4203.1.9.1.1",   // synchronization (RFC 4533)
    "1.3.6.1.4.1.4203.1.10.1",    // subentries (RFC 3672)
    "1.3.6.1.4.1.4203.1.10.2",    // no-op
    "1.2.826.0.1.3344810.2.3",    // matched values (RFC 3876)
    "1.3.6.1.4.1.42.2.27.8.5.1",  // password policy
    "1.2.840.113556.1.4.805",     // deletion of a tree
    "1.2.840.113556.1.4.841",     // DirSync
    "1.2.840.113556.1.4.1339",    // domain scope
    "1.2.840.113556.1.4.1413",    // permissive modify
    "1.2.840.113556.1.4.417",     // deleted objects
};

LdapCritical JudgeCritical(std::string_view oid) {
  if (std::ranges::find(kHarmless, oid) != kHarmless.end()) return LdapCritical::kNone;
  return std::ranges::find(kOfServers, oid) != kOfServers.end() ? LdapCritical::kKnown
                                                                : LdapCritical::kUnknown;
}

// Returns false if the controls are malformed. `critical`: the worst of them.
bool ReadControls(ByteView controls, LdapCritical& critical) {
  while (!controls.empty()) {
    std::optional<ByteView> control = TakeBer(controls, kSequence);
    const std::optional<ByteView> oid =
        control ? TakeBer(*control, kLdapOctetString) : std::nullopt;
    if (!oid) return false;
    while (!control->empty()) {
      const std::optional<BerElement> part = TakeBer(*control);
      if (!part || (part->tag == kBoolean && part->content.size() != 1)) return false;
      if (part->tag != kBoolean || part->content[0] == 0) continue;
      critical = std::max(critical, JudgeCritical(AsText(*oid)));
    }
  }
  return true;
}

// RFC 4511 4.1.1. As section 4 demands, unknown parts at the end are ignored.
bool ReadContent(ByteView rest, LdapMessage& message) {
  const std::optional<ByteView> id = TakeBer(rest, kLdapInteger);
  if (!id) return false;
  const std::optional<uint32_t> number = ReadBerNumber(*id);
  // 0 marks messages that a server sends unasked.
  if (!number || *number == 0) return false;
  const std::optional<BerElement> operation = TakeBer(rest);
  if (!operation) return false;
  message.id = *number;
  message.op = operation->tag;
  message.body = operation->content;
  while (!rest.empty()) {
    const std::optional<BerElement> more = TakeBer(rest);
    if (!more) return false;
    if (more->tag == kControls && !ReadControls(more->content, message.critical)) return false;
  }
  return true;
}

}  // namespace

LdapMessage ReadLdapMessage(ByteView in) {
  LdapMessage message;
  if (!in.empty() && in[0] != kSequence) {
    message.status = LdapMessage::Status::kBad;
    return message;
  }
  const BerHead head = ReadBerHead(in);
  if (head.status == BerHead::Status::kNeedMore) return message;
  if (head.status == BerHead::Status::kBad) {
    message.status = LdapMessage::Status::kBad;
    return message;
  }
  if (head.length > kLdapMaxMessage - head.size) {
    message.status = LdapMessage::Status::kTooLong;
    return message;
  }
  message.size = head.size + head.length;
  if (in.size() < message.size) return message;
  message.status = ReadContent(in.subspan(head.size, head.length), message)
                       ? LdapMessage::Status::kMessage
                       : LdapMessage::Status::kBad;
  return message;
}

uint8_t LdapResponseTo(uint8_t request) {
  switch (request) {
    case kLdapBindRequest:
      return 0x61;
    case 0x63:  // search: its end
      return 0x65;
    case 0x66:  // modify
      return 0x67;
    case 0x68:  // add
      return 0x69;
    case 0x4a:  // delete
      return 0x6b;
    case 0x6c:  // modify DN
      return 0x6d;
    case 0x6e:  // compare
      return 0x6f;
    case kLdapExtendedRequest:
      return kLdapExtendedResponse;
    default:
      return 0;
  }
}

void SayLdapResult(uint32_t id, uint8_t tag, LdapResult result, std::string_view text,
                   Writer& out) {
  MessageBuilder message;
  message.Text(kLdapOctetString, text);  // the diagnostic message
  message.Text(kLdapOctetString, "");    // the matched DN
  message.Code(result);
  message.Around(tag);
  message.Number(id);
  message.Around(kSequence);
  Say(out, {AsText(message.view())});
}

void SayLdapNotice(LdapResult result, std::string_view text, Writer& out) {
  MessageBuilder message;
  message.Text(kResponseName, kNoticeOid);
  message.Text(kLdapOctetString, text);
  message.Text(kLdapOctetString, "");
  message.Code(result);
  message.Around(kLdapExtendedResponse);
  message.Number(0);
  message.Around(kSequence);
  Say(out, {AsText(message.view())});
}

}  // namespace starling
