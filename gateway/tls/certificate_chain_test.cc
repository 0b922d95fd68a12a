// Tests the order of chains, the names of certificates, and the warnings about them.
#include "gateway/tls/certificate_chain.h"

#include <gtest/gtest.h>
#include <openssl/pool.h>

#include <string>
#include <vector>

#include "gateway/tls/credential.h"
#include "gateway/tls/credential_testing.h"

namespace starling {
namespace {

class ChainTest : public CredentialFolderTest {
 protected:
  std::shared_ptr<const Credential> Load(const std::string& cert, const std::string& key) {
    auto loaded = store_.Load({.cert = Put("a.crt", cert), .key = Put("a.key", key)});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *loaded : nullptr;
  }
};

TEST_F(ChainTest, IsPutInOrder) {
  const TestChain made = MakeTestChain(3);
  const auto& [leaf, first, second, root] =
      std::tie(made.certs[0], made.certs[1], made.certs[2], made.certs[3]);
  const std::string stranger = MakeTestCertificate({.common_name = "stranger"}).cert;
  const std::string whole =
      "mail.example.org <- Test CA 1 <- Test CA 2 <- Test CA 3";  // the last is self-signed
  const struct {
    std::vector<std::string> file;
    std::string chain;
    size_t sent;
    std::vector<std::string> warnings;
  } rows[] = {
      {{leaf}, "mail.example.org <- (Test CA 1)", 1, {}},
      {{leaf, first}, "mail.example.org <- Test CA 1 <- (Test CA 2)", 2, {}},
      {{leaf, first, second, root}, whole, 4, {}},
      {{leaf, second, first, root}, whole, 4, {"wrong order"}},
      {{root, second, first, leaf}, whole, 4, {"wrong order"}},
      {{first, leaf}, "mail.example.org <- Test CA 1 <- (Test CA 2)", 2, {"wrong order"}},
      {{leaf, stranger, first}, "mail.example.org <- Test CA 1 <- (Test CA 2)", 2, {"stranger"}},
      {{leaf, first, first}, "mail.example.org <- Test CA 1 <- (Test CA 2)", 2, {"Test CA 1"}},
      {{leaf, root}, "mail.example.org <- (Test CA 1)", 1, {"that the chain does not need"}},
      {{leaf, stranger, second, first},
       "mail.example.org <- Test CA 1 <- Test CA 2 <- (Test CA 3)",
       3,
       {"wrong order", "clients do not get 1 certificate"}},
  };
  for (const auto& row : rows) {
    std::string text;
    for (const std::string& cert : row.file) text += cert;
    const auto credential = Load(text, made.key);
    ASSERT_NE(credential, nullptr);
    const CertificateInfo& info = Info(*credential);
    EXPECT_EQ(info.chain, row.chain);
    EXPECT_EQ(credential->material->chain.size(), row.sent);
    ASSERT_EQ(info.warnings.size(), row.warnings.size()) << row.chain;
    for (size_t i = 0; i < row.warnings.size(); i++) {
      EXPECT_EQ(info.warnings[i].find(Path("a.crt") + ": "), 0u) << info.warnings[i];
      EXPECT_NE(info.warnings[i].find(row.warnings[i]), std::string::npos) << info.warnings[i];
    }
  }
}

// Of two authorities with the same name, the chain continues with the one that signed.
TEST_F(ChainTest, ChoosesAmongIssuersOfOneName) {
  const TestChain made = MakeTestChain(1);
  const std::string impostor = MakeTestCertificate({.common_name = "Test CA 1"}).cert;
  for (const std::string& text :
       {made.certs[0] + impostor + made.certs[1], made.certs[0] + made.certs[1] + impostor}) {
    const auto credential = Load(text, made.key);
    ASSERT_NE(credential, nullptr);
    const auto right = Load(made.certs[0] + made.certs[1], made.key);
    ASSERT_EQ(credential->material->chain.size(), 2u);
    const auto& a = credential->material->chain[1];
    const auto& b = right->material->chain[1];
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(a.get())),
                          CRYPTO_BUFFER_len(a.get())),
              std::string(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(b.get())),
                          CRYPTO_BUFFER_len(b.get())));
  }
}

TEST_F(ChainTest, RootIsSentAndNoted) {
  const TestChain made = MakeTestChain(1);
  const CertificateSource source = {.cert = Put("a.crt", made.certs[0] + made.certs[1]),
                                    .key = Put("a.key", made.key)};
  const CertificateSet set = store_.LoadAll({&source, 1}, 1);
  ASSERT_EQ(set.credentials.size(), 1u);
  EXPECT_TRUE(Info(*set.credentials[0]).warnings.empty());
  EXPECT_EQ(set.credentials[0]->material->chain.size(), 2u);
  ASSERT_EQ(set.notes.size(), 1u);
  EXPECT_EQ(set.notes[0], source.cert +
                              ": the file need not contain the root of the chain: "
                              "Test CA 1");
}

TEST_F(ChainTest, Dates) {
  const struct {
    int64_t not_before, not_after;
    std::string text;
  } rows[] = {
      {-86'400, 13 * 86'400, "expires 20"},
      {-86'400, 15 * 86'400, ""},
      {-10 * 86'400, -86'400, "expired 20"},
      {86'400, 90 * 86'400, "is not valid before 20"},
  };
  for (const auto& row : rows) {
    const TestCertificate made =
        MakeTestCertificate({.not_before = row.not_before, .not_after = row.not_after});
    const auto credential = Load(made.cert, made.key);
    ASSERT_NE(credential, nullptr);
    const auto& warnings = Info(*credential).warnings;
    ASSERT_EQ(warnings.size(), row.text.empty() ? 0u : 1u) << row.text;
    if (row.text.empty()) continue;
    EXPECT_EQ(warnings[0].find(Path("a.crt") + ": " + row.text), 0u) << warnings[0];
  }
  // An expired issuer.
  const TestChain old = MakeTestChain(1, {.not_before = -20, .not_after = -10});
  const TestChain fresh = MakeTestChain(1);
  const auto credential = Load(fresh.certs[0] + old.certs[1], fresh.key);
  ASSERT_NE(credential, nullptr);
  ASSERT_EQ(Info(*credential).warnings.size(), 1u);
  EXPECT_TRUE(Holds(Info(*credential).warnings, "its issuer Test CA 1 expired"));
}

TEST_F(ChainTest, Names) {
  const struct {
    std::vector<std::string> sans;
    std::string common_name;
    std::string text;
    std::vector<std::string> dns;
    bool warned;
  } rows[] = {
      {{"Mail.Example.ORG", "*.example.net"},
       "other.example",
       "mail.example.org,*.example.net",
       {"mail.example.org", "*.example.net"},
       false},
      {{}, "Mail.example.org", "mail.example.org", {"mail.example.org"}, false},
      {{}, "A person", "a person", {}, false},
      {{"XN--BCHER-KVA.example", "dot.example."},
       "x",
       "xn--bcher-kva.example,dot.example",
       {"xn--bcher-kva.example", "dot.example"},
       false},
      {{"a.example", "A.example"}, "x", "a.example,a.example", {"a.example"}, false},
      {{"f*.example", "a.example"}, "x", "f*.example,a.example", {"a.example"}, true},
      {{"*", "a..b", ".a", "a\n.example", "b\xc3\xbc.example"},
       "x",
       "*,a..b,.a,a\\n.example,b\\xc3\\xbc.example",
       {},
       true},
  };
  for (const auto& row : rows) {
    const TestCertificate made =
        MakeTestCertificate({.names = row.sans, .common_name = row.common_name});
    const auto credential = Load(made.cert, made.key);
    ASSERT_NE(credential, nullptr);
    EXPECT_EQ(Info(*credential).names, row.text);
    EXPECT_EQ(credential->material->dns_names, row.dns);
    EXPECT_EQ(Info(*credential).warnings.size(), row.warned ? 1u : 0u) << row.text;
  }
}

}  // namespace
}  // namespace starling
