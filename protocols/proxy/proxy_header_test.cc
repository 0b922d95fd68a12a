#include "protocols/proxy/proxy_header.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "protocols/proxy/crc32c.h"
#include "protocols/proxy/proxy_wire.h"

namespace starling {
namespace {

using Status = ProxyParse::Status;

Endpoint V4(uint8_t last, uint16_t port) {
  return Endpoint{Endpoint::Family::kV4, port, {192, 0, 2, last}};
}

Endpoint V6(uint8_t last, uint16_t port) {
  Endpoint endpoint{Endpoint::Family::kV6, port, {0x20, 0x01, 0x0d, 0xb8}};
  endpoint.ip[15] = last;
  return endpoint;
}

ProxyInfo Between(const Endpoint& source, const Endpoint& destination) {
  ProxyInfo info;
  info.source = source;
  info.destination = destination;
  return info;
}

std::string V1(const ProxyInfo& info) {
  std::vector<uint8_t> memory(kMaxProxyV1);
  Writer writer(memory);
  EXPECT_TRUE(WriteProxyV1(info, writer));
  return std::string(AsText(writer.written()));
}

std::string V2(const ProxyInfo& info, const ProxyTlvs& tlvs = {}) {
  std::vector<uint8_t> memory(kMaxProxyV2Out);
  Writer writer(memory);
  EXPECT_TRUE(WriteProxyV2(info, tlvs, writer));
  return std::string(AsText(writer.written()));
}

// A header of version 2 with any content and the right length.
std::string RawV2(uint8_t version_command, uint8_t family, const std::string& body) {
  std::string header(AsText(kProxySignature));
  header += static_cast<char>(version_command);
  header += static_cast<char>(family);
  header += static_cast<char>(body.size() >> 8);
  header += static_cast<char>(body.size());
  return header + body;
}

std::string Tlv(uint8_t type, const std::string& value) {
  std::string tlv(1, static_cast<char>(type));
  tlv += static_cast<char>(value.size() >> 8);
  tlv += static_cast<char>(value.size());
  return tlv + value;
}

const std::string kTcp4Block("\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x00\x19", 12);

std::map<int, std::string> ReadTlvs(const std::string& bytes, size_t at) {
  std::map<int, std::string> tlvs;
  while (at + kTlvHead <= bytes.size()) {
    int type = static_cast<uint8_t>(bytes[at]);
    size_t size = static_cast<uint8_t>(bytes[at + 1]) << 8 | static_cast<uint8_t>(bytes[at + 2]);
    tlvs[type] = bytes.substr(at + kTlvHead, size);
    at += kTlvHead + size;
  }
  EXPECT_EQ(at, bytes.size());
  return tlvs;
}

ProxyInfo FullInfo() {
  ProxyInfo info;
  info.source = V4(1, 12345);
  info.destination = V4(2, 25);
  info.tls = ProxyTls{.version = "TLSv1.3",
                      .cipher = "TLS_AES_128_GCM_SHA256",
                      .key_algorithm = "EC256",
                      .signature = "ecdsa_secp256r1_sha256",
                      .client_certificate = false,
                      .verified = false,
                      .common_name = {}};
  info.alpn = "imap";
  info.sni = "mail.example.org";
  info.unique_id = "0123456789abcdef";
  return info;
}

TEST(Crc32c, KnownValues) {
  Crc32c crc;
  crc.Add(AsBytes("1234"));
  crc.Add(AsBytes("56789"));
  EXPECT_EQ(crc.value(), 0xe3069283u);
  // RFC 3720 appendix B.4: 32 octets of zero.
  Crc32c zeros;
  zeros.Add(std::vector<uint8_t>(32));
  EXPECT_EQ(zeros.value(), 0x8a9136aau);
}

TEST(ProxyV1, Writes) {
  EXPECT_EQ(V1(Between(V4(1, 12345), V4(2, 25))), "PROXY TCP4 192.0.2.1 192.0.2.2 12345 25\r\n");
  EXPECT_EQ(V1(Between(V6(1, 1), V6(2, 65535))), "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
  EXPECT_EQ(V1(Between(V4(1, 7), V6(2, 8))), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 7 8\r\n");
  EXPECT_EQ(V1(Between(V4(1, 7), {})), "PROXY TCP4 192.0.2.1 0.0.0.0 7 0\r\n");
  EXPECT_EQ(V1(Between({}, V4(2, 25))), "PROXY UNKNOWN\r\n");
}

TEST(ProxyV1, LongestFits) {
  ProxyInfo info;
  info.source = info.destination = Endpoint{Endpoint::Family::kV6, 65535, {}};
  info.source.ip.fill(0xff);
  info.destination.ip.fill(0xff);
  EXPECT_LE(V1(info).size(), kMaxProxyV1);
  std::vector<uint8_t> memory(20);
  Writer little(memory);
  EXPECT_FALSE(WriteProxyV1(info, little));
  EXPECT_EQ(little.size(), 0u);
}

TEST(ProxyV2, WritesAddresses) {
  std::string v4 = V2(Between(V4(1, 12345), V4(2, 25)), {.crc32c = false});
  EXPECT_EQ(v4, RawV2(0x21, 0x11, kTcp4Block));

  std::string v6 = V2(Between(V6(1, 12345), V6(2, 25)), {.crc32c = false});
  EXPECT_EQ(v6.size(), 16u + 36u);
  EXPECT_EQ(v6[13], 0x21);

  // A difference of families must not lose the real client.
  std::string mixed = V2(Between(V4(1, 12345), V6(2, 25)));
  ProxyParse parse = ParseProxy(AsBytes(mixed));
  EXPECT_EQ(IpToString(parse.source), "::ffff:192.0.2.1");
  EXPECT_EQ(ToString(parse.destination), "[2001:db8::2]:25");

  EXPECT_EQ(V2(Between({}, V4(2, 25))), RawV2(0x20, 0x00, ""));
}

TEST(ProxyV2, WritesAllTlvs) {
  auto tlvs = ReadTlvs(V2(FullInfo()), 28);
  EXPECT_EQ(tlvs[0x01], "imap");
  EXPECT_EQ(tlvs[0x02], "mail.example.org");
  EXPECT_EQ(tlvs[0x03].size(), 4u);
  EXPECT_EQ(tlvs[0x05], "0123456789abcdef");
  ASSERT_GT(tlvs[0x20].size(), 5u);
  EXPECT_EQ(tlvs[0x20].substr(0, 5), std::string("\x01\x00\x00\x00\x01", 5));
  auto ssl = ReadTlvs(tlvs[0x20], 5);
  EXPECT_EQ(ssl[0x21], "TLSv1.3");
  EXPECT_EQ(ssl[0x23], "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(ssl[0x24], "ecdsa_secp256r1_sha256");
  EXPECT_EQ(ssl[0x25], "EC256");
  EXPECT_EQ(ssl.count(0x22), 0u);
}

TEST(ProxyV2, EveryTlvHasItsSwitch) {
  struct Case {
    int type;
    ProxyTlvs tlvs;
  };
  const Case cases[] = {{0x01, {.alpn = false}},
                        {0x02, {.authority = false}},
                        {0x03, {.crc32c = false}},
                        {0x05, {.unique_id = false}},
                        {0x20, {.ssl = false}}};
  for (const Case& c : cases) {
    auto tlvs = ReadTlvs(V2(FullInfo(), c.tlvs), 28);
    EXPECT_EQ(tlvs.size(), 4u) << c.type;
    EXPECT_EQ(tlvs.count(c.type), 0u) << c.type;
  }
  ProxyInfo plain = FullInfo();
  plain.tls.reset();
  EXPECT_EQ(ReadTlvs(V2(plain), 28).count(0x20), 0u);
}

TEST(ProxyV2, NameAndIssuerOnlyWhenVerified) {
  struct Case {
    bool certificate, verified;
    std::string head;
    bool name;
  };
  const Case cases[] = {{false, false, std::string("\x01\0\0\0\1", 5), false},
                        {false, true, std::string("\x01\0\0\0\1", 5), false},
                        {true, false, std::string("\x07\0\0\0\1", 5), false},
                        {true, true, std::string("\x07\0\0\0\0", 5), true}};
  for (const Case& c : cases) {
    ProxyInfo info = FullInfo();
    info.tls->client_certificate = c.certificate;
    info.tls->verified = c.verified;
    info.tls->common_name = "alice";
    info.tls->issuer = "Clients";
    auto tlvs = ReadTlvs(V2(info), 28);
    const std::string ssl = tlvs[0x20];
    EXPECT_EQ(tlvs.count(0xe0), c.name ? 1u : 0u);
    EXPECT_EQ(tlvs[0xe0], c.name ? "Clients" : "");
    EXPECT_EQ(ssl.substr(0, 5), c.head);
    EXPECT_EQ(ReadTlvs(ssl, 5).count(0x22), c.name ? 1u : 0u);
  }
}

TEST(ProxyV2, StaysWithinItsLimit) {
  // A DNS name may have 255 octets, a common name 64, an ALPN name 255.
  for (size_t sni_size = 0; sni_size <= 255; sni_size += 5) {
    for (size_t name_size = 0; name_size <= 600; name_size += 25) {
      std::string sni(sni_size, 's'), name(name_size, 'n'), id(128, 'i'), alpn(255, 'a');
      ProxyInfo info = FullInfo();
      info.source = V6(1, 1);
      info.sni = sni;
      info.alpn = alpn;
      info.unique_id = id;
      info.tls->client_certificate = info.tls->verified = true;
      info.tls->common_name = name;
      info.tls->issuer = name;
      std::string header = V2(info);
      ASSERT_LE(header.size(), kMaxProxyV2Out);
      ASSERT_EQ(ParseProxy(AsBytes(header)).status, Status::kDone);
      auto ssl = ReadTlvs(ReadTlvs(header, 52)[0x20], 5);
      EXPECT_EQ(ssl[0x21], "TLSv1.3");
      EXPECT_EQ(ssl[0x23], "TLS_AES_128_GCM_SHA256");
    }
  }
}

TEST(ProxyV2, LeavesOutTheLeastImportantFirst) {
  std::string sni(255, 's'), alpn(100, 'a'), id(128, 'i');
  ProxyInfo info = FullInfo();
  info.sni = sni;
  info.alpn = alpn;
  info.unique_id = id;
  auto tlvs = ReadTlvs(V2(info), 28);
  EXPECT_EQ(tlvs[0x02], sni);
  EXPECT_EQ(tlvs[0x01], alpn);
  EXPECT_EQ(tlvs.count(0x05), 0u);
}

TEST(ProxyV2, TooLittleRoomWritesNothing) {
  std::vector<uint8_t> memory(40);
  Writer writer(memory);
  EXPECT_FALSE(WriteProxyV2(FullInfo(), {}, writer));
  EXPECT_EQ(writer.size(), 0u);
}

TEST(ProxyParse, ReadsBackWhatIsWritten) {
  for (const ProxyInfo& info :
       {Between(V4(1, 12345), V4(2, 25)), Between(V6(3, 1), V6(4, 65535))}) {
    for (const std::string& header : {V1(info), V2(info)}) {
      ProxyParse parse = ParseProxy(AsBytes(header + "EHLO x\r\n"));
      ASSERT_EQ(parse.status, Status::kDone);
      EXPECT_EQ(parse.consumed, header.size());
      EXPECT_FALSE(parse.local);
      EXPECT_EQ(parse.source, info.source);
      EXPECT_EQ(parse.destination, info.destination);
    }
  }
}

TEST(ProxyParse, OneOctetAtATime) {
  for (const std::string& header :
       {V2(FullInfo()), V1(FullInfo()), std::string("PROXY UNKNOWN\r\n"), RawV2(0x20, 0, "")}) {
    for (size_t size = 0; size < header.size(); ++size) {
      ASSERT_EQ(ParseProxy(AsBytes(std::string_view(header).substr(0, size))).status,
                Status::kNeedMore)
          << size;
    }
    ProxyParse parse = ParseProxy(AsBytes(header));
    EXPECT_EQ(parse.status, Status::kDone);
    EXPECT_EQ(parse.consumed, header.size());
  }
}

TEST(ProxyParse, LocalAndUnknown) {
  struct Row {
    std::string header;
    bool local;
  };
  const Row cases[] = {
      {"PROXY UNKNOWN\r\n", false},
      {"PROXY UNKNOWN ffff::1 whatever 1 2\r\n", false},
      {RawV2(0x20, 0x00, ""), true},
      {RawV2(0x20, 0x11, kTcp4Block), true},  // the receiver discards the block and the family
      {RawV2(0x20, 0x77, "garbage"), true},
      {RawV2(0x21, 0x00, ""), false},
      {RawV2(0x21, 0x31, std::string(216, 'u')), false},
      {RawV2(0x21, 0x12, kTcp4Block), false},
  };
  for (const auto& [header, local] : cases) {
    ProxyParse parse = ParseProxy(AsBytes(header));
    EXPECT_EQ(parse.status, Status::kDone) << header;
    EXPECT_EQ(parse.local, local) << header;
    EXPECT_EQ(parse.consumed, header.size()) << header;
    EXPECT_EQ(parse.source.family, Endpoint::Family::kNone) << header;
  }
}

TEST(ProxyParse, Bad) {
  const std::string cases[] = {
      "EHLO x\r\n",
      "G",
      std::string("\x16\x03\x01", 3),
      "\r\n\r\nQ",
      "PROXY\r\n",
      "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
      "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
      "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
      "PROXY TCP4 ::1 ::1 1 2\r\n",
      "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
      std::string("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", 33),
      "PROXY TCP4 " + std::string(96, '1'),
      RawV2(0x11, 0x11, kTcp4Block),
      RawV2(0x22, 0x11, kTcp4Block),
      RawV2(0x21, 0x41, kTcp4Block),
      RawV2(0x21, 0x11, kTcp4Block.substr(1)),
      RawV2(0x21, 0x21, kTcp4Block),
      RawV2(0x21, 0x11, kTcp4Block + std::string("\x04\x00", 2)),
      RawV2(0x21, 0x11, kTcp4Block + std::string("\x04\x00\x02x", 4)),
      RawV2(0x21, 0x11, kTcp4Block + Tlv(0x03, "abc")),
      RawV2(0x21, 0x11, kTcp4Block + Tlv(0x03, "abcd")),
      RawV2(0x21, 0x11, std::string(kMaxProxyV2In, 'x')),
  };
  for (const std::string& header : cases) {
    ProxyParse parse = ParseProxy(AsBytes(header));
    EXPECT_EQ(parse.status, Status::kBad) << header;
    EXPECT_FALSE(parse.error.empty()) << header;
  }
}

TEST(ProxyParse, AnOverlongHeaderIsRefusedByItsHead) {
  std::string header = RawV2(0x21, 0x11, std::string(kMaxProxyV2In - kProxyV2Head + 1, 'x'));
  EXPECT_EQ(ParseProxy(AsBytes(header.substr(0, kProxyV2Head))).status, Status::kBad);
}

TEST(ProxyParse, ChecksumFindsEveryFlippedBit) {
  const std::string header = V2(FullInfo());
  for (size_t i = kProxyV2Head; i < header.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = header;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      ProxyParse parse = ParseProxy(AsBytes(damaged));
      // If the damage hits the checksum's type octet, it becomes another, unknown TLV.
      if (parse.status == Status::kDone) {
        EXPECT_EQ(i, header.size() - kTlvHead - kCrcSize);
      }
    }
  }
}

TEST(ProxyParse, UnknownTlvsAreSkipped) {
  std::string header = RawV2(
      0x21, 0x11, kTcp4Block + Tlv(0x04, "") + Tlv(0xea, std::string(300, 'v')) + Tlv(0x30, "ns"));
  ProxyParse parse = ParseProxy(AsBytes(header));
  EXPECT_EQ(parse.status, Status::kDone);
  EXPECT_EQ(ToString(parse.source), "192.0.2.1:12345");
  EXPECT_EQ(ToString(parse.destination), "192.0.2.2:25");
}

}  // namespace
}  // namespace starling
