// The numbers of the PROXY protocol, version 2 (section 2.2 and its parts), for the writer
// and the reader. All other code includes proxy_header.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace starling {

inline constexpr std::array<uint8_t, 12> kProxySignature = {'\r', '\n', '\r', '\n', 0,   '\r',
                                                            '\n', 'Q',  'U',  'I',  'T', '\n'};
inline constexpr size_t kProxyV2Head = 16;    // signature, command, family, length
inline constexpr size_t kProxyLengthAt = 14;  // the length of all that follows the head

inline constexpr uint8_t kProxyVersion2 = 0x20;
inline constexpr uint8_t kProxyCommandLocal = 0x0;
inline constexpr uint8_t kProxyCommandProxy = 0x1;

inline constexpr uint8_t kFamilyUnspec = 0x00;
inline constexpr uint8_t kFamilyTcp4 = 0x11;
inline constexpr uint8_t kFamilyUdp4 = 0x12;
inline constexpr uint8_t kFamilyTcp6 = 0x21;
inline constexpr uint8_t kFamilyUdp6 = 0x22;
inline constexpr uint8_t kFamilyUnixStream = 0x31;
inline constexpr uint8_t kFamilyUnixDatagram = 0x32;

enum class ProxyTlvType : uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kUniqueId = 0x05,
  kSsl = 0x20,
  kSslVersion = 0x21,
  kSslCn = 0x22,
  kSslCipher = 0x23,
  kSslSignature = 0x24,
  kSslKey = 0x25,
  // The first type that the specification leaves to applications (section 2.2): the issuer
  // of a verified client certificate, for which the specification has no type.
  kClientIssuer = 0xe0,
};

inline constexpr size_t kTlvHead = 3;  // type, length
inline constexpr size_t kCrcSize = 4;
inline constexpr size_t kSslHead = 5;  // client bits, verify

inline constexpr uint8_t kClientSsl = 0x01;
inline constexpr uint8_t kClientCertConn = 0x02;
inline constexpr uint8_t kClientCertSess = 0x04;

}  // namespace starling
