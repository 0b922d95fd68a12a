#include "protocols/http/http_head.h"

#include <llhttp.h>

#include <algorithm>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/mangled.h"
#include "protocols/http/limits.h"

namespace starling {

namespace {

constexpr std::string_view kUpgradeField = "Upgrade";
constexpr std::string_view kOptions = "OPTIONS";

// "PRI * HTTP/2.0" is not a request: frames follow it. A line without a version may be
// HTTP/0.9, which has no fields, or any other protocol.
bool IsRequestLine(std::string_view line) {
  return line.find(" HTTP/") != std::string_view::npos && !line.starts_with("PRI * ");
}

// Octets that may stand anywhere except at the beginning of a line.
bool IsPlain(uint8_t octet) { return octet >= 0x20 && octet < 0x7f; }

// Whether `is` accepts an element of the list (RFC 9110 5.6.1).
template <typename F>
bool AnyElement(std::string_view list, F is) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (is(Trim(list.substr(0, comma), kBlanks))) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Whether the value has "TLS" anywhere, as servers find it that search for it.
bool MentionsTls(std::string_view value) {
  constexpr std::string_view kTls = "TLS/";
  for (size_t at = 0; at + kTls.size() <= value.size(); ++at) {
    if (EqualsIgnoreCase(value.substr(at, kTls.size()), kTls)) return true;
  }
  return false;
}

bool NamesTls(std::string_view product) {
  constexpr std::string_view kTls = "TLS/";
  return product.size() > kTls.size() && EqualsIgnoreCase(product.substr(0, kTls.size()), kTls);
}

// Whether the value is at most a host and a port. Servers may disagree about the host if a
// character ends the authority or begins another one. An empty value is fine (RFC 9112
// 3.2).
bool IsHost(std::string_view value) {
  return IsPrintable(value) && value.find_first_of(",/@?#\\\"<>") == std::string_view::npos;
}

// Receives the fields from llhttp. Their octets stand in one piece of memory, so each name
// and each value is a view of it.
class Reader {
 public:
  explicit Reader(HttpRequest& request) : request_(request) {}

  void AddToName(std::string_view part) { Add(name_, part); }
  void AddToValue(std::string_view part) { Add(value_, part); }
  void AddToTarget(std::string_view part) { Add(target_, part); }

  void EndField() {
    Judge(name_, Trim(value_, kBlanks));
    name_ = value_ = {};
  }
  void EndHead(const llhttp_t& parser) {
    complete_ = true;
    request_.options_star = parser.method == HTTP_OPTIONS && target_ == "*";
    request_.tunnels = parser.method == HTTP_CONNECT;
    request_.wants_tls = names_tls_ && names_upgrade_;
    const bool old = parser.http_major == 1 && parser.http_minor == 0;
    if (parser.http_major != 1 || parser.http_minor > 1) bad_ = true;
    // RFC 9112 3.2 and 6.1: an HTTP/1.0 server would not have understood it.
    if (hosts_ > 1 || (hosts_ == 0 && !old) || (codings_ > 0 && old)) bad_ = true;
    // RFC 9112 6.3: there would be two ways to find the end of the body.
    if (codings_ > 1 || lengths_ > 1 || (codings_ > 0 && lengths_ > 0)) bad_ = true;
    // RFC 9110 7.8: it means nothing in HTTP/1.0.
    if (old) request_.wants_tls = false;
  }
  bool good() const { return complete_ && !bad_; }

 private:
  static void Add(std::string_view& all, std::string_view part) {
    all = all.empty() ? part : std::string_view(all.data(), all.size() + part.size());
  }

  void Judge(std::string_view name, std::string_view value) {
    if (name.empty()) {
      bad_ = true;
    } else if (EqualsIgnoreCase(name, "Host")) {
      ++hosts_;
      if (!IsHost(value)) bad_ = true;
      request_.host = value.substr(0, value.rfind(':'));
    } else if (EqualsIgnoreCase(name, "Content-Length")) {
      ++lengths_;
      if (!IsNumber(value)) bad_ = true;
      request_.has_body = request_.has_body || value != "0";
    } else if (EqualsIgnoreCase(name, "Transfer-Encoding")) {
      ++codings_;
      if (!EqualsIgnoreCase(value, "chunked")) bad_ = true;
      request_.has_body = true;
    } else if (EqualsIgnoreCase(name, "Connection")) {
      names_upgrade_ = names_upgrade_ || AnyElement(value, [](std::string_view element) {
                         return EqualsIgnoreCase(element, kUpgradeField);
                       });
    } else if (EqualsIgnoreCase(name, kUpgradeField)) {
      names_tls_ = names_tls_ || AnyElement(value, NamesTls);
      request_.mentions_tls |= MentionsTls(value);
    } else if (EqualsIgnoreCase(name, "Authorization") ||
               EqualsIgnoreCase(name, "Proxy-Authorization")) {
      request_.has_credentials = true;
    } else if (LooksMangled(name, kUpgradeField)) {
      request_.mangled = true;
    }
  }

  HttpRequest& request_;
  std::string_view target_, name_, value_;
  uint32_t hosts_ = 0;
  uint32_t lengths_ = 0;
  uint32_t codings_ = 0;
  bool names_tls_ = false;
  bool names_upgrade_ = false;
  bool complete_ = false;
  bool bad_ = false;
};

Reader& ReaderOf(llhttp_t* parser) { return *static_cast<Reader*>(parser->data); }

const llhttp_settings_t kSettings = [] {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = [](llhttp_t* parser, const char* at, size_t size) {
    ReaderOf(parser).AddToTarget({at, size});
    return 0;
  };
  settings.on_header_field = [](llhttp_t* parser, const char* at, size_t size) {
    ReaderOf(parser).AddToName({at, size});
    return 0;
  };
  settings.on_header_value = [](llhttp_t* parser, const char* at, size_t size) {
    ReaderOf(parser).AddToValue({at, size});
    return 0;
  };
  settings.on_header_value_complete = [](llhttp_t* parser) {
    ReaderOf(parser).EndField();
    return 0;
  };
  settings.on_headers_complete = [](llhttp_t* parser) {
    ReaderOf(parser).EndHead(*parser);
    return 0;
  };
  return settings;
}();

// Gives llhttp the fields without the white space after them. A tab may follow a length or
// a coding (RFC 9110 section 5.6.3), but llhttp does not accept it.
llhttp_errno_t Execute(llhttp_t* parser, std::string_view head) {
  constexpr std::string_view kEnd = "\r\n";
  bool is_field = false;
  llhttp_errno_t error = HPE_OK;
  while (error == HPE_OK && !head.empty()) {
    const size_t end = head.find(kEnd);  // each line of a head has one
    const std::string_view line = head.substr(0, end + kEnd.size());
    const std::string_view text =
        is_field ? TrimEnd(line.substr(0, end), kBlanks) : line.substr(0, end);
    const std::string_view line_end = line.substr(end);
    error = llhttp_execute(parser, text.data(), text.size());
    if (error == HPE_OK) error = llhttp_execute(parser, line_end.data(), line_end.size());
    head.remove_prefix(line.size());
    is_field = true;
  }
  return error;
}

}  // namespace

HttpHeadScanner::Status HttpHeadScanner::Scan(ByteView in) {
  const size_t end = std::min(in.size(), kHttpMaxHead);
  while (scanned_ < end) {
    const Status status = TakeOctet(in, in[scanned_++]);
    if (status != Status::kNeedMore) return status;
    // Most octets do not matter, except at the beginning of a line.
    if (after_cr_ || scanned_ == line_begin_) continue;
    size_t at = scanned_;
    while (at < end && IsPlain(in[at])) ++at;
    scanned_ = at;
  }
  return in.size() > kHttpMaxHead ? Status::kTooLong : Status::kNeedMore;
}

HttpHeadScanner::Status HttpHeadScanner::TakeOctet(ByteView in, uint8_t octet) {
  if (after_cr_ != (octet == '\n')) return Status::kBad;  // a bare CR, a bare LF
  if (octet == '\n') {
    after_cr_ = false;
    const Status status = EndLine(AsText(in.subspan(line_begin_, scanned_ - line_begin_ - 2)));
    line_begin_ = scanned_;
    return status;
  }
  if (octet == '\r') {
    after_cr_ = true;
    return Status::kNeedMore;
  }
  const bool at_begin = scanned_ == line_begin_ + 1;
  // A line that continues the previous one (RFC 9112 5.2), or a space before the first
  // line.
  if (at_begin && (octet == ' ' || octet == '\t')) return Status::kBad;
  if (octet == 0x7f || (octet < 0x20 && !(octet == '\t' && in_head_))) return Status::kBad;
  if (octet > 0x7f && !in_head_) return Status::kBad;
  return Status::kNeedMore;
}

HttpHeadScanner::Status HttpHeadScanner::EndLine(std::string_view line) {
  if (line.empty()) {
    if (in_head_) return Status::kHead;
    head_begin_ = scanned_;
    return Status::kNeedMore;
  }
  if (!in_head_ && !IsRequestLine(line)) return Status::kStranger;
  in_head_ = true;
  return Status::kNeedMore;
}

HttpRequest ReadHttpRequest(std::string_view head) {
  HttpRequest request;
  std::string_view rest = head;
  request.mangled = LooksMangled(TakeWord(rest), kOptions);
  Reader reader(request);
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &kSettings);
  parser.data = &reader;
  const llhttp_errno_t error = Execute(&parser, head);
  // llhttp stops after the head of a request that wants another protocol.
  request.good = (error == HPE_OK || error == HPE_PAUSED_UPGRADE) && reader.good();
  return request;
}

}  // namespace starling
