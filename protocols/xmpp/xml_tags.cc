#include "protocols/xmpp/xml_tags.h"

#include "protocols/frames/dialogue.h"

namespace starling {

namespace {

// Separates a namespace from a name. It is not an XML character, so neither can contain it.
constexpr char kBetween = '\1';

constexpr std::string_view kDeclaration = "<?xml";

bool IsWhite(uint8_t octet) {
  return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

// Characters of one octet that XML does not allow (XML 1.0 section 2.2).
bool IsControl(uint8_t octet) { return octet < 0x20 && !IsWhite(octet); }

// Whether `begin` is a prefix of "<?xml ", or begins with it.
bool MayBeDeclaration(ByteView begin) {
  const std::string_view text = AsText(begin);
  if (text.size() <= kDeclaration.size()) return kDeclaration.starts_with(text);
  return text.starts_with(kDeclaration) && IsWhite(begin[kDeclaration.size()]);
}

// Whether a tag may begin like this; kTag: yes. `begun`: something has come before it.
XmlTags::Status CheckBegin(ByteView begin, bool begun) {
  if (begin[0] != '<') return XmlTags::Status::kText;
  if (begin.size() == 1) return XmlTags::Status::kTag;
  const bool bad = begin[1] == '!' || (begin[1] == '?' && (begun || !MayBeDeclaration(begin)));
  return bad ? XmlTags::Status::kRestricted : XmlTags::Status::kTag;
}

XmlTags::Status StatusOf(XML_Error error) {
  switch (error) {
    case XML_ERROR_NO_MEMORY:
      return XmlTags::Status::kFull;
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF:
      return XmlTags::Status::kRestricted;
    default:
      return XmlTags::Status::kMalformed;
  }
}

}  // namespace

std::string_view XmlTag::Attribute(std::string_view wanted) const {
  for (const char* const* at = attributes; *at != nullptr; at += 2) {
    if (wanted == at[0]) return at[1];
  }
  return {};
}

void XmlTags::Start(uint32_t salt) {
  const XmlArena::Use use(arena_);
  static constexpr char kSeparator[] = {kBetween, '\0'};
  parser_ = XML_ParserCreate_MM("UTF-8", &XmlArena::kSuite, kSeparator);
  if (parser_ == nullptr) return;
  // If the salt were zero, expat would ask the system for a seed.
  XML_SetHashSalt(parser_, uint64_t{1} << 32 | salt);
  XML_SetUserData(parser_, this);
  XML_SetXmlDeclHandler(parser_, OnDeclaration);
  XML_SetStartNamespaceDeclHandler(parser_, OnSpace);
  XML_SetElementHandler(parser_, OnBegin, OnEnd);
}

XmlTags::Status XmlTags::Take(ByteView in, size_t& consumed, Handler& handler) {
  if (scanned_ == 0) {
    while (consumed < in.size() && IsWhite(in[consumed])) {
      begun_ = true;
      ++consumed;
    }
  }
  const ByteView rest = in.subspan(consumed);
  size_t end = 0;
  Status status = Scan(rest, end);
  if (status != Status::kTag) return status;
  status = Parse(rest.first(end), handler);
  if (status != Status::kTag) return status;
  consumed += end;
  scanned_ = 0;
  begun_ = true;
  return status;
}

// Finds the end of the tag at the beginning of `rest`. Rejects what may not begin a tag.
XmlTags::Status XmlTags::Scan(ByteView rest, size_t& end) {
  for (; scanned_ < rest.size(); ++scanned_) {
    if (scanned_ <= kDeclaration.size()) {
      const Status status = CheckBegin(rest.first(scanned_ + 1), begun_);
      if (status != Status::kTag) return status;
      if (scanned_ == 0) continue;
    }
    if (scanned_ >= kXmlMaxTag) return Status::kTooLong;
    const uint8_t octet = rest[scanned_];
    if (octet > '>') continue;  // nearly all octets end here
    if (IsControl(octet)) return Status::kMalformed;
    if (quote_ != 0) {
      if (octet == quote_) quote_ = 0;
    } else if (octet == '"' || octet == '\'') {
      quote_ = octet;
    } else if (octet == '<') {
      return Status::kMalformed;
    } else if (octet == '>') {
      end = scanned_ + 1;
      return Status::kTag;
    }
  }
  return Status::kNeedMore;
}

XmlTags::Status XmlTags::Parse(ByteView tag, Handler& handler) {
  if (parser_ == nullptr) return Status::kFull;
  handler_ = &handler;
  heard_ = false;
  const XmlArena::Use use(arena_);
  const XML_Status status = XML_Parse(parser_, reinterpret_cast<const char*>(tag.data()),
                                      static_cast<int>(tag.size()), /*isFinal=*/0);
  handler_ = nullptr;
  if (status != XML_STATUS_OK) return StatusOf(XML_GetErrorCode(parser_));
  if (bad_encoding_) return Status::kBadEncoding;
  // If expat does not report a tag that looks complete, it never will.
  return heard_ ? Status::kTag : Status::kMalformed;
}

void XmlTags::Wipe() {
  // All of the parser's memory is in the arena, so nothing else needs freeing.
  parser_ = nullptr;
  scanned_ = 0;
  quote_ = 0;
  arena_.Wipe();
}

void XmlTags::OnDeclaration(void* self, const char* /*version*/, const char* encoding,
                            int /*standalone*/) {
  auto* tags = static_cast<XmlTags*>(self);
  tags->heard_ = true;
  if (encoding != nullptr && !EqualsIgnoreCase(encoding, "UTF-8")) tags->bad_encoding_ = true;
}

void XmlTags::OnSpace(void* self, const char* prefix, const char* space) {
  auto* tags = static_cast<XmlTags*>(self);
  if (prefix == nullptr) tags->handler_->OnSpace(space == nullptr ? "" : space);
}

void XmlTags::OnBegin(void* self, const char* name, const char** attributes) {
  auto* tags = static_cast<XmlTags*>(self);
  tags->heard_ = true;
  XmlTag tag{.name = name, .attributes = attributes};
  const size_t between = tag.name.find(kBetween);
  if (between != std::string_view::npos) {
    tag.space = tag.name.substr(0, between);
    tag.name.remove_prefix(between + 1);
  }
  tags->handler_->OnBegin(tag);
}

void XmlTags::OnEnd(void* self, const char* /*name*/) {
  auto* tags = static_cast<XmlTags*>(self);
  tags->heard_ = true;
  tags->handler_->OnEnd();
}

}  // namespace starling
