// Tests what a policy allows and requires, against a real client in memory.
#include "gateway/tls/policy.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_names.h"
#include "gateway/tls/tls_policy_testing.h"
#include "gateway/tls/tls_session.h"

namespace starling {
namespace {

using namespace std::string_literals;

// The facts of a handshake, which must succeed.
TlsFacts Connect(TlsContext& context, const TestClientOptions& options) {
  TestClient client(options);
  TestServer server(context);
  EXPECT_TRUE(Exchange(client, server)) << client.error();
  TlsFacts facts = server.session().Facts();
  facts.sni = facts.alpn = facts.client_name = facts.client_issuer = {};
  return facts;
}

// Why a handshake fails.
TlsFailure Failure(TlsContext& context, const TestClientOptions& options) {
  TestClient client(options);
  TestServer server(context);
  EXPECT_FALSE(Exchange(client, server));
  return server.session().failure();
}

TEST_F(TlsPolicyTest, WhatCannotWorkIsNamed) {
  struct {
    std::vector<std::string> ciphers, groups, signatures;
    bool tls12;
    const char* said;
  } const rows[] = {
      {{"AES128-SHA"}, {}, {}, true, "ciphers: unknown name AES128-SHA"},
      {{"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
       {},
       {},
       true,
       "ciphers: TLS_AES_128_GCM_SHA256 appears twice"},
      {{}, {"P-224"}, {}, true, "groups: unknown name P-224"},
      {{}, {"X25519", "P-256", "X25519"}, {}, true, "groups: X25519 appears twice"},
      {{}, {"X25519MLKEM768"}, {}, true, "groups: X25519MLKEM768 works with TLS 1.3 only"},
      {{}, {}, {"rsa_pkcs1_sha1"}, true, "signature_algorithms: unknown name rsa_pkcs1_sha1"},
      {{}, {}, {"ed25519"}, true, "no algorithm fits the EC256 key of test.crt"},
      {{}, {}, {"ecdsa_secp256r1_sha256"}, true, "no algorithm fits the RSA2048 key of test.crt"},
      {{},
       {},
       {"ecdsa_secp384r1_sha384", "rsa_pss_rsae_sha256"},
       false,
       "no algorithm fits the EC256 key"},
      {{}, {}, {"ecdsa_secp256r1_sha256", "rsa_pkcs1_sha256"}, false, "fits the RSA2048 key"},
  };
  for (const auto& row : rows) {
    TlsPolicy policy = Policy();
    policy.ciphers = row.ciphers;
    policy.groups = row.groups;
    policy.signature_algorithms = row.signatures;
    policy.tls12 = row.tls12;
    const auto context = TlsContext::Create(policy);
    ASSERT_FALSE(context.ok()) << row.said;
    EXPECT_NE(std::string(context.status().message()).find(row.said), std::string::npos)
        << context.status();
  }
  TlsPolicy policy = Policy();
  policy.tickets = nullptr;
  EXPECT_FALSE(TlsContext::Create(policy).ok());
  policy = Policy();
  policy.client_certificate = ClientCertificateMode::kOptional;
  EXPECT_FALSE(TlsContext::Create(policy).ok());
}

TEST_F(TlsPolicyTest, RefusesImpossiblePolicies) {
  EXPECT_FALSE(TlsContext::Create({}).ok());
  TlsPolicy policy = Policy();
  policy.alpn = std::string(256, 'x');
  EXPECT_FALSE(TlsContext::Create(policy).ok());
  policy.alpn.pop_back();
  EXPECT_TRUE(TlsContext::Create(policy).ok());
}

// CBC suites are for old mail senders: only in TLS 1.2, and after all other suites.
TEST_F(TlsPolicyTest, CbcIsTheLastResort) {
  constexpr const char* kCbc[] = {"ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
                                  "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA"};
  TlsPolicy with = Policy();
  with.cbc = true;
  for (const char* suite : kCbc) {
    TestClientOptions client = Version(kTls12);
    client.tls12_ciphers = suite;
    EXPECT_EQ(kTlsCipherLabels[Connect(*Make(with), client).cipher], suite);
    EXPECT_EQ(Failure(*Make(Policy()), client), TlsFailure::kNoSharedCipher) << suite;
    // Except for ChaCha20, the client's order does not matter. (The server uses the first
    // certificate that the client supports, whatever the suites.)
    const std::string kind = std::string(suite).substr(0, std::string(suite).find("-AES"));
    for (const char* better : {"-AES128-GCM-SHA256", "-CHACHA20-POLY1305"}) {
      client.tls12_ciphers = suite + (":" + kind) + better;
      EXPECT_EQ(kTlsCipherLabels[Connect(*Make(with), client).cipher], kind + better);
    }
  }
  // The server has no suites without forward secrecy, and no CBC suites in TLS 1.3.
  for (const char* worse : {"AES128-SHA", "AES128-GCM-SHA256"}) {
    TestClientOptions client = Version(kTls12);
    client.tls12_ciphers = worse;
    EXPECT_EQ(Failure(*Make(with), client), TlsFailure::kNoSharedCipher) << worse;
  }
  with.tls12 = false;
  TestClientOptions client = Version(kTls12);
  client.tls12_ciphers = kCbc[0];
  EXPECT_EQ(Failure(*Make(with), client), TlsFailure::kNoSharedVersion);
}

TEST_F(TlsPolicyTest, EveryNameAloneIsEnough) {
  for (const std::string_view name : kTlsSuiteNames) {
    TlsPolicy policy = Policy();
    policy.ciphers = {std::string(name)};
    const bool tls13 = name.starts_with("TLS_");
    const TlsFacts facts = Connect(*Make(policy), Version(tls13 ? kTls13 : kTls12));
    EXPECT_EQ(kTlsCipherLabels[facts.cipher], name);
    // The policy names no suite of the other version, so it allows all of them.
    Connect(*Make(policy), Version(tls13 ? kTls12 : kTls13));
  }
  for (const std::string_view name : kTlsGroupNames) {
    TlsPolicy policy = Policy();
    policy.groups = {std::string(name)};
    policy.tls12 = false;
    TestClientOptions options;
    options.groups = {0x11ec, 29, 23, 24, 25};
    EXPECT_EQ(kTlsGroupLabels[Connect(*Make(policy), options).group], name);
  }
  index_ = MakeCredentialIndex({Load(TestKey::kEd25519, {"mail.example.org"})});
  TlsPolicy policy = Policy();
  policy.signature_algorithms = {"ed25519"};
  TestClientOptions options;
  options.signature_algorithms = {0x0807};
  const TlsFacts facts = Connect(*Make(policy), options);
  EXPECT_EQ(kTlsSignatureLabels[facts.signature], "ed25519");
  EXPECT_EQ(kTlsKeyLabels[facts.key], "ED25519");
}

TEST_F(TlsPolicyTest, TheServersOrderCounts) {
  TlsPolicy policy = Policy();
  policy.ciphers = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"};
  policy.groups = {"P-384", "X25519"};
  const auto context = Make(policy);
  TestClientOptions options = Version(kTls13);
  options.groups = {29, 23, 24};
  options.key_shares = {29, 24};
  TlsFacts facts = Connect(*context, options);
  EXPECT_EQ(kTlsCipherLabels[facts.cipher], "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(kTlsGroupLabels[facts.group], "P-384");
  // Groups that would cost a round trip come last.
  options.key_shares = {29};
  facts = Connect(*context, options);
  EXPECT_EQ(kTlsGroupLabels[facts.group], "X25519");
  EXPECT_FALSE(facts.hello_retry);
  // The server chooses the certificate first, EC before RSA, and then a cipher for it.
  EXPECT_EQ(kTlsCipherLabels[Connect(*context, Version(kTls12)).cipher],
            "ECDHE-ECDSA-AES128-GCM-SHA256");
  // A client that prefers ChaCha20 still gets only what the policy allows.
  options.tls13_ciphers = {0x1303, 0x1301};
  EXPECT_EQ(kTlsCipherLabels[Connect(*context, options).cipher], "TLS_AES_128_GCM_SHA256");
}

TEST_F(TlsPolicyTest, OneVersionOnly) {
  TlsPolicy policy = Policy();
  policy.tls12 = false;
  const auto context = Make(policy);
  EXPECT_EQ(kTlsVersionLabels[Connect(*context, {}).version], "TLSv1.3");
  TestClient client(Version(kTls12));
  TestServer server(*context);
  EXPECT_FALSE(Exchange(client, server));
  EXPECT_EQ(server.session().failure(), TlsFailure::kNoSharedVersion);
  EXPECT_EQ(client.error(), "TLSV1_ALERT_PROTOCOL_VERSION");
  EXPECT_EQ(kTlsOfferedLabels[server.session().offered()], "TLSv1.2");
}

TEST_F(TlsPolicyTest, SignaturesAreThoseOfThePolicy) {
  TlsPolicy policy = Policy();
  policy.signature_algorithms = {"rsa_pss_rsae_sha512", "rsa_pkcs1_sha384",
                                 "ecdsa_secp256r1_sha256"};
  const auto context = Make(policy);
  struct {
    uint16_t version;
    std::vector<uint16_t> theirs;
    std::string_view signature, key;
  } const rows[] = {
      {kTls13, {}, "ecdsa_secp256r1_sha256", "EC256"},
      {kTls12, {}, "ecdsa_secp256r1_sha256", "EC256"},
      {kTls13, {0x0804, 0x0806}, "rsa_pss_rsae_sha512", "RSA2048"},
      {kTls12, {0x0401, 0x0501}, "rsa_pkcs1_sha384", "RSA2048"},
  };
  for (const auto& row : rows) {
    TestClientOptions options = Version(row.version);
    options.signature_algorithms = row.theirs;
    const TlsFacts facts = Connect(*context, options);
    EXPECT_EQ(kTlsSignatureLabels[facts.signature], row.signature);
    EXPECT_EQ(kTlsKeyLabels[facts.key], row.key);
  }
  for (const uint16_t version : {kTls12, kTls13}) {
    TestClientOptions options = Version(version);
    options.signature_algorithms = {0x0804, 0x0401};
    TestClient client(options);
    TestServer server(*context);
    EXPECT_FALSE(Exchange(client, server));
    EXPECT_EQ(server.session().alert_sent(), 40);
  }
}

TEST_F(TlsPolicyTest, AResumedSessionSignsNothing) {
  const auto context = Make(Policy());
  for (const uint16_t version : {kTls12, kTls13}) {
    TestClientOptions options = Version(version);
    TestClient client(options);
    TestServer server(*context);
    ASSERT_TRUE(Exchange(client, server));
    EXPECT_EQ(kTlsSignatureLabels[server.session().Facts().signature], "ecdsa_secp256r1_sha256");
    server.Write("x");
    Exchange(client, server);
    options.session = client.session();
    const TlsFacts facts = Connect(*context, options);
    EXPECT_TRUE(facts.resumed);
    EXPECT_EQ(kTlsSignatureLabels[facts.signature], "resumed");
    EXPECT_EQ(kTlsKeyLabels[facts.key], "");
    EXPECT_FALSE(facts.ticket_unknown);
    // With other ticket keys there is a full handshake, and the facts say why.
    const TlsFacts foreign = Connect(*Make(Policy()), options);
    EXPECT_FALSE(foreign.resumed);
    EXPECT_TRUE(foreign.ticket_unknown);
  }
}

TEST_F(TlsPolicyTest, StrictNames) {
  struct {
    std::string sni;
    std::vector<std::string> alpn;
    bool sni_strict, alpn_strict;
    TlsFailure failure;
    uint8_t alert;
  } const rows[] = {
      {"mail.example.org", {"imap"}, true, true, TlsFailure::kNone, kNoAlert},
      {"MAIL.example.org", {}, true, false, TlsFailure::kNone, kNoAlert},
      {"other.example.org", {}, true, false, TlsFailure::kSniUnknown, 112},
      {"", {}, true, false, TlsFailure::kSniUnknown, 112},
      {"", {}, false, false, TlsFailure::kNone, kNoAlert},
      {"other.example.org", {"imap"}, false, true, TlsFailure::kNone, kNoAlert},
      {"mail.example.org", {}, false, true, TlsFailure::kNoApplicationProtocol, 120},
      {"mail.example.org", {"http/1.1"}, false, true, TlsFailure::kNoApplicationProtocol, 120},
      {"mail.example.org", {"http/1.1"}, false, false, TlsFailure::kNoApplicationProtocol, 120},
      {"other.example.org", {}, true, true, TlsFailure::kSniUnknown, 112},
  };
  for (const auto& row : rows) {
    TlsPolicy policy = Policy();
    policy.alpn = "imap";
    policy.sni_strict = row.sni_strict;
    policy.alpn_strict = row.alpn_strict;
    const auto context = Make(policy);
    for (const uint16_t version : {kTls12, kTls13}) {
      SCOPED_TRACE(row.sni + " " + testing::PrintToString(row.alpn));
      TestClientOptions options = Version(version);
      options.sni = row.sni;
      options.alpn = row.alpn;
      TestClient client(options);
      TestServer server(*context);
      EXPECT_EQ(Exchange(client, server), row.failure == TlsFailure::kNone);
      EXPECT_EQ(Label(server.session().failure()), Label(row.failure));
      EXPECT_EQ(server.session().alert_sent(), row.alert);
      if (row.alert == 112) EXPECT_EQ(client.error(), "TLSV1_ALERT_UNRECOGNIZED_NAME");
    }
  }
  // alpn_strict has no effect for a protocol without an ALPN identifier.
  TlsPolicy policy = Policy();
  policy.alpn_strict = true;
  Connect(*Make(policy), {});
}

TEST_F(TlsPolicyTest, OfferedVersionWhateverBecomesOfIt) {
  const auto context = Make(Policy());
  const auto offered = [&](std::string hello) {
    TestServer server(*context);
    server.input = std::move(hello);
    server.Step();
    return std::pair(kTlsOfferedLabels[server.session().offered()],
                     Label(server.session().failure()));
  };
  const auto hello = [](uint16_t min, uint16_t max) {
    TestClientOptions options;
    options.min_version = min;
    options.max_version = max;
    TestClient client(options);
    client.Step();
    return client.output;
  };
  using Pair = std::pair<std::string_view, std::string_view>;
  EXPECT_EQ(offered(hello(0x0303, 0x0304)), Pair("TLSv1.3", "none"));
  EXPECT_EQ(offered(hello(0x0303, 0x0303)), Pair("TLSv1.2", "none"));
  EXPECT_EQ(offered(hello(0x0301, 0x0302)), Pair("TLSv1.1", "no_shared_version"));
  EXPECT_EQ(offered(hello(0x0301, 0x0301)), Pair("TLSv1.0", "no_shared_version"));
  std::string ssl3 = hello(0x0303, 0x0303);
  ssl3[10] = 0;  // legacy_version, after the headers of record and message
  EXPECT_EQ(offered(ssl3), Pair("SSLv3", "no_shared_version"));
  EXPECT_EQ(offered("EHLO x\r\n"), Pair("unknown", "not_tls"));
  EXPECT_EQ(offered("\x16\x03\x01\x00\x05hello"s), Pair("unknown", "message_too_large"));
}

TEST_F(TlsPolicyTest, AlertsOfBothSidesAreKnown) {
  const auto context = Make(Policy());
  TestClientOptions options;
  options.reject_certificate = true;
  TestClient client(options);
  TestServer server(*context);
  EXPECT_FALSE(Exchange(client, server));
  EXPECT_EQ(server.session().alert_received(), 48);
  EXPECT_EQ(server.session().alert_sent(), kNoAlert);
  EXPECT_EQ(AlertLabel(AlertIndex(48)), "unknown_ca");
  EXPECT_EQ(AlertLabel(AlertIndex(200)), "other");

  TestServer plain(*context);
  plain.input = "QUIT\r\n";
  plain.Step();
  EXPECT_EQ(plain.session().alert_sent(), 10);

  TestClient polite(TestClientOptions{});
  TestServer ended(*context);
  ASSERT_TRUE(Exchange(polite, ended));
  polite.CloseNotify();
  Exchange(polite, ended);
  ended.CloseNotify();
  EXPECT_EQ(ended.session().alert_received(), kNoAlert) << "the ordinary end is none";
  EXPECT_EQ(ended.session().alert_sent(), kNoAlert);
}

TEST_F(TlsPolicyTest, UnsealedAlertsOfClientsAreKnown) {
  const auto context = Make(Policy());
  TestClient client(Version(kTls13));
  TestServer server(*context);
  client.Step();
  server.input = std::exchange(client.output, {});
  EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
  server.input = "\x15\x03\x03\x00\x02\x02\x30"s;  // unknown_ca
  EXPECT_EQ(server.Step(), TlsResult::kFailed);
  EXPECT_EQ(server.session().failure(), TlsFailure::kCertificateRejected);
  EXPECT_EQ(server.session().alert_received(), 48);
}

}  // namespace
}  // namespace starling
