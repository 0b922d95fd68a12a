// The head of one HTTP/1 request, as far as the gateway needs it: where it ends, whether it
// asks for TLS, and whether two servers might read it differently (request smuggling). Such
// a head is bad. RFC 9110, 9112.
//
// llhttp parses the head. This reader is stricter than llhttp and many servers: every line
// ends in CRLF, no line continues another, and no octet is below a space, except for tabs
// in values.
//
// Not for: bodies, or anything after the first request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// Looks for the end of a head, and at each octet once. Consumes nothing meanwhile.
class HttpHeadScanner {
 public:
  enum class Status : uint8_t {
    kNeedMore,
    kStranger,  // its first line is not a request of HTTP/1
    kBad,
    kTooLong,  // more than kHttpMaxHead octets
    kHead,
  };

  // Every call's `in` begins at the same octet. After any status except kNeedMore there is
  // no further call.
  Status Scan(ByteView in);

  // With kHead: the octets of the head, and those including the empty lines before it.
  std::string_view head(ByteView in) const {
    return AsText(in).substr(head_begin_, scanned_ - head_begin_);
  }
  size_t size() const { return scanned_; }
  // Whether anything of a request has come.
  bool begun() const { return scanned_ > 0; }

 private:
  Status TakeOctet(ByteView in, uint8_t octet);
  Status EndLine(std::string_view line);

  size_t scanned_ = 0;
  size_t line_begin_ = 0;
  size_t head_begin_ = 0;  // after the empty lines before it (RFC 9112 2.2)
  bool in_head_ = false;   // the first line is complete
  bool after_cr_ = false;  // an LF must follow
};

struct HttpRequest {
  std::string_view host;  // without the port
  bool good = false;
  bool options_star = false;  // the request with which RFC 2817 3.2 asks for TLS
  bool mentions_tls = false;  // a less strict server might take it for such a request
  bool tunnels = false;       // CONNECT: octets of any protocol follow
  bool wants_tls = false;     // Upgrade names TLS, and Connection names Upgrade
  bool has_body = false;
  bool has_credentials = false;
  bool mangled = false;  // its method or a field name looks like a damaged one
};

// `head` is a head that a scanner has found.
HttpRequest ReadHttpRequest(std::string_view head);

}  // namespace starling
