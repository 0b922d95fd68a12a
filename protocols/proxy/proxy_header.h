// The PROXY protocol, version 1 (text) and 2 (binary): written towards
// backends, read from trusted load balancers. Source: HAProxy's
// doc/proxy-protocol.txt, sections 2.1 and 2.2.
//
// Not for: who may send one (session/), or which backend wants one (upstream/).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"

namespace starling {

inline constexpr size_t kMaxProxyV1 = 107;     // section 2.1, with CRLF
inline constexpr size_t kMaxProxyV2Out = 512;  // Postfix takes 536 at most
inline constexpr size_t kMaxProxyV2In = 4096;  // header and TLVs we accept

// What TLS negotiated, for the SSL TLV. Views live as long as the call.
struct ProxyTls {
  std::string_view version;         // "TLSv1.3"
  std::string_view cipher;          // "TLS_AES_128_GCM_SHA256"
  std::string_view key_algorithm;   // "EC256", empty: left out
  std::string_view signature;       // empty: left out
  bool client_certificate = false;  // one was sent in this TLS session
  bool resumed = false;             // not on this connection, but where the session began
  bool verified = false;            // and verification succeeded
  std::string_view common_name;     // sent only when verified
  std::string_view issuer;          // the same; a TLV of our own, 0xE0
};

// Which TLVs are written (all by default; each is a switch of the backend).
struct ProxyTlvs {
  bool alpn = true;
  bool authority = true;
  bool crc32c = true;
  bool unique_id = true;
  bool ssl = true;
};

struct ProxyInfo {
  Endpoint source;       // the true client; kNone: the header says LOCAL / UNKNOWN
  Endpoint destination;  // the address it called
  std::optional<ProxyTls> tls;
  std::string_view alpn;
  std::string_view sni;
  std::string_view unique_id;  // 1 to 128 octets
};

// Appends the header. A version 2 header stays within kMaxProxyV2Out: TLVs that
// do not fit are left out, least important first (key algorithm and signature,
// UNIQUE_ID, ALPN, AUTHORITY, issuer, CN; the SSL TLV with version and cipher always fits).
// False only if `out` has too little room (kMaxProxyV2Out is always enough).
[[nodiscard]] bool WriteProxyV1(const ProxyInfo& info, Writer& out);
[[nodiscard]] bool WriteProxyV2(const ProxyInfo& info, const ProxyTlvs& tlvs, Writer& out);

struct ProxyParse {
  enum class Status : uint8_t { kNeedMore, kDone, kBad } status = Status::kNeedMore;
  size_t consumed = 0;  // with kDone
  bool local = false;   // LOCAL or UNKNOWN: use the connection's own addresses
  Endpoint source;
  Endpoint destination;
  std::string_view error;  // with kBad: which rule was broken
};

// Reads a version 1 or 2 header at the start of `in` (all octets so far). A
// CRC32C TLV is checked where present; a header over its limit is kBad.
ProxyParse ParseProxy(ByteView in);

}  // namespace starling
