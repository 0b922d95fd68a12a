#include "protocols/proxy/proxy_header.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocols/frames/dialogue.h"
#include "protocols/proxy/crc32c.h"
#include "protocols/proxy/proxy_wire.h"

namespace starling {

namespace {

using Family = Endpoint::Family;

// Both addresses of a header have one family. If one is IPv4 and the other IPv6, the writer
// maps the IPv4 address to ::ffff:a.b.c.d. An unknown destination is all zero.
struct AddressPair {
  Endpoint source;
  Endpoint destination;
};

Endpoint MappedToV6(const Endpoint& v4) {
  Endpoint v6;
  v6.family = Family::kV6;
  v6.port = v4.port;
  v6.ip[10] = v6.ip[11] = 0xff;
  std::copy_n(v4.ip.begin(), 4, v6.ip.begin() + 12);
  return v6;
}

AddressPair OfOneFamily(const ProxyInfo& info) {
  AddressPair pair{info.source, info.destination};
  if (pair.destination.family == Family::kNone) {
    pair.destination = Endpoint{};
    pair.destination.family = pair.source.family;
  }
  if (pair.source.family == pair.destination.family) return pair;
  if (pair.source.family == Family::kV4) pair.source = MappedToV6(pair.source);
  if (pair.destination.family == Family::kV4) pair.destination = MappedToV6(pair.destination);
  return pair;
}

// Puts a header together and hands it over whole, so that `out` gets all of it or nothing.
class Packer {
 public:
  size_t size() const { return size_; }
  size_t room() const { return octets_.size() - size_; }
  ByteView written() const { return ByteView(octets_).first(size_); }

  void U8(uint8_t value) { Bytes({&value, 1}); }
  void U16(uint16_t value) {
    U8(static_cast<uint8_t>(value >> 8));
    U8(static_cast<uint8_t>(value));
  }
  void U32(uint32_t value) {
    U16(static_cast<uint16_t>(value >> 16));
    U16(static_cast<uint16_t>(value));
  }
  // The caller has checked room().
  void Bytes(ByteView bytes) {
    size_t count = std::min(bytes.size(), room());
    if (count > 0) std::memcpy(octets_.data() + size_, bytes.data(), count);
    size_ += count;
  }
  void PatchU16(size_t at, uint16_t value) {
    octets_[at] = static_cast<uint8_t>(value >> 8);
    octets_[at + 1] = static_cast<uint8_t>(value);
  }
  void PatchU32(size_t at, uint32_t value) {
    PatchU16(at, static_cast<uint16_t>(value >> 16));
    PatchU16(at + 2, static_cast<uint16_t>(value));
  }
  void Tlv(ProxyTlvType type, std::string_view value) {
    U8(static_cast<uint8_t>(type));
    U16(static_cast<uint16_t>(value.size()));
    Bytes(AsBytes(value));
  }

 private:
  std::array<uint8_t, kMaxProxyV2Out> octets_{};
  size_t size_ = 0;
};

// The TLVs that fit, chosen from the most important on. An empty view stands for a TLV that
// the writer omits.
class Selection {
 public:
  Selection(const ProxyInfo& info, const ProxyTlvs& tlvs, size_t room) : room_(room) {
    if (tlvs.crc32c) room_ -= kTlvHead + kCrcSize;
    ssl = tlvs.ssl && info.tls.has_value();
    if (ssl) {
      room_ -= kTlvHead + kSslHead;
      version = Choose(info.tls->version, kMaxTlsName);
      cipher = Choose(info.tls->cipher, kMaxTlsName);
      if (info.tls->client_certificate && info.tls->verified) {
        common_name = Choose(info.tls->common_name, room_);
        issuer = Choose(info.tls->issuer, room_);
      }
    }
    if (tlvs.authority) authority = Choose(info.sni, room_);
    if (tlvs.alpn) alpn = Choose(info.alpn, room_);
    if (tlvs.unique_id) unique_id = Choose(info.unique_id, kMaxUniqueId);
    if (ssl) {
      signature = Choose(info.tls->signature, kMaxTlsName);
      key_algorithm = Choose(info.tls->key_algorithm, kMaxTlsName);
    }
  }

  bool ssl = false;
  std::string_view version, cipher, common_name, issuer, signature, key_algorithm;
  std::string_view authority, alpn, unique_id;

 private:
  // The TLS library makes these names, and they are short. The limit guarantees that
  // version and cipher always fit.
  static constexpr size_t kMaxTlsName = 64;
  static constexpr size_t kMaxUniqueId = 128;  // section 2.2.5

  std::string_view Choose(std::string_view value, size_t limit) {
    if (value.empty() || value.size() > limit || value.size() + kTlvHead > room_) return {};
    room_ -= value.size() + kTlvHead;
    return value;
  }

  size_t room_;
};

void PackTlv(Packer& packer, ProxyTlvType type, std::string_view value) {
  if (!value.empty()) packer.Tlv(type, value);
}

void PackSsl(Packer& packer, const ProxyTls& tls, const Selection& chosen) {
  packer.U8(static_cast<uint8_t>(ProxyTlvType::kSsl));
  size_t length_at = packer.size();
  packer.U16(0);
  uint8_t client = kClientSsl;
  // A certificate on this connection also belongs to its session.
  if (tls.client_certificate) client |= kClientCertSess;
  if (tls.client_certificate && !tls.resumed) client |= kClientCertConn;
  packer.U8(client);
  packer.U32(tls.client_certificate && tls.verified ? 0 : 1);
  PackTlv(packer, ProxyTlvType::kSslVersion, chosen.version);
  PackTlv(packer, ProxyTlvType::kSslCn, chosen.common_name);
  PackTlv(packer, ProxyTlvType::kSslCipher, chosen.cipher);
  PackTlv(packer, ProxyTlvType::kSslSignature, chosen.signature);
  PackTlv(packer, ProxyTlvType::kSslKey, chosen.key_algorithm);
  packer.PatchU16(length_at, static_cast<uint16_t>(packer.size() - length_at - 2));
}

void PackTlvs(Packer& packer, const ProxyInfo& info, const ProxyTlvs& tlvs) {
  Selection chosen(info, tlvs, packer.room());
  PackTlv(packer, ProxyTlvType::kAlpn, chosen.alpn);
  PackTlv(packer, ProxyTlvType::kAuthority, chosen.authority);
  PackTlv(packer, ProxyTlvType::kUniqueId, chosen.unique_id);
  if (chosen.ssl) PackSsl(packer, *info.tls, chosen);
  PackTlv(packer, ProxyTlvType::kClientIssuer, chosen.issuer);
  size_t crc_at = 0;
  if (tlvs.crc32c) {
    packer.U8(static_cast<uint8_t>(ProxyTlvType::kCrc32c));
    packer.U16(kCrcSize);
    crc_at = packer.size();
    packer.U32(0);
  }
  packer.PatchU16(kProxyLengthAt, static_cast<uint16_t>(packer.size() - kProxyV2Head));
  if (!tlvs.crc32c) return;
  Crc32c crc;  // over the finished header, with its own field set to zero
  crc.Add(packer.written());
  packer.PatchU32(crc_at, crc.value());
}

}  // namespace

bool WriteProxyV1(const ProxyInfo& info, Writer& out) {
  if (info.source.family == Family::kNone) return out.Append("PROXY UNKNOWN\r\n");
  AddressPair pair = OfOneFamily(info);
  std::string line =
      pair.source.family == Family::kV4 ? std::string("PROXY TCP4 ") : std::string("PROXY TCP6 ");
  line += IpToString(pair.source) + " " + IpToString(pair.destination) + " " +
          std::to_string(pair.source.port) + " " + std::to_string(pair.destination.port) + "\r\n";
  return out.Append(line);
}

bool WriteProxyV2(const ProxyInfo& info, const ProxyTlvs& tlvs, Writer& out) {
  Packer packer;
  packer.Bytes(kProxySignature);
  if (info.source.family == Family::kNone) {
    // LOCAL says nothing about any connection but this one. Section 2.2 wants no addresses
    // then, and receivers drop what follows.
    packer.U8(kProxyVersion2 | kProxyCommandLocal);
    packer.U8(kFamilyUnspec);
    packer.U16(0);
    return out.Append(packer.written());
  }
  AddressPair pair = OfOneFamily(info);
  bool v4 = pair.source.family == Family::kV4;
  size_t ip_size = v4 ? 4 : 16;
  packer.U8(kProxyVersion2 | kProxyCommandProxy);
  packer.U8(v4 ? kFamilyTcp4 : kFamilyTcp6);
  packer.U16(0);
  packer.Bytes(ByteView(pair.source.ip).first(ip_size));
  packer.Bytes(ByteView(pair.destination.ip).first(ip_size));
  packer.U16(pair.source.port);
  packer.U16(pair.destination.port);
  PackTlvs(packer, info, tlvs);
  return out.Append(packer.written());
}

}  // namespace starling
