// Reads a stream of XML tag by tag, as XMPP has it before TLS (RFC 6120 section
// 11): no DOCTYPE, comment, processing instruction, CDATA or entity other than the
// five of XML; no text but white space; UTF-8 alone; bounded in every way. What a
// tag means is left to expat, which gets one whole tag at a time: so a tag is known
// by its ">" and not an octet later, whatever the version of the library, and
// nothing depends on how octets were cut.
//
// Not for: what the elements mean (xmpp.cc).
#pragma once

#include <expat.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/xmpp/xml_arena.h"

namespace starling {

// A begin of an element. Views are good until the handler returns.
struct XmlTag {
  std::string_view space;  // its namespace; empty: none
  std::string_view name;
  const char* const* attributes = nullptr;  // name, value, ... and null

  // Empty if it has none of that name.
  std::string_view Attribute(std::string_view wanted) const;
};

class XmlTags {
 public:
  // Both are called for a tag that is an element by itself.
  class Handler {
   public:
    // The default namespace that the tag to come declares.
    virtual void OnSpace(std::string_view space) = 0;
    virtual void OnBegin(const XmlTag& tag) = 0;
    virtual void OnEnd() = 0;

   protected:
    ~Handler() = default;
  };

  enum class Status : uint8_t {
    kNeedMore,     // of the octets not consumed, and of others
    kTag,          // one tag or the XML declaration was read
    kText,         // the next octet is text, and no white space
    kMalformed,    // no well-formed XML
    kRestricted,   // XML that XMPP does not allow
    kBadEncoding,  // it says that it is not UTF-8
    kTooLong,      // a tag over its limit
    kFull,         // a tag that needs more memory than there is
  };

  XmlTags() = default;
  XmlTags(const XmlTags&) = delete;
  XmlTags& operator=(const XmlTags&) = delete;

  // Makes the parser; `salt` is what its hash tables are seeded with.
  void Start(uint32_t salt);

  // Consumes white space and at most one tag. What is not consumed of `in` is given
  // again, with what has arrived since. After anything but kNeedMore and kTag it is
  // not called again.
  Status Take(ByteView in, size_t& consumed, Handler& handler);

  // Forgets all that it has read. Nothing is read from here on.
  void Wipe();

  size_t memory_used() const { return arena_.used(); }

 private:
  Status Scan(ByteView rest, size_t& end);
  Status Parse(ByteView tag, Handler& handler);

  static void OnDeclaration(void* self, const char* version, const char* encoding, int standalone);
  static void OnSpace(void* self, const char* prefix, const char* space);
  static void OnBegin(void* self, const char* name, const char** attributes);
  static void OnEnd(void* self, const char* name);

  XML_Parser parser_ = nullptr;
  Handler* handler_ = nullptr;  // while a tag is parsed
  size_t scanned_ = 0;          // octets of the tag at hand that are no end of it
  uint8_t quote_ = 0;           // the one that is open in it
  bool begun_ = false;          // something came before it: no declaration may follow
  bool heard_ = false;          // expat has made something of the tag
  bool bad_encoding_ = false;
  XmlArena arena_;
};

}  // namespace starling
