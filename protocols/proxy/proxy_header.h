// The PROXY protocol, versions 1 (text) and 2 (binary). The gateway writes headers for
// backends and reads those of trusted load balancers. Source: HAProxy's
// doc/proxy-protocol.txt, sections 2.1 and 2.2.
//
// Not for: which clients may send a header (session/), or which backends want one
// (upstream/).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"

namespace starling {

inline constexpr size_t kMaxProxyV1 = 107;     // section 2.1, with CRLF
inline constexpr size_t kMaxProxyV2Out = 512;  // Postfix takes 536 at most
inline constexpr size_t kMaxProxyV2In =
    4096;  // the longest header, TLVs included, that the gateway accepts

// What TLS negotiated, for the SSL TLV. The views must be valid during the call.
struct ProxyTls {
  std::string_view version;         // "TLSv1.3"
  std::string_view cipher;          // "TLS_AES_128_GCM_SHA256"
  std::string_view key_algorithm;   // "EC256"; empty: no TLV
  std::string_view signature;       // empty: no TLV
  bool client_certificate = false;  // the client sent one in this TLS session
  bool resumed = false;   // the client sent it when the session began, not on this connection
  bool verified = false;  // its verification succeeded
  std::string_view common_name;  // written only if verified
  std::string_view issuer;       // the same; in the gateway's own TLV type, 0xE0
};

// The TLVs to write. By default all of them; the backend's options select them.
struct ProxyTlvs {
  bool alpn = true;
  bool authority = true;
  bool crc32c = true;
  bool unique_id = true;
  bool ssl = true;
};

struct ProxyInfo {
  Endpoint source;       // the client's true address; kNone: the header says LOCAL or UNKNOWN
  Endpoint destination;  // the address that it connected to
  std::optional<ProxyTls> tls;
  std::string_view alpn;
  std::string_view sni;
  std::string_view unique_id;  // 1 to 128 octets
};

// Appends the header. A version 2 header never exceeds kMaxProxyV2Out: the writer omits
// TLVs that do not fit, the least important first (key algorithm and signature, UNIQUE_ID,
// ALPN, AUTHORITY, issuer, CN). The SSL TLV with version and cipher always fits. Returns
// false only if `out` has too little room; kMaxProxyV2Out is always enough.
[[nodiscard]] bool WriteProxyV1(const ProxyInfo& info, Writer& out);
[[nodiscard]] bool WriteProxyV2(const ProxyInfo& info, const ProxyTlvs& tlvs, Writer& out);

struct ProxyParse {
  enum class Status : uint8_t { kNeedMore, kDone, kBad } status = Status::kNeedMore;
  size_t consumed = 0;  // with kDone
  bool local = false;   // LOCAL: the load balancer's own connection, to see whether we are well
  Endpoint source;      // kNone: LOCAL or UNKNOWN, so use the connection's own addresses
  Endpoint destination;
  std::string_view error;  // with kBad: the rule that the header breaks
};

// Reads a version 1 or 2 header at the start of `in`, which has all octets so far. Checks
// the CRC32C TLV, if there is one. A header over its limit is kBad.
ProxyParse ParseProxy(ByteView in);

}  // namespace starling
