// Tests TLS towards servers: which servers it accepts, which certificate it presents, and
// which sessions it resumes.
#include "gateway/tls/upstream_tls.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_authority.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"

namespace starling {
namespace {

constexpr const char* kName = "imap.example.org";

class UpstreamTlsTest : public CredentialFolderTest {
 protected:
  std::shared_ptr<const Credential> Load(const TestLeaf& leaf) {
    auto loaded = store_.LoadPem({"test.crt", "test.key"}, leaf.cert, leaf.key);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }
  std::shared_ptr<const TrustStore> Trust(const std::string& pem) {
    auto loaded = TrustStore::Load(Put("ca.pem", pem), "", 1);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }

  // A server with this certificate.
  std::unique_ptr<TlsContext> Server(const TestLeaf& leaf) {
    return std::move(TlsContext::Create(ServerPolicy(leaf))).value();
  }
  TlsPolicy ServerPolicy(const TestLeaf& leaf) {
    return {.certificates = MakeCredentialIndex({Load(leaf)}), .tickets = MakeTicketKeys()};
  }
  static TestLeafOptions For(const std::string& host) {
    TestLeafOptions options;
    options.hosts = {host};
    return options;
  }

  std::unique_ptr<UpstreamTls> Make(const UpstreamTlsPolicy& policy) {
    auto made = UpstreamTls::Create(policy, 2);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : nullptr;
  }
  std::unique_ptr<UpstreamTls> Believing(const TestAuthority& authority) {
    return Make({.trust = Trust(authority.cert()), .name = kName, .certificate = nullptr});
  }

  // A handshake and the first data, which brings a ticket.
  static bool Greet(TestServer& client, TestServer& server) {
    return Exchange(client, server) && server.Write("* OK") == TlsResult::kOk &&
           Exchange(client, server);
  }
  // Whether the session was resumed, or why the handshake failed.
  static std::string Result(UpstreamTls& upstream, TlsContext& server, uint32_t number = 0) {
    TestServer client(upstream, number);
    TestServer other(server);
    if (!Greet(client, other)) return std::string(Label(client.session().failure()));
    return client.session().Facts().resumed ? "resumed" : "full";
  }

  TestAuthority authority_{"Authority"};
};

TEST_F(UpstreamTlsTest, BelievesTheAuthorityAndTheName) {
  const auto upstream = Believing(authority_);
  EXPECT_EQ(Result(*upstream, *Server(authority_.Issue(For(kName)))), "full");
  EXPECT_EQ(Result(*upstream, *Server(authority_.Issue(For("*.example.org")))), "full");
  EXPECT_EQ(Result(*upstream, *Server(authority_.Issue(For("pop3.example.org")))),
            "server_certificate_invalid");
  EXPECT_EQ(Result(*upstream, *Server(TestAuthority("Authority").Issue(For(kName)))),
            "server_certificate_invalid");
}

TEST_F(UpstreamTlsTest, ChainsThroughAuthoritiesBelow) {
  const TestAuthority below("Below", authority_);
  EXPECT_EQ(Result(*Believing(authority_), *Server(below.Issue(For(kName)))), "full");
}

TEST_F(UpstreamTlsTest, NamesOfPeopleAreNoNamesOfServers) {
  TestLeafOptions options;
  options.common_name = kName;
  EXPECT_EQ(Result(*Believing(authority_), *Server(authority_.Issue(options))),
            "server_certificate_invalid");
}

TEST_F(UpstreamTlsTest, AddressesAreNames) {
  for (const std::string address : {"192.0.2.1", "2001:db8::1"}) {
    const auto upstream =
        Make({.trust = Trust(authority_.cert()), .name = address, .certificate = nullptr});
    TestLeafOptions options;
    options.addresses = {address};
    const auto server = Server(authority_.Issue(options));
    EXPECT_EQ(Result(*upstream, *server), "full");
    options.addresses = {"192.0.2.2", "2001:db8::2"};
    EXPECT_EQ(Result(*upstream, *Server(authority_.Issue(options))), "server_certificate_invalid");
    // An address in a DNS name does not match.
    EXPECT_EQ(Result(*upstream, *Server(authority_.Issue(For(address)))),
              "server_certificate_invalid");
  }
}

// RFC 6066 section 3: the SNI holds a host name, not an address.
TEST_F(UpstreamTlsTest, AsksForTheServerByName) {
  TestLeafOptions options = For(kName);
  options.addresses = {"192.0.2.1"};
  const auto server = Server(authority_.Issue(options));
  for (const std::string name : {kName, "192.0.2.1"}) {
    const auto upstream =
        Make({.trust = Trust(authority_.cert()), .name = name, .certificate = nullptr});
    TestServer client(*upstream, 0);
    TestServer other(*server);
    ASSERT_TRUE(Exchange(client, other));
    EXPECT_EQ(other.session().Facts().sni, name == kName ? kName : "");
  }
}

TEST_F(UpstreamTlsTest, TheServerIsToldWhy) {
  const auto upstream = Believing(TestAuthority("Another"));
  TestServer client(*upstream, 0);
  const auto server = Server(authority_.Issue(For(kName)));
  TestServer other(*server);
  EXPECT_FALSE(Exchange(client, other));
  EXPECT_EQ(other.session().failure(), TlsFailure::kCertificateRejected);
}

TEST_F(UpstreamTlsTest, AnybodyWithoutVerification) {
  const auto upstream =
      Make({.verify = false, .trust = nullptr, .name = "", .certificate = nullptr});
  EXPECT_EQ(Result(*upstream, *Server(TestAuthority("Anybody").Issue())), "full");
}

TEST_F(UpstreamTlsTest, VerificationNeedsAuthoritiesAndAName) {
  EXPECT_FALSE(
      UpstreamTls::Create({.trust = nullptr, .name = kName, .certificate = nullptr}, 1).ok());
  EXPECT_FALSE(UpstreamTls::Create(
                   {.trust = Trust(authority_.cert()), .name = "", .certificate = nullptr}, 1)
                   .ok());
}

// Servers that a DNS name stands for have that name, and so it is asked for and verified.
TEST_F(UpstreamTlsTest, EachServerMayHaveANameOfItsOwn) {
  const auto upstream = Make(
      {.trust = Trust(authority_.cert()), .name = "", .own_names = true, .certificate = nullptr});
  const auto server = Server(authority_.Issue(For(kName)));
  const auto result = [&](uint32_t occupant, std::string_view name) {
    TestServer client(*upstream, UpstreamPeer{.server = 1, .occupant = occupant, .name = name});
    TestServer other(*server);
    const bool up = Exchange(client, other);
    return up ? std::string(other.session().Facts().sni)
              : std::string(Label(client.session().failure()));
  };
  EXPECT_EQ(result(1, kName), kName);
  EXPECT_EQ(result(2, "pop3.example.org"), "server_certificate_invalid");
  EXPECT_EQ(result(3, kName), kName);
  const auto named = Make({.trust = Trust(authority_.cert()),
                           .name = kName,
                           .own_names = true,
                           .certificate = nullptr});
  TestServer client(*named, UpstreamPeer{.server = 0, .occupant = 1, .name = "else.example"});
  TestServer other(*server);
  EXPECT_TRUE(Exchange(client, other)) << "the configuration says another";
}

TEST_F(UpstreamTlsTest, NoNameIsNoLeaveToBeAnybody) {
  const auto upstream = Make(
      {.trust = Trust(authority_.cert()), .name = "", .own_names = true, .certificate = nullptr});
  TlsSession session;
  EXPECT_FALSE(session.Connect(*upstream, {.server = 0, .occupant = 1, .name = ""}));
}

TEST_F(UpstreamTlsTest, AnotherServerInTheSamePlaceIsNotResumed) {
  const auto upstream = Believing(authority_);
  const auto server = Server(authority_.Issue(For(kName)));
  const auto result = [&](uint32_t occupant) {
    TestServer client(*upstream, UpstreamPeer{.server = 0, .occupant = occupant});
    TestServer other(*server);
    EXPECT_TRUE(Greet(client, other));
    return client.session().Facts().resumed;
  };
  EXPECT_FALSE(result(1));
  EXPECT_TRUE(result(1));
  EXPECT_FALSE(result(2));
  EXPECT_TRUE(result(2));
}

TEST_F(UpstreamTlsTest, ResumesEachServersOwnSessions) {
  const auto upstream = Believing(authority_);
  const auto first = Server(authority_.Issue(For(kName)));
  const auto second = Server(authority_.Issue(For(kName)));
  EXPECT_EQ(Result(*upstream, *first, 0), "full");
  EXPECT_EQ(Result(*upstream, *first, 0), "resumed");
  EXPECT_EQ(Result(*upstream, *first, 0), "resumed");
  EXPECT_EQ(Result(*upstream, *second, 1), "full");
  EXPECT_EQ(Result(*upstream, *second, 1), "resumed");
}

TEST_F(UpstreamTlsTest, ATicketServesUntilAnotherComes) {
  const auto upstream = Believing(authority_);
  const auto server = Server(authority_.Issue(For(kName)));
  EXPECT_EQ(Result(*upstream, *server), "full");
  // The second connection begins before the first has received a new ticket.
  TestServer first(*upstream, 0);
  TestServer second(*upstream, 0);
  TestServer to_first(*server);
  TestServer to_second(*server);
  ASSERT_TRUE(Exchange(first, to_first));
  ASSERT_TRUE(Exchange(second, to_second));
  EXPECT_TRUE(first.session().Facts().resumed);
  EXPECT_TRUE(second.session().Facts().resumed);
}

TEST_F(UpstreamTlsTest, ShowsItsOwnCertificateWhereAsked) {
  const TestAuthority clients("Clients");
  TlsPolicy policy = ServerPolicy(authority_.Issue(For(kName)));
  policy.client_certificate = ClientCertificateMode::kRequire;
  policy.client_trust =
      std::move(TrustStore::Load(Put("clients.pem", clients.cert()), "", 1)).value();
  const auto server = std::move(TlsContext::Create(policy)).value();
  const auto without = Believing(authority_);
  {
    TestServer client(*without, 0);
    TestServer other(*server);
    Exchange(client, other);
    EXPECT_EQ(other.session().failure(), TlsFailure::kClientCertificateMissing);
  }
  TestLeafOptions options;
  options.common_name = "gateway";
  const auto with = Make({.trust = Trust(authority_.cert()),
                          .name = kName,
                          .certificate = Load(clients.Issue(options))});
  TestServer client(*with, 0);
  TestServer other(*server);
  ASSERT_TRUE(Exchange(client, other));
  EXPECT_EQ(other.session().Facts().client_name, "gateway");
}

TEST_F(UpstreamTlsTest, DataAndTheEndInBothDirections) {
  const auto upstream = Believing(authority_);
  const auto server = Server(authority_.Issue(For(kName)));
  TestServer client(*upstream, 0);
  TestServer other(*server);
  ASSERT_TRUE(Exchange(client, other));
  EXPECT_EQ(client.Write("a001 NOOP"), TlsResult::kOk);
  EXPECT_EQ(other.Write("a001 OK"), TlsResult::kOk);
  ASSERT_TRUE(Exchange(client, other));
  EXPECT_EQ(other.received, "a001 NOOP");
  EXPECT_EQ(client.received, "a001 OK");
  EXPECT_EQ(other.CloseNotify(), TlsResult::kOk);
  client.input += std::exchange(other.output, {});
  EXPECT_EQ(client.Step(), TlsResult::kClosed);
  EXPECT_EQ(client.Write("and more"), TlsResult::kOk);
  other.input += std::exchange(client.output, {});
  other.Step();
  EXPECT_EQ(other.received, "a001 NOOPand more");
}

}  // namespace
}  // namespace starling
