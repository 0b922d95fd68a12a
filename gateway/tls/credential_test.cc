#include "gateway/tls/credential.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "gateway/tls/credential_index.h"
#include "gateway/tls/test_certificates.h"

namespace starling {
namespace {

class CredentialTest : public testing::Test {
 protected:
  CredentialTest() {
    std::string pattern = testing::TempDir() + "/credentialXXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~CredentialTest() override { std::filesystem::remove_all(folder_); }

  std::string Put(const std::string& name, const std::string& content, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  CertificateFiles Put(const TestCertificate& made, mode_t mode = 0600) {
    return {Put("test.crt", made.cert, 0644), Put("test.key", made.key, mode)};
  }

  std::string folder_;
  CredentialStore store_;
};

TEST_F(CredentialTest, TellsWhatItLoaded) {
  TestCertificateOptions options;
  options.names = {"Mail.Example.ORG", "*.example.net"};
  options.with_issuer = true;
  const CertificateFiles files = Put(MakeTestCertificate(options));
  const auto loaded = store_.Load(files);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const CertificateInfo& info = Info(**loaded);
  EXPECT_EQ(info.file, files.cert);
  EXPECT_EQ(info.names, "mail.example.org,*.example.net");
  EXPECT_EQ(info.key_type, "EC256");
  EXPECT_EQ(info.not_after - info.not_before, 91 * 86'400);
  EXPECT_TRUE(info.warnings.empty()) << info.warnings.front();
}

TEST_F(CredentialTest, KindsOfKeys) {
  const std::pair<TestKey, std::string> rows[] = {{TestKey::kEcP256, "EC256"},
                                                  {TestKey::kEcP384, "EC384"},
                                                  {TestKey::kRsa2048, "RSA2048"},
                                                  {TestKey::kEd25519, "ED25519"}};
  for (const auto& [key, expected] : rows) {
    TestCertificateOptions options;
    options.key = key;
    options.names = {};
    const auto loaded = store_.Load(Put(MakeTestCertificate(options)));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(Info(**loaded).key_type, expected);
    EXPECT_EQ(Info(**loaded).names, "mail.example.org");  // of the common name
  }
}

TEST_F(CredentialTest, ErrorsNameTheFileAndWhatIsWrong) {
  const TestCertificate good = MakeTestCertificate();
  const std::string cert = Put("good.crt", good.cert), key = Put("good.key", good.key);
  TestCertificateOptions expired, early, weak, curve;
  expired.not_before = -10 * 86'400;
  expired.not_after = -86'400;
  early.not_before = 86'400;
  weak.key = TestKey::kRsa1024;
  curve.key = TestKey::kEcP224;
  const TestCertificate old = MakeTestCertificate(expired), young = MakeTestCertificate(early),
                        rsa1024 = MakeTestCertificate(weak), p224 = MakeTestCertificate(curve);
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::string truncated = good.cert.substr(0, good.cert.size() / 2);
  std::string damaged =
      good.cert + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  struct {
    CertificateFiles files;
    std::string file, text;
  } const rows[] = {
      {{folder_ + "/none.crt", key}, "none.crt", "No such file"},
      {{cert, folder_ + "/none.key"}, "none.key", "No such file"},
      {{folder_, key}, folder_, "is a directory"},
      {{cert, fifo}, "fifo", "not a regular file"},
      {{fifo, key}, "fifo", "not a regular file"},
      {{"/dev/zero", key}, "/dev/zero", "not a regular file"},
      {{Put("empty.crt", ""), key}, "empty.crt", "is empty"},
      {{cert, Put("empty.key", "")}, "empty.key", "is empty"},
      {{Put("big.crt", std::string((1 << 20) + 1, 'x')), key}, "big.crt", "1 MiB"},
      {{Put("text.crt", "hello\n"), key}, "text.crt", "no PEM certificate"},
      {{cert, Put("text.key", "hello\n")}, "text.key", "no PEM private key"},
      {{key, cert}, "good.key", "no PEM certificate"},
      {{Put("cut.crt", truncated), key}, "cut.crt", "damaged"},
      {{Put("bad.crt", damaged), key}, "bad.crt", "certificate 2"},
      {{cert, Put("bad.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
       "bad.key",
       "damaged"},
      {{cert, Put("enc.key",
                  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                  "-----END ENCRYPTED PRIVATE KEY-----\n")},
       "enc.key",
       "passphrase"},
      {{cert, Put("other.key", MakeTestKey(TestKey::kEcP256))}, "other.key", "not the key"},
      {{cert, Put("kind.key", MakeTestKey(TestKey::kRsa2048))}, "kind.key", "not the key"},
      {{Put("old.crt", old.cert), Put("old.key", old.key)}, "old.crt", "expired 20"},
      {{Put("young.crt", young.cert), Put("young.key", young.key)},
       "young.crt",
       "not valid before 20"},
      {{Put("weak.crt", rsa1024.cert), Put("weak.key", rsa1024.key)}, "weak.key", "1024 bits"},
      {{Put("p224.crt", p224.cert), Put("p224.key", p224.key)}, "p224.key", ""},
  };
  for (const auto& row : rows) {
    const auto loaded = store_.Load(row.files);
    ASSERT_FALSE(loaded.ok()) << row.file;
    const std::string message(loaded.status().message());
    EXPECT_NE(message.find(row.file + ":"), std::string::npos) << message;
    EXPECT_NE(message.find(row.text), std::string::npos) << message;
    // Nothing of a key's text in any message.
    EXPECT_EQ(message.find(good.key.substr(40, 12)), std::string::npos) << message;
  }
}

TEST_F(CredentialTest, UnreadableFile) {
  const CertificateFiles files = Put(MakeTestCertificate(), 0);
  absl::StatusOr<std::shared_ptr<const Credential>> loaded = absl::UnknownError("not loaded");
  // Root reads everything by its capabilities, which a thread can give up for itself.
  std::thread([&] {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
    loaded = store_.Load(files);
  }).join();
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(CredentialTest, Warnings) {
  TestCertificateOptions soon;
  soon.not_after = 13 * 86'400;
  auto loaded = store_.Load(Put(MakeTestCertificate(soon)));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(Info(**loaded).warnings.size(), 1u);
  EXPECT_EQ(Info(**loaded).warnings[0].find("expires 20"), 0u);

  const TestCertificate made = MakeTestCertificate();
  loaded = store_.Load(Put(made, 0644));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(Info(**loaded).warnings.size(), 1u);
  EXPECT_NE(Info(**loaded).warnings[0].find("read by every user"), std::string::npos);

  // The same content, the mode corrected: judged anew.
  loaded = store_.Load(Put(made, 0600));
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(Info(**loaded).warnings.empty());

  TestCertificate jumbled = made;
  jumbled.cert += MakeTestCertificate({.common_name = "stranger"}).cert;
  loaded = store_.Load(Put(jumbled));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(Info(**loaded).warnings.size(), 1u);
  EXPECT_NE(Info(**loaded).warnings[0].find("out of order"), std::string::npos);
}

TEST_F(CredentialTest, ParsesEachPairOnce) {
  const TestCertificate made = MakeTestCertificate();
  const CertificateFiles files = Put(made);
  const auto first = store_.Load(files);
  const auto second = store_.Load(files);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
  // Warned of or not, the parsed key is shared.
  const auto readable = store_.Load(Put(made, 0644));
  ASSERT_TRUE(readable.ok());
  EXPECT_NE(readable->get(), first->get());
  EXPECT_EQ((*readable)->ssl.get(), (*first)->ssl.get());
  // Renewed content is another credential.
  const auto renewed = store_.Load(Put(MakeTestCertificate()));
  ASSERT_TRUE(renewed.ok());
  EXPECT_NE((*renewed)->ssl.get(), (*first)->ssl.get());
}

TEST(CredentialIndexTest, ListsBestMatchesFirstAndOneOfEachOtherKind) {
  const auto make = [](KeyKind kind, std::vector<std::string> names) {
    auto credential = std::make_shared<Credential>();
    credential->kind = kind;
    credential->dns_names = std::move(names);
    return std::shared_ptr<const Credential>(std::move(credential));
  };
  const auto a = make(KeyKind::kEc, {"a.example"});
  const auto b = make(KeyKind::kRsa, {"b.example", "*.example"});
  const auto c = make(KeyKind::kEc, {"c.sub.example"});
  const auto a_rsa = make(KeyKind::kRsa, {"a.example"});
  const CredentialIndex index({a, b, c, a_rsa});
  using List = CredentialIndex::List;
  const std::pair<std::string, List> rows[] = {
      {"", {a.get(), a_rsa.get()}},
      {"unknown.org", {a.get(), a_rsa.get()}},
      {"a.example", {a.get(), a_rsa.get(), b.get()}},
      {"b.example", {b.get(), a.get()}},
      {"x.example", {b.get(), a.get()}},
      {"c.sub.example", {c.get(), b.get()}},
      {"x.sub.example", {a.get(), a_rsa.get()}},
      {"example", {a.get(), a_rsa.get()}},
      {".example", {a.get(), a_rsa.get()}},
      {"*.example", {b.get(), a.get()}},
  };
  for (const auto& [name, expected] : rows) EXPECT_EQ(index.At(index.Find(name)), expected) << name;
}

}  // namespace
}  // namespace starling
