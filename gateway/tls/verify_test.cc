// Tests the verification of clients and servers: chains, revocation lists, dates and
// names; and that no ticket bypasses it.
#include "gateway/tls/verify.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_authority.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"

namespace starling {
namespace {

// How far the test has set the clock forward.
WallMicros ahead = 0;
// After this time, certificates valid for an hour have expired but tickets have not.
constexpr int64_t kHour = 3'600;
constexpr WallMicros kLater = 3 * kHour * 1'000'000 / 2;

}  // namespace

// Replaces the system's clock: certificates expire when the test says so.
MonoTime MonotonicNow() { return std::chrono::steady_clock::now(); }
WallMicros WallNow() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count() + ahead;
}

namespace {

constexpr uint16_t kVersions[] = {0x0303, 0x0304};
constexpr auto kOptional = ClientCertificateMode::kOptional;
constexpr auto kRequire = ClientCertificateMode::kRequire;

class VerifyTest : public CredentialFolderTest {
 protected:
  ~VerifyTest() override { ahead = 0; }

  std::shared_ptr<const TrustStore> Trust(const std::string& ca, const std::string& crl = "",
                                          uint32_t depth = 1) {
    auto loaded =
        TrustStore::Load(Put("ca.pem", ca), crl.empty() ? "" : Put("crl.pem", crl), depth);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }
  TlsPolicy Policy(ClientCertificateMode mode, std::shared_ptr<const TrustStore> trust) {
    TlsPolicy policy = {.certificates = own_, .tickets = tickets_};
    policy.client_certificate = mode;
    policy.client_trust = std::move(trust);
    return policy;
  }
  static std::unique_ptr<TlsContext> Make(const TlsPolicy& policy) {
    return std::move(TlsContext::Create(policy)).value();
  }
  static TestClientOptions Client(const TestLeaf& leaf, uint16_t version = 0x0304) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    options.certificate = leaf.cert;
    options.key = leaf.key;
    return options;
  }

  // The client's identity as the server sees it, or why the server refused it; and the
  // session for resumption.
  static std::string Visit(TlsContext& context, TestClientOptions& options) {
    TestClient client(options);
    TestServer server(context);
    if (!Exchange(client, server)) {
      const TlsSession& session = server.session();
      return std::string(Label(session.failure())) + " " +
             std::string(AlertLabel(AlertIndex(session.alert_sent())));
    }
    EXPECT_EQ(server.Write("x"), TlsResult::kOk);
    Exchange(client, server);
    if (client.session() != nullptr) options.session = client.session();
    const TlsFacts facts = server.session().Facts();
    std::string text = facts.resumed ? "resumed, " : "";
    text += kClientCertificateLabels[static_cast<size_t>(facts.client_certificate)];
    if (!facts.client_name.empty()) text += " " + std::string(facts.client_name);
    if (!facts.client_issuer.empty()) text += " by " + std::string(facts.client_issuer);
    return text;
  }
  std::string Full(const TestLeaf& leaf, std::shared_ptr<const TrustStore> trust,
                   ClientCertificateMode mode = kRequire) {
    TestClientOptions options = Client(leaf);
    return Visit(*Make(Policy(mode, std::move(trust))), options);
  }

  const TestCertificate made_ = MakeTestCertificate();
  std::shared_ptr<const CredentialIndex> own_ = MakeCredentialIndex(
      {std::move(store_.LoadPem({"own.crt", "own.key"}, made_.cert, made_.key)).value()});
  std::shared_ptr<TicketKeys> tickets_ = MakeTicketKeys();
  TestAuthority root_{"Root"};
  TestAuthority middle_{"Middle", root_};
  TestAuthority low_{"Low", middle_};
};

TEST_F(VerifyTest, ChainsAreNoLongerThanAllowed) {
  const TestAuthority* const issuers[] = {&root_, &middle_, &low_};
  const std::string names[] = {"Root", "Middle", "Low"};
  for (uint32_t depth = 0; depth < 3; depth++) {
    for (uint32_t between = 0; between < 3; between++) {
      EXPECT_EQ(Full(issuers[between]->Issue(), Trust(root_.cert(), "", depth)),
                between <= depth ? "verified client by " + names[between]
                                 : "client_certificate_invalid unknown_ca")
          << between << " between, depth " << depth;
    }
  }
}

TEST_F(VerifyTest, AnAuthorityBelowARootIsBelievedByItself) {
  EXPECT_EQ(Full(middle_.Issue(), Trust(middle_.cert())), "verified client by Middle");
  EXPECT_EQ(Full(root_.Issue(), Trust(middle_.cert())), "client_certificate_invalid unknown_ca");
}

TEST_F(VerifyTest, ListsOfTheRevoked) {
  const TestLeaf leaf = root_.Issue(), other = root_.Issue();
  const struct {
    std::string crl, expected;
  } rows[] = {
      {root_.Revoke({}), "verified client by Root"},
      {root_.Revoke({other.serial}), "verified client by Root"},
      {root_.Revoke({other.serial, leaf.serial}), "client_certificate_invalid certificate_revoked"},
      // Expired, from another authority, and from another authority with the same name.
      {root_.Revoke({}, -3'600), "client_certificate_invalid certificate_unknown"},
      {middle_.Revoke({}), "client_certificate_invalid certificate_unknown"},
      {TestAuthority("Root").Revoke({}), "client_certificate_invalid bad_certificate"},
  };
  for (const auto& row : rows) {
    const auto trust = Trust(root_.cert(), row.crl);
    EXPECT_EQ(Full(leaf, trust), row.expected);
    const bool good = row.expected.starts_with("verified");
    EXPECT_EQ(Full(leaf, trust, kOptional), good ? row.expected : "failed");
  }
}

TEST_F(VerifyTest, CertificatesOfServersAreNotClients) {
  TestLeafOptions options;
  options.server_only = true;
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())),
            "client_certificate_invalid unsupported_certificate");
  options = {.client_only = true};
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())), "verified client by Root");
}

TEST_F(VerifyTest, NamesAreThoseOfTheSubjectFirst) {
  TestLeafOptions options;
  options.mails = {"alice@example.org", "second@example.org"};
  options.hosts = {"host.example.org"};
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())), "verified client by Root");
  options.common_name = "";
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())), "verified alice@example.org by Root");
  options.mails.clear();
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())), "verified host.example.org by Root");
  options.hosts.clear();
  EXPECT_EQ(Full(root_.Issue(options), Trust(root_.cert())), "verified by Root");
}

TEST_F(VerifyTest, NamesThatOthersCouldReadOtherwiseAreNone) {
  const std::string refused = "client_certificate_invalid bad_certificate";
  for (const bool common : {true, false}) {
    for (const std::string& name : {std::string("a\r\nb"), std::string("a\0b", 3),
                                    std::string("a\x7f"), std::string(257, 'a')}) {
      // A common name has at most 64 characters (RFC 5280 appendix A.1).
      if (common && name.size() > 64) continue;
      TestLeafOptions options;
      options.common_name = common ? name : "";
      if (!common) options.mails = {name};
      const TestLeaf leaf = root_.Issue(options);
      EXPECT_EQ(Full(leaf, Trust(root_.cert())), refused) << testing::PrintToString(name);
      EXPECT_EQ(Full(leaf, Trust(root_.cert()), kOptional), "failed");
    }
  }
  TestLeafOptions longest;
  longest.common_name = "";
  longest.mails = {std::string(256, 'a')};
  EXPECT_EQ(Full(root_.Issue(longest), Trust(root_.cert())),
            "verified " + longest.mails[0] + " by Root");
  const TestAuthority forger("Root\nclient_cert=verified");
  EXPECT_EQ(Full(forger.Issue(), Trust(forger.cert())), refused);
}

// The server does not verify a chain that is too large for a ticket.
TEST_F(VerifyTest, CertificatesAreNoLargerThanTickets) {
  TestLeafOptions options;
  for (const uint16_t version : kVersions) {
    for (const auto mode : {kOptional, kRequire}) {
      const auto context = Make(Policy(mode, Trust(root_.cert())));
      options.padding = 15'000;
      TestClientOptions fits = Client(root_.Issue(options), version);
      EXPECT_EQ(Visit(*context, fits), "verified client by Root");
      EXPECT_EQ(Visit(*context, fits), "resumed, verified client by Root");
      options.padding = 16'384;
      TestClientOptions large = Client(root_.Issue(options), version);
      const std::string expected =
          mode == kOptional ? "failed" : "client_certificate_invalid bad_certificate";
      EXPECT_EQ(Visit(*context, large), expected);
      EXPECT_EQ(Visit(*context, large), expected) << "it has no ticket";
    }
  }
}

TEST_F(VerifyTest, WhoHasExpiredDoesNotComeBackByATicket) {
  const auto require = Make(Policy(kRequire, Trust(root_.cert())));
  const auto optional = Make(Policy(kOptional, Trust(root_.cert())));
  for (const uint16_t version : kVersions) {
    ahead = 0;
    TestClientOptions must = Client(root_.Issue({.not_after = kHour}), version), may = must;
    EXPECT_EQ(Visit(*require, must), "verified client by Root");
    EXPECT_EQ(Visit(*optional, may), "verified client by Root");
    EXPECT_EQ(Visit(*require, must), "resumed, verified client by Root");
    EXPECT_EQ(Visit(*optional, may), "resumed, verified client by Root");
    ahead = kLater;
    EXPECT_EQ(Visit(*require, must), "client_certificate_invalid certificate_expired");
    EXPECT_EQ(Visit(*optional, may), "resumed, failed");
  }
}

TEST_F(VerifyTest, TicketsAreBoundToAllThatIsDemanded) {
  const std::string crl = root_.Revoke({});
  const std::string twice = root_.cert() + middle_.cert();
  struct {
    const char* name;
    std::function<void(TlsPolicy&)> change;
    bool resumed;
  } const rows[] = {
      {"nothing", [](TlsPolicy&) {}, true},
      {"groups", [](TlsPolicy& p) { p.groups = {"X25519"}; }, false},
      {"nobody asked", [](TlsPolicy& p) { p.client_certificate = ClientCertificateMode::kNone; },
       false},
      {"required", [](TlsPolicy& p) { p.client_certificate = kRequire; }, false},
      {"depth", [&](TlsPolicy& p) { p.client_trust = Trust(root_.cert(), "", 2); }, false},
      {"authorities", [&](TlsPolicy& p) { p.client_trust = Trust(twice); }, false},
      {"revoked", [&](TlsPolicy& p) { p.client_trust = Trust(root_.cert(), crl); }, false},
      {"ALPN", [](TlsPolicy& p) { p.alpn = "imap"; }, false},
      {"strict ALPN", [](TlsPolicy& p) { p.alpn_strict = true; }, false},
      {"strict SNI", [](TlsPolicy& p) { p.sni_strict = true; }, false},
      {"TLS 1.3 alone", [](TlsPolicy& p) { p.tls12 = false; }, false},
      {"CBC", [](TlsPolicy& p) { p.cbc = true; }, false},
  };
  const auto first = Make(Policy(kOptional, Trust(root_.cert())));
  for (const auto& row : rows) {
    TlsPolicy policy = Policy(kOptional, Trust(root_.cert()));
    row.change(policy);
    const auto second = Make(policy);
    for (const bool certificate : {true, false}) {
      TestClientOptions options = certificate ? Client(root_.Issue()) : TestClientOptions{};
      options.sni = "mail.example.org";
      const std::string full = Visit(*first, options);
      EXPECT_EQ(full, certificate ? "verified client by Root" : "absent");
      EXPECT_EQ(Visit(*second, options).starts_with("resumed"), row.resumed) << row.name;
    }
  }
}

TEST_F(VerifyTest, AnotherListIsAnotherTrust) {
  const std::string first = root_.Revoke({1}), second = root_.Revoke({2});
  const std::string digest = Trust(root_.cert(), first)->digest();
  EXPECT_EQ(Trust(root_.cert(), first)->digest(), digest);
  EXPECT_NE(Trust(root_.cert(), second)->digest(), digest);
}

TEST_F(VerifyTest, NobodyComesWithoutACertificateByATicketOfWhereItIsOptional) {
  const auto optional = Make(Policy(kOptional, Trust(root_.cert())));
  const auto require = Make(Policy(kRequire, Trust(root_.cert())));
  for (const uint16_t version : kVersions) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    EXPECT_EQ(Visit(*optional, options), "absent");
    EXPECT_EQ(Visit(*optional, options), "resumed, absent");
    EXPECT_TRUE(Visit(*require, options).starts_with("client_certificate_missing"));
  }
}

// --- Servers ---

class VerifyServerTest : public VerifyTest {
 protected:
  std::unique_ptr<TlsContext> Server(const TestLeaf& leaf) {
    auto loaded = store_.LoadPem({"test.crt", "test.key"}, leaf.cert, leaf.key);
    return Make({.certificates = MakeCredentialIndex({*loaded}), .tickets = tickets_});
  }
  static std::string Reach(UpstreamTls& upstream, TlsContext& context) {
    TestServer client(upstream, 0);
    TestServer server(context);
    if (!Exchange(client, server)) {
      client.session().ForgetOffer();  // as callers do after every failure
      return std::string(Label(client.session().failure()));
    }
    EXPECT_EQ(server.Write("* OK"), TlsResult::kOk);
    Exchange(client, server);
    return client.session().Facts().resumed ? "resumed" : "full";
  }

  std::unique_ptr<UpstreamTls> upstream_ =
      std::move(
          UpstreamTls::Create(
              {.trust = Trust(root_.cert()), .name = "imap.example.org", .certificate = {}}, 1))
          .value();
};

TEST_F(VerifyServerTest, CertificatesOfClientsAreNotServers) {
  TestLeafOptions options = {.hosts = {"imap.example.org"}, .client_only = true};
  EXPECT_EQ(Reach(*upstream_, *Server(root_.Issue(options))), "server_certificate_invalid");
  options.client_only = false;
  options.server_only = true;
  EXPECT_EQ(Reach(*upstream_, *Server(root_.Issue(options))), "full");
}

TEST_F(VerifyServerTest, WhoHasExpiredIsNotBelievedByATicket) {
  TestLeafOptions options = {.hosts = {"imap.example.org"}, .not_after = kHour};
  const auto server = Server(root_.Issue(options));
  EXPECT_EQ(Reach(*upstream_, *server), "full");
  EXPECT_EQ(Reach(*upstream_, *server), "resumed");
  ahead = kLater;
  EXPECT_EQ(Reach(*upstream_, *server), "server_certificate_invalid");
  // After the certificate is renewed, the old session must not prevent a handshake.
  options.not_after *= 4;
  EXPECT_EQ(Reach(*upstream_, *Server(root_.Issue(options))), "full");
}

}  // namespace
}  // namespace starling
