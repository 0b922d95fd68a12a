// Tests client certificates: which clients are verified, revocation lists and limits, and
// that no ticket bypasses verification.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_authority.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_session.h"
#include "gateway/tls/trust_store.h"

namespace starling {
namespace {

using Mode = ClientCertificateMode;

class ClientCertificateTest : public CredentialFolderTest {
 protected:
  std::shared_ptr<const TrustStore> Trust(const std::string& crl = "", uint32_t depth = 1) {
    auto loaded = TrustStore::Load(Put("ca.pem", root_.cert()),
                                   crl.empty() ? "" : Put("lists.crl", crl), depth);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }

  std::unique_ptr<TlsContext> Server(Mode mode, std::shared_ptr<const TrustStore> trust) {
    auto context = TlsContext::Create({.certificates = index_,
                                       .client_certificate = mode,
                                       .client_trust = std::move(trust),
                                       .tickets = tickets_});
    EXPECT_TRUE(context.ok()) << context.status();
    return *std::move(context);
  }

  // "verified as NAME by ISSUER", another result, or the reason why the handshake failed.
  static std::string Result(TlsContext& context, TestClientOptions options) {
    TestClient client(options);
    TestServer server(context);
    if (!Exchange(client, server)) return std::string(Label(server.session().failure()));
    const TlsFacts facts = server.session().Facts();
    std::string result = facts.resumed ? "resumed " : "";
    result += kClientCertificateLabels[static_cast<size_t>(facts.client_certificate)];
    if (facts.client_name.empty()) return result;
    return result + " as " + std::string(facts.client_name) + " by " +
           std::string(facts.client_issuer);
  }
  static TestClientOptions With(const TestLeaf& leaf, uint16_t version = 0x0304) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    options.certificate = leaf.cert;
    options.key = leaf.key;
    return options;
  }

  static std::shared_ptr<TestSession> SessionOf(TlsContext& context,
                                                const TestClientOptions& options) {
    TestClient client(options);
    TestServer server(context);
    EXPECT_TRUE(Exchange(client, server)) << client.error();
    server.Write("x");
    Exchange(client, server);
    return client.session();
  }

  static std::shared_ptr<const Credential> Load(CredentialStore& store, const TestLeaf& leaf) {
    return std::move(store.LoadPem({"test.crt", "test.key"}, leaf.cert, leaf.key)).value();
  }

  TestAuthority root_{"Root"};
  TestAuthority below_{"Below", root_};
  std::shared_ptr<const CredentialIndex> index_ =
      MakeCredentialIndex({Load(store_, root_.Issue())});
  std::shared_ptr<TicketKeys> tickets_ = MakeTicketKeys();
};

TEST_F(ClientCertificateTest, NamesAreThoseOfVerifiedOnesOnly) {
  TestLeafOptions mail, server_only, nameless, line;
  mail.common_name = "";
  mail.mails = {"alice@example.org"};
  server_only.server_only = true;
  nameless.common_name = "";
  line.common_name = "alice\nbob";
  struct {
    TestLeaf leaf;
    std::string_view optional, require;
  } const rows[] = {
      {root_.Issue(), "verified as client by Root", "verified as client by Root"},
      {below_.Issue(), "verified as client by Below", "verified as client by Below"},
      {root_.Issue(mail), "verified as alice@example.org by Root",
       "verified as alice@example.org by Root"},
      {root_.Issue(nameless), "verified", "verified"},
      {TestAuthority("Root").Issue(), "failed", "client_certificate_invalid"},
      {root_.Issue(server_only), "failed", "client_certificate_invalid"},
      {root_.Issue(line), "failed", "client_certificate_invalid"},
      {{}, "absent", "client_certificate_missing"},
  };
  const auto optional = Server(Mode::kOptional, Trust());
  const auto require = Server(Mode::kRequire, Trust());
  for (const uint16_t version : {0x0303, 0x0304}) {
    for (const auto& row : rows) {
      EXPECT_EQ(Result(*optional, With(row.leaf, version)), row.optional);
      EXPECT_EQ(Result(*require, With(row.leaf, version)), row.require);
    }
  }
}

TEST_F(ClientCertificateTest, ListsCountForTheWholeChain) {
  const TestLeaf good = below_.Issue(), bad = below_.Issue();
  struct {
    std::string lists;
    std::string_view good, bad;
  } const rows[] = {
      {below_.Revoke({bad.serial}), "verified as client by Below", "failed"},
      {below_.Revoke({bad.serial}) + root_.Revoke({}), "verified as client by Below", "failed"},
      {below_.Revoke({}) + root_.Revoke({below_.serial()}), "failed", "failed"},
      // The issuer's list is missing or has expired.
      {root_.Revoke({}), "failed", "failed"},
      {below_.Revoke({}, -3'600) + root_.Revoke({}), "failed", "failed"},
      {below_.Revoke({}) + root_.Revoke({}, -3'600), "failed", "failed"},
      // Another authority with the same name signed the list.
      {TestAuthority("Below").Revoke({}), "failed", "failed"},
  };
  for (const auto& row : rows) {
    const auto server = Server(Mode::kOptional, Trust(row.lists));
    EXPECT_EQ(Result(*server, With(good)), row.good);
    EXPECT_EQ(Result(*server, With(bad)), row.bad);
  }
}

TEST_F(ClientCertificateTest, ExpiredListsCauseAWarning) {
  EXPECT_TRUE(Trust(root_.Revoke({}))->warnings().empty());
  const auto trust = Trust(root_.Revoke({}) + below_.Revoke({}, -3'600));
  ASSERT_EQ(trust->warnings().size(), 1u);
  EXPECT_EQ(
      trust->warnings()[0].find(Path("lists.crl") + ": the revocation list of Below expired 20"),
      0u)
      << trust->warnings()[0];
}

TEST_F(ClientCertificateTest, DepthAndSizeAreLimited) {
  const TestAuthority third("Third", below_);
  for (const auto& [depth, said] : std::vector<std::pair<uint32_t, std::string>>{
           {0, "ok bad bad"}, {1, "ok ok bad"}, {2, "ok ok ok"}}) {
    const auto server = Server(Mode::kRequire, Trust("", depth));
    std::string got;
    for (const TestAuthority* issuer : std::vector<const TestAuthority*>{&root_, &below_, &third}) {
      const bool ok = Result(*server, With(issuer->Issue())).starts_with("verified");
      got += std::string(got.empty() ? "" : " ") + (ok ? "ok" : "bad");
    }
    EXPECT_EQ(got, said) << depth;
  }
  const struct {
    size_t padding;
    std::string_view optional, require;
  } rows[] = {
      {15'000, "verified as client by Root", "verified as client by Root"},
      {17'000, "failed", "client_certificate_invalid"},
      {60'000, "failed", "client_certificate_invalid"},
      {66'000, "message_too_large", "message_too_large"},
  };
  for (const uint16_t version : {0x0303, 0x0304}) {
    for (const auto& row : rows) {
      SCOPED_TRACE(row.padding);
      TestLeafOptions big;
      big.padding = row.padding;
      const TestClientOptions client = With(root_.Issue(big), version);
      EXPECT_EQ(Result(*Server(Mode::kOptional, Trust()), client), row.optional);
      EXPECT_EQ(Result(*Server(Mode::kRequire, Trust()), client), row.require);
    }
  }
}

// Octets of a handshake message with its header, which begins at `at`.
size_t MessageSize(const std::string& flight, size_t at) {
  const auto octet = [&](size_t i) { return size_t{static_cast<uint8_t>(flight[at + i])}; };
  return 4 + (octet(1) << 16) + (octet(2) << 8) + octet(3);
}

// In TLS 1.2 the client's messages are plaintext, so the test can damage them.
TEST_F(ClientCertificateTest, OnlyCertificateMessagesBlameTheCertificate) {
  constexpr size_t kRecordHeader = 5;
  constexpr char kCertificate = 11;
  constexpr std::string_view kP256 = "\x2a\x86\x48\xce\x3d\x03\x01\x07";
  const auto drop = [&](std::string& flight) {
    ASSERT_EQ(flight[kRecordHeader], kCertificate);
    const size_t size =
        static_cast<size_t>(static_cast<uint8_t>(flight[3])) << 8 | static_cast<uint8_t>(flight[4]);
    const size_t message = MessageSize(flight, kRecordHeader);
    flight.erase(kRecordHeader, message);
    flight[3] = static_cast<char>((size - message) >> 8);
    flight[4] = static_cast<char>((size - message) & 0xff);
    if (size == message) flight.erase(0, kRecordHeader);
  };
  const auto unknown_curve = [&](std::string& flight) {
    const size_t at = flight.find(kP256);
    ASSERT_NE(at, std::string::npos);
    flight[at + kP256.size() - 1] = 0x7f;
  };
  const struct {
    std::function<void(std::string&)> damage;
    TlsFailure failure;
  } rows[] = {{unknown_curve, TlsFailure::kClientCertificateInvalid},
              {drop, TlsFailure::kProtocol}};
  const auto optional = Server(Mode::kOptional, Trust());
  for (const auto& row : rows) {
    TestClient client(With(root_.Issue(), 0x0303));
    TestServer server(*optional);
    client.Step();
    server.input = std::exchange(client.output, {});
    server.Step();
    client.input = std::exchange(server.output, {});
    client.Step();
    row.damage(client.output);
    server.input = std::exchange(client.output, {});
    EXPECT_EQ(server.Step(), TlsResult::kFailed);
    EXPECT_EQ(server.session().failure(), row.failure) << Label(server.session().failure());
  }
}

// A client whose chain is too large for a ticket has a full handshake each time and is
// never verified. A client whose chain fits resumes, verified or not.
TEST_F(ClientCertificateTest, WhatIsNotVerifiedIsNotVerifiedByATicket) {
  TestLeafOptions big;
  big.padding = 17'000;
  const struct {
    TestLeaf leaf;
    bool has_ticket;
    std::string_view again;
  } rows[] = {
      {root_.Issue(big), false, "failed"},
      {TestAuthority("Root").Issue(), true, "resumed failed"},
      {root_.Issue(), true, "resumed verified as client by Root"},
  };
  const auto server = Server(Mode::kOptional, Trust());
  for (const uint16_t version : {0x0303, 0x0304}) {
    for (const auto& row : rows) {
      TestClientOptions client = With(row.leaf, version);
      client.session = SessionOf(*server, client);
      EXPECT_EQ(client.session != nullptr && version == 0x0304,
                row.has_ticket && version == 0x0304);
      EXPECT_EQ(Result(*server, client), row.again);
    }
  }
}

// A ticket from another policy is worthless, and the server verifies the certificate in a
// ticket again.
TEST_F(ClientCertificateTest, NoTicketIsAWayAround) {
  const TestLeaf leaf = root_.Issue();
  const auto none = Server(Mode::kNone, nullptr);
  const auto optional = Server(Mode::kOptional, Trust());
  const auto require = Server(Mode::kRequire, Trust());
  const auto twin = Server(Mode::kRequire, Trust());
  const auto lists = Server(Mode::kRequire, Trust(root_.Revoke({})));
  const auto deeper = Server(Mode::kRequire, Trust("", 2));
  for (const uint16_t version : {0x0303, 0x0304}) {
    TestClientOptions nobody = With({}, version);
    for (TlsContext* giver : {none.get(), optional.get()}) {
      nobody.session = SessionOf(*giver, nobody);
      ASSERT_NE(nobody.session, nullptr);
      EXPECT_EQ(Result(*require, nobody), "client_certificate_missing");
    }
    TestClientOptions alice = With(leaf, version);
    alice.session = SessionOf(*require, alice);
    EXPECT_EQ(Result(*twin, alice), "resumed verified as client by Root");
    for (TlsContext* other : {optional.get(), lists.get(), deeper.get()}) {
      EXPECT_EQ(Result(*other, alice), "verified as client by Root");
    }
  }
}

// TLS 1.2 does not negotiate them again on resumption, so tickets must depend on them.
TEST_F(ClientCertificateTest, TicketsAreBoundToGroupsAndSignatures) {
  const auto make = [&](std::vector<std::string> groups, std::vector<std::string> signatures) {
    return std::move(TlsContext::Create({.certificates = index_,
                                         .groups = std::move(groups),
                                         .signature_algorithms = std::move(signatures),
                                         .tickets = tickets_}))
        .value();
  };
  const auto any = make({}, {}), twin = make({}, {}), groups = make({"X25519", "P-256"}, {}),
             signatures = make({}, {"ecdsa_secp256r1_sha256"});
  for (const uint16_t version : {0x0303, 0x0304}) {
    TestClientOptions options = With({}, version);
    options.session = SessionOf(*any, options);
    EXPECT_EQ(Result(*twin, options), "resumed not_asked");
    EXPECT_EQ(Result(*groups, options), "not_asked");
    EXPECT_EQ(Result(*signatures, options), "not_asked");
  }
}

}  // namespace
}  // namespace starling
