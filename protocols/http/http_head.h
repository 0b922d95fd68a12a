// The head of one HTTP/1 request, as far as a gateway needs it: where it ends,
// whether it asks for TLS, and whether two servers might read it differently
// (request smuggling), in which case it is bad. RFC 9110, 9112.
//
// llhttp takes a head apart. Stricter than it, and than many servers: lines end with CRLF and
// nothing else, no line continues another, and no octet below a space but a tab in a value.
//
// Not for: bodies, or anything behind the first request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// Looks for the end of a head, each octet once. Nothing of it is consumed meanwhile.
class HttpHeadScanner {
 public:
  enum class Status : uint8_t {
    kNeedMore,
    kStranger,  // its first line is no request of HTTP/1
    kBad,
    kTooLong,  // more than kHttpMaxHead octets
    kHead,
  };

  // `in` begins where it has begun before. No call follows one with another answer
  // than kNeedMore.
  Status Scan(ByteView in);

  // With kHead: its octets, and those with the empty lines before it.
  std::string_view head(ByteView in) const {
    return AsText(in).substr(head_begin_, scanned_ - head_begin_);
  }
  size_t size() const { return scanned_; }
  // Something of a request has come.
  bool begun() const { return scanned_ > 0; }

 private:
  Status TakeOctet(ByteView in, uint8_t octet);
  Status EndLine(std::string_view line);

  size_t scanned_ = 0;
  size_t line_begin_ = 0;
  size_t head_begin_ = 0;  // RFC 9112 2.2: empty lines before it are skipped
  bool in_head_ = false;   // its first line is complete
  bool after_cr_ = false;  // which LF must follow
};

struct HttpRequest {
  std::string_view host;  // of the head, without its port
  bool good = false;
  bool options_star = false;  // what RFC 2817 3.2 asks for TLS with
  bool mentions_tls = false;  // a server that is less strict might take it for such
  bool tunnels = false;       // CONNECT: octets of anybody's protocol follow
  bool wants_tls = false;     // Upgrade names it, and Connection names Upgrade
  bool has_body = false;
  bool has_credentials = false;
  bool mangled = false;  // its method or a name of a field looks like a damaged one
};

// `head` is what a scanner has found.
HttpRequest ReadHttpRequest(std::string_view head);

}  // namespace starling
