// Tests hostile and mistaken files: each gives a clear error that names the file.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "gateway/tls/credential_testing.h"
#include "gateway/tls/pem_file.h"

namespace starling {
namespace {

class FilesTest : public CredentialFolderTest {
 protected:
  void ExpectError(const CertificateSource& source, const std::string& file,
                   const std::string& text) {
    const auto loaded = store_.Load(source);
    ASSERT_FALSE(loaded.ok()) << file;
    const std::string message(loaded.status().message());
    const std::string path = file.front() == '/' ? file : Path(file);
    EXPECT_EQ(message.find(path + ": "), 0u) << message;
    EXPECT_NE(message.find(text), std::string::npos) << message;
    // No message contains any of the key's text.
    EXPECT_EQ(message.find(good_.key.substr(40, 12)), std::string::npos) << message;
  }

  const TestCertificate good_ = MakeTestCertificate();
};

TEST_F(FilesTest, TellsWhatItLoaded) {
  TestCertificateOptions options;
  options.names = {"Mail.Example.ORG", "*.example.net"};
  options.with_issuer = true;
  const CertificateSource files = Put(MakeTestCertificate(options));
  const auto loaded = store_.Load(files);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const CertificateInfo& info = Info(**loaded);
  EXPECT_EQ(info.file, files.cert);
  EXPECT_EQ(info.names, "mail.example.org,*.example.net");
  EXPECT_EQ(info.key_type, "EC256");
  EXPECT_EQ(info.chain, "mail.example.org <- Test CA");
  EXPECT_EQ(info.not_after - info.not_before, 91 * 86'400);
  EXPECT_FALSE(info.must_staple);
  EXPECT_EQ(info.ocsp, CertificateInfo::Ocsp::kNone);
  EXPECT_TRUE(info.warnings.empty()) << info.warnings.front();
}

TEST_F(FilesTest, KindsOfKeys) {
  const std::pair<TestKey, std::string> rows[] = {{TestKey::kEcP256, "EC256"},
                                                  {TestKey::kEcP384, "EC384"},
                                                  {TestKey::kRsa2048, "RSA2048"},
                                                  {TestKey::kEd25519, "ED25519"}};
  for (const auto& [key, expected] : rows) {
    const auto loaded = store_.Load(Put(MakeTestCertificate({.key = key})));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(Info(**loaded).key_type, expected);
  }
}

TEST_F(FilesTest, BundlesInAnyOrder) {
  const TestChain made = MakeTestChain(1);
  const std::string chain = made.certs[0] + made.certs[1];
  for (const std::string& text :
       {made.key + chain, chain + made.key, made.certs[0] + made.key + made.certs[1]}) {
    const auto loaded = store_.Load({.pem = Put("bundle.pem", text)});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(Info(**loaded).file, Path("bundle.pem"));
    EXPECT_EQ(Info(**loaded).chain, "mail.example.org <- Test CA 1");
    EXPECT_TRUE(Info(**loaded).warnings.empty()) << Info(**loaded).warnings.front();
  }
}

TEST_F(FilesTest, HostilePairs) {
  const std::string cert = Put("good.crt", good_.cert), key = Put("good.key", good_.key);
  const TestCertificate rsa1024 = MakeTestCertificate({.key = TestKey::kRsa1024});
  const TestCertificate p224 = MakeTestCertificate({.key = TestKey::kEcP224});
  const std::string fifo = Path("fifo"), loop = Path("loop");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Link("loop", "loop");
  const std::string bad_block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const struct {
    CertificateSource source;
    std::string file, text;
  } rows[] = {
      {{Path("none.crt"), key}, "none.crt", "No such file"},
      {{cert, Path("none.key")}, "none.key", "No such file"},
      {{folder_, key}, folder_, "is a directory"},
      {{cert, folder_}, folder_, "is a directory"},
      {{cert, fifo}, "fifo", "not a regular file"},
      {{fifo, key}, "fifo", "not a regular file"},
      {{loop, key}, "loop", "symbolic links"},
      {{"/dev/zero", key}, "/dev/zero", "not a regular file"},
      {{Put("empty.crt", ""), key}, "empty.crt", "is empty"},
      {{cert, Put("empty.key", "")}, "empty.key", "is empty"},
      {{Put("big.crt", std::string((1 << 20) + 1, 'x')), key}, "big.crt", "has 1048577 octets"},
      {{Put("text.crt", "hello\n"), key}, "text.crt", "no PEM certificate"},
      {{cert, Put("text.key", "hello\n")}, "text.key", "no PEM private key"},
      {{key, cert}, "good.key", "no PEM certificate"},
      {{Put("bad.crt", good_.cert + bad_block), key}, "bad.crt", "certificate 2"},
      {{cert, Put("bad.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
       "bad.key",
       "damaged"},
      {{cert, Put("enc.key",
                  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                  "-----END ENCRYPTED PRIVATE KEY-----\n")},
       "enc.key",
       "passphrase"},
      {{cert, Put("other.key", MakeTestKey(TestKey::kEcP256))},
       "other.key",
       "does not belong to a certificate"},
      {{cert, Put("kind.key", MakeTestKey(TestKey::kRsa2048))},
       "kind.key",
       "does not belong to a certificate"},
      {{Put("weak.crt", rsa1024.cert), Put("weak.key", rsa1024.key)}, "weak.key", "1024 bits"},
      {{Put("p224.crt", p224.cert), Put("p224.key", p224.key)}, "p224.key", ""},
  };
  for (const auto& row : rows) ExpectError(row.source, row.file, row.text);
}

TEST_F(FilesTest, HostileBundles) {
  const std::string other = MakeTestKey(TestKey::kEcP256);
  const struct {
    std::string content, text;
  } rows[] = {
      {"", "is empty"},
      {"junk", "no PEM certificate"},
      {good_.cert, "no PEM private key"},
      {good_.key, "no PEM certificate"},
      {good_.cert + other, "does not belong to a certificate"},
      {good_.key + good_.cert.substr(0, good_.cert.size() / 2), "damaged"},
      {good_.cert + good_.key.substr(0, good_.key.size() / 2), "damaged"},
  };
  for (const auto& row : rows) ExpectError({.pem = Put("a.pem", row.content)}, "a.pem", row.text);
}

TEST_F(FilesTest, CutAnywhere) {
  const std::string cert = Put("good.crt", good_.cert), key = Put("good.key", good_.key);
  // A file without the last line feed is still complete.
  for (size_t size = 0; size + 1 < good_.cert.size(); size += 7) {
    ExpectError({Put("cut.crt", good_.cert.substr(0, size)), key}, "cut.crt", "");
  }
  for (size_t size = 0; size + 1 < good_.key.size(); size += 7) {
    ExpectError({cert, Put("cut.key", good_.key.substr(0, size))}, "cut.key", "");
  }
}

TEST_F(FilesTest, UnreadableFile) {
  const CertificateSource files = Put(MakeTestCertificate(), 0);
  absl::StatusOr<std::shared_ptr<const Credential>> loaded = absl::UnknownError("not loaded");
  // Root can read everything through its capabilities; a single thread can give them up.
  std::thread([&] {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
    loaded = store_.Load(files);
  }).join();
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(FilesTest, WorldReadableKey) {
  const TestCertificate made = MakeTestCertificate();
  auto loaded = store_.Load(Put(made, 0644));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(Info(**loaded).warnings.size(), 1u);
  EXPECT_EQ(Info(**loaded).warnings[0],
            Path("test.key") + ": every user can read this private key");

  // With the same content and a corrected mode, the warning disappears.
  loaded = store_.Load(Put(made, 0600));
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(Info(**loaded).warnings.empty());

  loaded = store_.Load({.pem = Put("a.pem", made.key + made.cert, 0644)});
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(Holds(Info(**loaded).warnings, Path("a.pem") + ": every user can read"));
}

// Whoever writes the key's file chooses the key. The rights of a link's target count, and rights
// of the group do not.
TEST_F(FilesTest, WorldWritableFiles) {
  const TestCertificate made = MakeTestCertificate();
  CertificateSource files = Put(made, 0602);
  ExpectError(files, files.key, "every user can write this private key");
  ExpectError({.pem = Put("a.pem", made.key + made.cert, 0666)}, "a.pem",
              "every user can write this private key");

  ASSERT_EQ(rename(files.key.c_str(), Path("real.key").c_str()), 0);
  ASSERT_EQ(symlink("real.key", files.key.c_str()), 0);
  ExpectError(files, files.key, "every user can write this private key");
  ASSERT_EQ(chmod(Path("real.key").c_str(), 0660), 0);
  auto loaded = store_.Load(files);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(Info(**loaded).warnings.empty()) << Info(**loaded).warnings.front();

  ASSERT_EQ(chmod(files.cert.c_str(), 0646), 0);
  loaded = store_.Load(files);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(Holds(Info(**loaded).warnings, files.cert + ": every user can write this file"));
}

// Assigning to a read file wipes its old text, as destroying it does: both use the
// destructor.
TEST_F(FilesTest, ReadFilesMoveWithoutCopies) {
  auto first = ReadPemFile(Put("a", std::string(100, 'a')));
  ASSERT_TRUE(first.ok());
  const char* const data = first->text.data();
  PemFile moved = *std::move(first);
  EXPECT_EQ(moved.text.data(), data);
  auto second = ReadPemFile(Put("b", std::string(200, 'b')));
  ASSERT_TRUE(second.ok());
  moved = *std::move(second);
  EXPECT_EQ(moved.text, std::string(200, 'b'));
  EXPECT_EQ(second->text.data(), data);
}

}  // namespace
}  // namespace starling
