#include "gateway/tls/credential_index.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/credential_testing.h"

namespace starling {
namespace {

using List = CredentialIndex::List;

constexpr int64_t kNow = 1'000'000;

std::shared_ptr<const Credential> Make(KeyKind kind, std::vector<std::string> names,
                                       int64_t not_after = kNow + 1, int64_t not_before = 0) {
  constexpr const char* kTypes[] = {"EC256", "ED25519", "RSA2048"};
  auto material = std::make_shared<CertificateMaterial>();
  material->kind = kind;
  material->dns_names = std::move(names);
  auto credential = std::make_shared<Credential>();
  credential->info.key_type = kTypes[static_cast<size_t>(kind)];
  credential->info.not_before = not_before;
  credential->info.not_after = not_after;
  credential->material = std::move(material);
  return credential;
}

// The credentials offered for `name`; the default list for an unknown name.
const List& Offered(const CredentialIndex& index, const std::string& name) {
  return index.At(index.Find(name).value_or(CredentialIndex::kDefault));
}

TEST(CredentialIndexTest, ListsBestMatchesFirstAndOneOfEachOtherKind) {
  const auto a = Make(KeyKind::kEc, {"a.example"});
  const auto b = Make(KeyKind::kRsa, {"b.example", "*.example"});
  const auto c = Make(KeyKind::kEc, {"c.sub.example"});
  const auto a_rsa = Make(KeyKind::kRsa, {"a.example"});
  const CredentialIndex index({a, b, c, a_rsa}, kNow);
  const struct {
    std::string name;
    bool known;
    List expected;
  } rows[] = {
      {"", false, {a.get(), a_rsa.get()}},
      {".", false, {a.get(), a_rsa.get()}},
      {"unknown.org", false, {a.get(), a_rsa.get()}},
      {"a.example", true, {a.get(), a_rsa.get()}},
      {"a.example.", true, {a.get(), a_rsa.get()}},
      {"a.example..", false, {a.get(), a_rsa.get()}},
      {"b.example", true, {b.get(), a.get()}},
      {"x.example", true, {b.get(), a.get()}},
      {"x.example.", true, {b.get(), a.get()}},
      {"c.sub.example", true, {c.get(), b.get()}},
      {"x.sub.example", false, {a.get(), a_rsa.get()}},  // a wildcard covers one label
      {"example", false, {a.get(), a_rsa.get()}},
      {".example", false, {a.get(), a_rsa.get()}},
      {"*.example", true, {b.get(), a.get()}},
      {"xn--bcher-kva.example", true, {b.get(), a.get()}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(index.Find(row.name).has_value(), row.known) << row.name;
    EXPECT_EQ(Offered(index, row.name), row.expected) << row.name;
  }
}

TEST(CredentialIndexTest, EcdsaComesBeforeRsaWhateverTheOrder) {
  const auto rsa = Make(KeyKind::kRsa, {"a.example"});
  const auto ec = Make(KeyKind::kEc, {"a.example"});
  const CredentialIndex index({rsa, ec}, kNow);
  EXPECT_EQ(Offered(index, "a.example"), (List{ec.get(), rsa.get()}));
  EXPECT_EQ(index.At(CredentialIndex::kDefault), (List{ec.get(), rsa.get()}));
}

TEST(CredentialIndexTest, ValidOnesComeFirst) {
  const auto expired = Make(KeyKind::kEc, {"a.example"}, kNow - 1);
  const auto early = Make(KeyKind::kEc, {"a.example"}, kNow + 9, kNow + 1);
  const auto valid = Make(KeyKind::kEc, {"a.example"});
  const auto rsa = Make(KeyKind::kRsa, {"a.example"});
  EXPECT_EQ(Offered(CredentialIndex({expired, early, valid}, kNow), "a.example"),
            (List{valid.get()}));
  EXPECT_EQ(Offered(CredentialIndex({expired, early, rsa}, kNow), "a.example"),
            (List{rsa.get(), expired.get()}));
  EXPECT_EQ(CredentialIndex({expired, valid}, kNow).At(CredentialIndex::kDefault),
            (List{valid.get()}));
  // A valid wildcard certificate comes before an invalid one for the name itself.
  const auto wildcard = Make(KeyKind::kEc, {"*.example"});
  EXPECT_EQ(Offered(CredentialIndex({expired, wildcard}, kNow), "a.example"),
            (List{wildcard.get()}));
  EXPECT_EQ(Offered(CredentialIndex({valid, wildcard}, kNow), "a.example"), (List{valid.get()}));
  // An expired certificate is better than no certificate.
  EXPECT_EQ(Offered(CredentialIndex({expired}, kNow), "a.example"), (List{expired.get()}));
}

TEST(CredentialIndexTest, EmptyKnowsNothing) {
  const CredentialIndex index({}, kNow);
  EXPECT_TRUE(index.empty());
  EXPECT_FALSE(index.Find("a.example").has_value());
  EXPECT_TRUE(index.At(CredentialIndex::kDefault).empty());
}

TEST(CredentialIndexTest, DigestIsOfTheSetInItsOrder) {
  const auto make = [](uint8_t first) {
    auto credential = std::make_shared<Credential>(
        Credential{.info = {}, .material = std::make_shared<CertificateMaterial>()});
    credential->digest[0] = first;
    return std::shared_ptr<const Credential>(std::move(credential));
  };
  const auto a = make(1), b = make(2);
  EXPECT_EQ(CredentialIndex({a, b}, kNow).digest(), CredentialIndex({a, b}, kNow).digest());
  EXPECT_NE(CredentialIndex({a, b}, kNow).digest(), CredentialIndex({b, a}, kNow).digest());
  EXPECT_NE(CredentialIndex({a, b}, kNow).digest(), CredentialIndex({a}, kNow).digest());
}

TEST(CredentialIndexTest, ManyOfOneNameMakeShortLists) {
  CredentialIndex::Credentials many;
  for (int i = 0; i < 5'000; i++) many.push_back(Make(KeyKind::kEc, {"a.example", "*.example"}));
  const CredentialIndex index(many, kNow);
  EXPECT_EQ(Offered(index, "a.example"), (List{many.front().get()}));
}

class ManyCertificatesTest : public CredentialFolderTest {};

TEST_F(ManyCertificatesTest, FiveThousandFilesAreLoadedAndFound) {
  constexpr int kCount = 5'000, kEach = 500;  // all certificates, and those in each subfolder
  const auto name = [](int i) { return "host" + std::to_string(i) + ".example"; };
  for (int i = 0; i < kCount; i++) {
    TestCertificateOptions options;
    options.names = {name(i)};
    if (i % 10 == 0) options.names.push_back("*." + name(i));
    const TestCertificate made = MakeTestCertificate(options);
    const std::string path = "part" + std::to_string(i / kEach) + "/" + name(i);
    Put(path + ".crt", made.cert);
    Put(path + ".key", made.key);
  }
  CertificateSet set = LoadFolder(kCount);
  ASSERT_TRUE(set.errors.empty()) << set.errors.front();
  ASSERT_EQ(set.credentials.size(), kCount);
  const auto index = MakeCredentialIndex(set.credentials);
  int found = 0;
  for (int i = 0; i < kCount; i++) {
    const List& list = Offered(*index, name(i));
    found += list.size() == 1 && list.front()->material->dns_names.front() == name(i);
    EXPECT_EQ(index->Find("sub." + name(i)).has_value(), i % 10 == 0);
  }
  EXPECT_EQ(found, kCount);
  EXPECT_FALSE(index->Find("host5000.example").has_value());
  // The store does not parse content again while somebody holds its credential.
  const CertificateSet again = LoadFolder(kCount);
  EXPECT_EQ(again.credentials, set.credentials);
}

}  // namespace
}  // namespace starling
