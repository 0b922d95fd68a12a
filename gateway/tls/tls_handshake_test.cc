// Tests what the server negotiates with which client, against a real client in memory.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/tls/client_hello.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_policy_testing.h"
#include "gateway/tls/tls_session.h"

namespace starling {
namespace {

constexpr uint16_t kHybrid = 0x11ec, kX25519 = 29, kP256 = 23, kP384 = 24, kP521 = 25;

class HandshakeTest : public TlsPolicyTest {
 protected:
  TlsPolicy policy_ = {.certificates = index_};
};

void ExpectEcho(TestClient& client, TestServer& server) {
  client.Write("from the client");
  ASSERT_TRUE(Exchange(client, server));
  EXPECT_EQ(server.received, "from the client");
  ASSERT_EQ(server.Write("from the server"), TlsResult::kOk);
  ASSERT_TRUE(Exchange(client, server));
  EXPECT_EQ(client.received, "from the server");
}

struct Row {
  uint16_t version;
  bool rsa;
  uint16_t group;
  size_t portion;  // octets at a time, in both directions
};

class HandshakeTable : public HandshakeTest, public testing::WithParamInterface<Row> {};

TEST_P(HandshakeTable, ConnectsAndResumes) {
  const Row row = GetParam();
  const auto context = Make(policy_);
  TestClientOptions options;
  options.min_version = options.max_version = row.version;
  options.groups = {row.group};
  // In TLS 1.2 the list of groups also restricts the curves of certificates (RFC 8422
  // section 5.1).
  if (row.version == kTls12 && row.group != kP256) options.groups.push_back(kP256);
  options.sni = "Mail.Example.ORG";
  if (row.rsa) options.signature_algorithms = {0x0804, 0x0401};  // PSS and PKCS #1, SHA-256
  for (const bool resumed : {false, true}) {
    SCOPED_TRACE(resumed ? "resumed" : "full");
    TestClient client(options);
    TestServer server(*context, row.portion, row.portion);
    ASSERT_TRUE(Exchange(client, server)) << client.error();
    const TlsFacts facts = server.session().Facts();
    EXPECT_EQ(kTlsVersionLabels[facts.version], row.version == kTls13 ? "TLSv1.3" : "TLSv1.2");
    EXPECT_EQ(client.version(), row.version);
    EXPECT_EQ(client.group(), row.group);
    EXPECT_EQ(kTlsGroupLabels[facts.group], row.group == kHybrid   ? "X25519MLKEM768"
                                            : row.group == kX25519 ? "X25519"
                                                                   : "P-256");
    const std::string_view cipher = kTlsCipherLabels[facts.cipher];
    EXPECT_EQ(cipher, row.version == kTls13 ? "TLS_AES_128_GCM_SHA256"
                      : row.rsa             ? "ECDHE-RSA-AES128-GCM-SHA256"
                                            : "ECDHE-ECDSA-AES128-GCM-SHA256");
    EXPECT_EQ(facts.sni, "mail.example.org");
    EXPECT_EQ(facts.alpn, "");
    EXPECT_EQ(facts.resumed, resumed);
    EXPECT_EQ(client.resumed(), resumed);
    EXPECT_FALSE(facts.hello_retry);
    if (!resumed) EXPECT_EQ(client.leaf_is_rsa(), row.rsa);
    ExpectEcho(client, server);
    if (resumed) break;
    ASSERT_NE(client.session(), nullptr);
    EXPECT_FALSE(client.ticket_allows_early_data());
    options.session = client.session();
  }
}

std::vector<Row> Rows() {
  std::vector<Row> rows;
  for (const bool rsa : {false, true}) {
    for (const size_t portion : {size_t{16384}, size_t{1}, size_t{37}}) {
      for (const uint16_t group : {kHybrid, kX25519, kP256}) {
        rows.push_back({kTls13, rsa, group, portion});
        if (group != kHybrid) rows.push_back({kTls12, rsa, group, portion});
      }
    }
  }
  return rows;
}

INSTANTIATE_TEST_SUITE_P(All, HandshakeTable, testing::ValuesIn(Rows()));

TEST_F(HandshakeTest, KeyShareDecidesTheGroupWithoutAnotherRoundTrip) {
  const auto context = Make(policy_);
  struct {
    std::vector<uint16_t> groups, shares;
    uint16_t expected;
    bool retry;
  } const rows[] = {
      {{kHybrid, kX25519, kP256}, {kHybrid}, kHybrid, false},
      {{kHybrid, kX25519, kP256}, {kHybrid, kX25519}, kHybrid, false},
      {{kHybrid, kX25519, kP256}, {kX25519}, kX25519, false},
      {{kHybrid, kX25519, kP256}, {kP256}, kP256, false},
      {{kHybrid, kX25519, kP256}, {kX25519, kP256}, kX25519, false},
      {{kX25519, kP256}, {kP256}, kP256, false},
      {{kP384, kX25519, kHybrid}, {kP384}, kP384, false},
      {{kP521, kX25519, kHybrid}, {kP521}, kHybrid, true},
  };
  for (const auto& row : rows) {
    TestClientOptions options;
    options.groups = row.groups;
    options.key_shares = row.shares;
    TestClient client(options);
    TestServer server(*context);
    ASSERT_TRUE(Exchange(client, server)) << client.error();
    EXPECT_EQ(client.group(), row.expected);
    EXPECT_EQ(client.hello_retry(), row.retry) << row.expected;
    EXPECT_EQ(server.session().Facts().hello_retry, row.retry);
  }
}

TEST(KeyShareOrder, MalformedExtensionsLeaveTheOrder) {
  const std::vector<std::vector<uint8_t>> rows = {
      {}, {0}, {0, 9}, {0, 4, 0, 29, 0, 9}, {0, 3, 0, 29, 0}, {0, 1, 0}, {0, 0}};
  for (const auto& row : rows) {
    const uint16_t policy[] = {kHybrid, kX25519, kP256};
    uint16_t groups[kMaxGroups];
    EXPECT_FALSE(OrderGroupsByKeyShare(row, policy, groups)) << testing::PrintToString(row);
  }
}

TEST_F(HandshakeTest, ChaChaFirstForClientsThatPutItFirst) {
  const auto context = Make(policy_);
  struct {
    uint16_t version;
    std::vector<uint16_t> tls13;
    std::string tls12;
    std::string_view expected;
  } const rows[] = {
      {kTls13, {0x1301, 0x1302, 0x1303}, "", "TLS_AES_128_GCM_SHA256"},
      {kTls13, {0x1303, 0x1302, 0x1301}, "", "TLS_CHACHA20_POLY1305_SHA256"},
      {kTls13, {0x1302, 0x1303, 0x1301}, "", "TLS_AES_128_GCM_SHA256"},
      {kTls13, {0x1302, 0x1303}, "", "TLS_AES_256_GCM_SHA384"},
      {kTls12,
       {},
       "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-CHACHA20-POLY1305"},
      {kTls12,
       {},
       "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {kTls12, {}, "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
      {kTls12, {}, "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
  };
  for (const auto& row : rows) {
    TestClientOptions options;
    options.min_version = options.max_version = row.version;
    options.tls13_ciphers = row.tls13;
    options.tls12_ciphers = row.tls12;
    TestClient client(options);
    TestServer server(*context);
    ASSERT_TRUE(Exchange(client, server)) << client.error();
    EXPECT_EQ(kTlsCipherLabels[server.session().Facts().cipher], row.expected);
  }
}

TEST_F(HandshakeTest, CertificateByNameThenByWhatTheClientCanVerify) {
  const auto other = Load(TestKey::kEcP256, {"imap.example.net"});
  const auto wild = Load(TestKey::kRsa2048, {"*.example.net", "Example.NET"});
  const auto context =
      Make({.certificates = MakeCredentialIndex({ec_, rsa_, other, wild}), .alpn = ""});
  const std::vector<uint16_t> rsa_only = {0x0804, 0x0401};
  struct {
    std::string sni;
    std::vector<uint16_t> algorithms;
    const Credential* expected;
  } const rows[] = {
      {"", {}, ec_.get()},
      {"", rsa_only, rsa_.get()},
      {"mail.example.org", {}, ec_.get()},
      {"MAIL.example.org", rsa_only, rsa_.get()},
      {"imap.example.net", {}, other.get()},
      {"imap.example.net", rsa_only, wild.get()},
      {"smtp.example.net", {}, wild.get()},
      {"SMTP.Example.Net", rsa_only, wild.get()},
      {"example.net", {}, wild.get()},
      {"a.b.example.net", {}, ec_.get()},
      {"unknown.example.com", {}, ec_.get()},
      {"unknown", rsa_only, rsa_.get()},
  };
  for (const uint16_t version : {kTls12, kTls13}) {
    for (const auto& row : rows) {
      SCOPED_TRACE(row.sni);
      TestClientOptions options;
      options.min_version = options.max_version = version;
      options.sni = row.sni;
      options.signature_algorithms = row.algorithms;
      TestClient client(options);
      TestServer server(*context);
      ASSERT_TRUE(Exchange(client, server)) << client.error();
      // The certificate contains its names in plain text.
      const std::string wanted =
          Info(*row.expected).names.substr(0, Info(*row.expected).names.find(','));
      EXPECT_NE(client.leaf_der().find(wanted), std::string::npos);
      EXPECT_EQ(client.leaf_is_rsa(), Info(*row.expected).key_type == "RSA2048");
    }
  }
}

TEST_F(HandshakeTest, ChainIsSentAsGiven) {
  TestCertificateOptions options;
  options.with_issuer = true;
  const auto context = Make({.certificates = MakeCredentialIndex({Load(options)}), .alpn = ""});
  TestClient client(TestClientOptions{});
  TestServer server(*context);
  ASSERT_TRUE(Exchange(client, server));
  EXPECT_EQ(client.chain_length(), 2u);
}

TEST_F(HandshakeTest, Alpn) {
  struct {
    std::string ours;
    std::vector<std::string> theirs;
    bool connects;
    std::string expected;
    std::string second = {};
  } const rows[] = {
      {"imap", {}, true, ""},
      {"imap", {"imap"}, true, "imap"},
      {"imap", {"pop3", "imap"}, true, "imap"},
      {"imap", {"http/1.1"}, false, ""},
      {"imap", {"imap4", "ima"}, false, ""},
      {"", {"http/1.1"}, true, ""},
      {"ftp", {"x", "ftp-data"}, true, "ftp-data", "ftp-data"},
      {"ftp", {"ftp"}, true, "ftp", "ftp-data"},
      {"ftp", {"ftp-dat"}, false, "", "ftp-data"},
      {"", {}, true, ""},
  };
  for (const auto& row : rows) {
    for (const uint16_t version : {kTls12, kTls13}) {
      SCOPED_TRACE(testing::PrintToString(row.theirs));
      policy_.alpn = row.ours;
      policy_.second_alpn = row.second;
      const auto context = Make(policy_);
      TestClientOptions options;
      options.min_version = options.max_version = version;
      options.alpn = row.theirs;
      TestClient client(options);
      TestServer server(*context);
      ASSERT_EQ(Exchange(client, server), row.connects);
      EXPECT_EQ(client.alpn(), row.expected);
      if (row.connects) {
        EXPECT_EQ(server.session().Facts().alpn, row.expected);
      } else {
        EXPECT_EQ(server.session().failure(), TlsFailure::kNoApplicationProtocol);
        EXPECT_EQ(client.error(), "TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
      }
    }
  }
}

TEST_F(HandshakeTest, Refusals) {
  const auto only_ec = Make({.certificates = MakeCredentialIndex({ec_}), .alpn = ""});
  TestClientOptions tls10, tls11, scsv, static_rsa, cbc, groups, no_ecdsa, no_ecdsa12, rejects,
      rejects12;
  tls10.min_version = tls10.max_version = kTls10;
  tls11.min_version = kTls10;
  tls11.max_version = kTls11;
  scsv.max_version = kTls12;
  scsv.fallback_scsv = true;
  static_rsa.max_version = kTls12;
  static_rsa.tls12_ciphers = "AES128-GCM-SHA256:AES256-SHA";
  cbc.max_version = kTls12;
  cbc.tls12_ciphers = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA";
  groups.min_version = kTls13;
  groups.groups = {kP521};
  no_ecdsa.min_version = kTls13;
  no_ecdsa.signature_algorithms = {0x0804};
  no_ecdsa12.max_version = kTls12;
  no_ecdsa12.signature_algorithms = {0x0804};
  rejects.reject_certificate = true;
  rejects12.reject_certificate = true;
  rejects12.max_version = kTls12;
  struct {
    const TestClientOptions& options;
    TlsFailure failure;
    std::string_view alert;
  } const rows[] = {
      {tls10, TlsFailure::kNoSharedVersion, "TLSV1_ALERT_PROTOCOL_VERSION"},
      {tls11, TlsFailure::kNoSharedVersion, "TLSV1_ALERT_PROTOCOL_VERSION"},
      {scsv, TlsFailure::kInappropriateFallback, "TLSV1_ALERT_INAPPROPRIATE_FALLBACK"},
      {static_rsa, TlsFailure::kNoSharedCipher, "SSLV3_ALERT_HANDSHAKE_FAILURE"},
      {cbc, TlsFailure::kNoSharedCipher, "SSLV3_ALERT_HANDSHAKE_FAILURE"},
      {groups, TlsFailure::kNoSharedGroup, "SSLV3_ALERT_HANDSHAKE_FAILURE"},
      {no_ecdsa, TlsFailure::kNoCertificate, "SSLV3_ALERT_HANDSHAKE_FAILURE"},
      {no_ecdsa12, TlsFailure::kNoSharedCipher, "SSLV3_ALERT_HANDSHAKE_FAILURE"},
      {rejects, TlsFailure::kCertificateRejected, "CERTIFICATE_VERIFY_FAILED"},
      {rejects12, TlsFailure::kCertificateRejected, "CERTIFICATE_VERIFY_FAILED"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(Label(row.failure));
    TestClient client(row.options);
    TestServer server(*only_ec);
    EXPECT_FALSE(Exchange(client, server));
    EXPECT_EQ(server.session().failure(), row.failure)
        << "got " << Label(server.session().failure());
    EXPECT_EQ(client.error(), row.alert);
    // The failure is final.
    EXPECT_EQ(server.Step(), TlsResult::kFailed);
    EXPECT_EQ(server.Write("x"), TlsResult::kFailed);
  }
}

TEST_F(HandshakeTest, TicketsAreGoodForThePolicyOnly) {
  policy_.tickets = MakeTicketKeys();
  const auto first = Make(policy_);
  const auto twin = Make(policy_);  // another worker's
  TlsPolicy protocol = policy_, names = policy_, certificate = policy_, process = policy_;
  protocol.alpn = "imap";
  names.certificates =
      MakeCredentialIndex({Load(TestKey::kEcP256, {"mail.example.org", "x.example"})});
  // A renewed certificate with the same names.
  certificate.certificates = MakeCredentialIndex({Load(TestKey::kEcP256, {"mail.example.org"})});
  process.tickets = nullptr;
  const auto imap = Make(protocol), other_names = Make(names), renewed = Make(certificate),
             other_process = Make(process);
  for (const uint16_t version : {kTls12, kTls13}) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    TestClient client(options);
    TestServer server(*first);
    ASSERT_TRUE(Exchange(client, server));
    ExpectEcho(client, server);
    ASSERT_NE(client.session(), nullptr);
    options.session = client.session();
    struct {
      TlsContext* context;
      bool resumed;
    } const rows[] = {{first.get(), true},   {twin.get(), true},
                      {imap.get(), false},   {other_names.get(), false},
                      {renewed.get(), true}, {other_process.get(), false}};
    for (const auto& row : rows) {
      TestClient again(options);
      TestServer second(*row.context);
      ASSERT_TRUE(Exchange(again, second)) << again.error();
      EXPECT_EQ(second.session().Facts().resumed, row.resumed);
      ExpectEcho(again, second);
    }
  }
}

}  // namespace
}  // namespace starling
