// Tests that handshakes are bounded and that attacks on TLS itself fail: long hellos,
// renegotiation, compression, and TLS 1.2 without the extended master secret.
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/tls/test_authority.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_policy_testing.h"
#include "gateway/tls/tls_session.h"
#include "gateway/tls/trust_store.h"

namespace starling {
namespace {

using namespace std::string_literals;

// A real client's hello, padded (RFC 7685) to a message of `size` octets after its
// header, in records of `record` octets.
std::string PaddedHello(uint16_t version, size_t size, size_t record) {
  TestClientOptions options;
  options.min_version = options.max_version = version;
  TestClient client(options);
  client.Step();
  constexpr size_t kRecordHead = 5, kMessageHead = 4;
  std::string body = client.output.substr(kRecordHead + kMessageHead);
  // Version, random, session id, suites, compression; then the extensions.
  size_t at = 2 + 32;
  at += 1 + static_cast<uint8_t>(body[at]);
  at += 2 + (static_cast<uint8_t>(body[at]) << 8 | static_cast<uint8_t>(body[at + 1]));
  at += 1 + static_cast<uint8_t>(body[at]);
  const auto number = [](size_t n, int octets) {
    std::string text;
    for (int i = octets - 1; i >= 0; --i) text += static_cast<char>(n >> 8 * i);
    return text;
  };
  constexpr size_t kPadding = 21;
  const size_t zeros = size - body.size() - 4;
  body += number(kPadding, 2) + number(zeros, 2) + std::string(zeros, '\0');
  body.replace(at, 2, number(body.size() - at - 2, 2));
  const std::string message = "\x01" + number(body.size(), 3) + body;
  std::string records;
  for (size_t begin = 0; begin < message.size(); begin += record) {
    const std::string part = message.substr(begin, record);
    records += "\x16\x03\x01" + number(part.size(), 2) + part;
  }
  return records;
}

// A hello may have 16 KiB in any number of records. If the server requests client
// certificates, it may have 24 KiB, because a ticket holds the client's chain.
TEST_F(TlsPolicyTest, HellosAreTakenUpToTheirLimit) {
  const TestAuthority root("Root");
  const std::string path = testing::TempDir() + "/hello_ca.pem";
  std::ofstream(path) << root.cert();
  auto trust = TrustStore::Load(path, "", 1);
  ASSERT_TRUE(trust.ok()) << trust.status();
  TlsPolicy plain = Policy(), asking = Policy();
  asking.client_certificate = ClientCertificateMode::kOptional;
  asking.client_trust = *trust;
  for (const auto& [policy, limit] :
       {std::pair{&plain, size_t{16'384}}, std::pair{&asking, size_t{24'576}}}) {
    const auto context = Make(*policy);
    for (const uint16_t version : {kTls12, kTls13}) {
      for (const size_t record : {size_t{100}, size_t{4'096}, size_t{16'384}}) {
        for (const size_t size : {size_t{2'000}, limit, limit + 1, size_t{60'000}}) {
          SCOPED_TRACE(std::to_string(size) + " in records of " + std::to_string(record));
          TestServer server(*context);
          server.input = PaddedHello(version, size, record);
          server.Step();
          if (size <= limit) {
            EXPECT_EQ(server.output[0], 0x16);
            EXPECT_EQ(Label(server.session().failure()), Label(TlsFailure::kNone));
          } else {
            EXPECT_EQ(server.output[0], 0x15);
            EXPECT_EQ(Label(server.session().failure()), Label(TlsFailure::kMessageTooLarge));
            EXPECT_EQ(server.session().alert_sent(), 47);  // illegal_parameter
          }
        }
      }
    }
  }
}

// RFC 7627: without the extended master secret, a man in the middle of two sessions could
// resume one of TLS 1.2.
TEST_F(TlsPolicyTest, Tls12HasAnExtendedMasterSecret) {
  const auto context = Make(Policy());
  TestClientOptions options;
  options.min_version = options.max_version = kTls12;
  for (int i = 0; i < 2; ++i) {
    TestClient client(options);
    TestServer server(*context);
    ASSERT_TRUE(Exchange(client, server)) << client.error();
    EXPECT_TRUE(client.extended_master_secret());
    EXPECT_EQ(client.resumed(), i == 1);
    options.session = client.session();
  }
}

TEST_F(TlsPolicyTest, NoRenegotiation) {
  const auto context = Make(Policy());
  TestClientOptions options = Version(kTls12);
  options.tls12_ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
  TestClient client(options);
  TestServer server(*context);
  ASSERT_TRUE(Exchange(client, server));
  client.Renegotiate();
  server.input += std::exchange(client.output, {});
  EXPECT_EQ(server.Step(), TlsResult::kFailed);
  EXPECT_EQ(Label(server.session().failure()), "protocol");
  EXPECT_EQ(server.session().alert_sent(), 100);
  EXPECT_FALSE(server.output.empty());
}

// The offset of a hello's compression methods, which begin with their count.
size_t CompressionMethods(const std::string& hello) {
  size_t at = 5 + 4 + 2 + 32;                 // headers, version, random
  at += 1 + static_cast<uint8_t>(hello[at]);  // session
  const size_t suites = static_cast<uint8_t>(hello[at]) << 8 | static_cast<uint8_t>(hello[at + 1]);
  return at + 2 + suites;
}

TEST_F(TlsPolicyTest, NoCompression) {
  const auto context = Make(Policy());
  for (const uint16_t version : {kTls12, kTls13}) {
    TestClient client(Version(version));
    client.Step();
    std::string hello = client.output;
    const size_t at = CompressionMethods(hello);
    ASSERT_EQ(hello.substr(at, 2), "\x01\x00"s);
    hello[at + 1] = 1;  // DEFLATE and nothing else
    TestServer server(*context);
    server.input = hello;
    EXPECT_EQ(server.Step(), TlsResult::kFailed);
    EXPECT_EQ(server.session().alert_sent(), 47);
  }
}

}  // namespace
}  // namespace starling
