// Reads a stream of XML tag by tag, as XMPP uses it before TLS (RFC 6120 section 11): no
// DOCTYPE, comment, processing instruction, CDATA or entity except XML's five; no text
// except white space; only UTF-8; every part bounded. Expat interprets the tags and gets
// one whole tag at a time. So a tag is complete at its ">" and not an octet later, whatever
// the version of the library, and nothing depends on how octets were cut.
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

// The start tag of an element. The views are valid until the handler returns.
struct XmlTag {
  std::string_view space;  // its namespace; empty if it has no namespace
  std::string_view name;
  const char* const* attributes = nullptr;  // name, value, ... and null

  // The attribute's value. Empty if the tag does not have it.
  std::string_view Attribute(std::string_view wanted) const;
};

class XmlTags {
 public:
  // For a tag that is a whole element, the reader calls OnBegin and OnEnd.
  class Handler {
   public:
    // The default namespace that the next tag declares.
    virtual void OnSpace(std::string_view space) = 0;
    virtual void OnBegin(const XmlTag& tag) = 0;
    virtual void OnEnd() = 0;

   protected:
    ~Handler() = default;
  };

  enum class Status : uint8_t {
    kNeedMore,     // the tag at hand needs further octets
    kTag,          // the reader has read one tag, or the XML declaration
    kText,         // the next octet is text other than white space
    kMalformed,    // the XML is not well-formed
    kRestricted,   // XML that XMPP does not allow
    kBadEncoding,  // the XML declares another encoding than UTF-8
    kTooLong,      // a tag exceeds its limit
    kFull,         // a tag needs more memory than there is
  };

  XmlTags() = default;
  XmlTags(const XmlTags&) = delete;
  XmlTags& operator=(const XmlTags&) = delete;

  // Makes the parser. `salt` seeds its hash tables.
  void Start(uint32_t salt);

  // Consumes white space and at most one tag. The caller gives unconsumed octets of `in`
  // again, with those that have arrived since. After any status except kNeedMore and kTag
  // there is no further call.
  Status Take(ByteView in, size_t& consumed, Handler& handler);

  // Overwrites all that the reader has read. It reads nothing from then on.
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
  Handler* handler_ = nullptr;  // set while expat parses a tag
  size_t scanned_ = 0;          // octets of the current tag that do not end it
  uint8_t quote_ = 0;           // the open quotation mark in the tag, or 0
  bool begun_ = false;          // something has come before, so no declaration may follow
  bool heard_ = false;          // expat has reported the tag
  bool bad_encoding_ = false;
  XmlArena arena_;
};

}  // namespace starling
