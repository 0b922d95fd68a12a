#include "gateway/tls/certificate_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_ocsp.h"

namespace starling {
namespace {

using Names = std::vector<std::string>;

class FolderTest : public CredentialFolderTest {
 protected:
  void PutPair(const std::string& cert, const std::string& key) {
    const TestCertificate made = MakeTestCertificate();
    Put(cert, made.cert);
    Put(key, made.key);
  }
  void ExpectOneError(const CertificateSet& set, const std::string& file, const std::string& text) {
    ASSERT_EQ(set.errors.size(), 1u) << (set.errors.empty() ? "none" : set.errors[1]);
    EXPECT_EQ(set.errors[0].find((file.empty() ? folder_ : Path(file)) + ": "), 0u)
        << set.errors[0];
    EXPECT_NE(set.errors[0].find(text), std::string::npos) << set.errors[0];
  }
};

TEST_F(FolderTest, KubernetesSecret) {
  PutPair("..2026_01_01_00_00_00.1/tls.crt", "..2026_01_01_00_00_00.1/tls.key");
  Put("..2026_01_01_00_00_00.1/ca.crt", MakeTestCertificate().cert);
  Link("..2026_01_01_00_00_00.1", "..data");
  for (const std::string name : {"tls.crt", "tls.key", "ca.crt"}) Link("..data/" + name, name);
  const CertificateSet set = LoadFolder();
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  EXPECT_TRUE(set.notes.empty()) << set.notes.front();
  EXPECT_EQ(Files(set, folder_), Names{"tls.crt"});
}

TEST_F(FolderTest, Certbot) {
  for (const std::string name : {"a.example", "b.example"}) {
    const std::string archive = "../archive/" + name + "/", live = "live/" + name + "/";
    PutPair("archive/" + name + "/fullchain1.pem", "archive/" + name + "/privkey1.pem");
    const TestCertificate other = MakeTestCertificate();
    Put(live + "cert.pem", other.cert);
    Put(live + "chain.pem", other.cert);
    Put(live + "README", "This directory contains your keys and certificates.\n");
    Link("../" + archive + "fullchain1.pem", live + "fullchain.pem");
    Link("../" + archive + "privkey1.pem", live + "privkey.pem");
  }
  Put("live/README", "This directory contains your keys and certificates.\n");
  const CertificateSource source = {.folder = Path("live") + "/"};
  const CertificateSet set = store_.LoadAll({&source, 1}, 10);
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  EXPECT_EQ(Files(set, folder_),
            (Names{"live/a.example/fullchain.pem", "live/b.example/fullchain.pem"}));
  ASSERT_EQ(set.notes.size(), 3u);
  for (const std::string& note : set.notes) EXPECT_TRUE(note.ends_with("README: skipped"));
}

TEST_F(FolderTest, AcmeSh) {
  PutPair("a.example_ecc/fullchain.cer", "a.example_ecc/a.example.key");
  Put("a.example_ecc/a.example.cer", MakeTestCertificate().cert);
  Put("a.example_ecc/ca.cer", MakeTestCertificate().cert);
  PutPair("b.example/fullchain.cer", "b.example/b.example.key");
  Put("b.example/old.key", MakeTestKey(TestKey::kEcP256));
  const CertificateSet set = LoadFolder();
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  EXPECT_EQ(Files(set, folder_), (Names{"a.example_ecc/fullchain.cer", "b.example/fullchain.cer"}));
  EXPECT_EQ(set.notes, Names{Path("b.example/old.key") + ": skipped"});
}

TEST_F(FolderTest, PairsAndBundlesSorted) {
  PutPair("c.crt", "c.key");
  PutPair("a.pem", "a.key");
  const TestCertificate made = MakeTestCertificate();
  Put("b.pem", made.cert + made.key);
  PutPair("sub/d.crt", "sub/d.key");
  const CertificateSet set = LoadFolder();
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  EXPECT_TRUE(set.notes.empty()) << set.notes.front();
  EXPECT_EQ(Files(set, folder_), (Names{"a.pem", "b.pem", "c.crt", "sub/d.crt"}));
}

TEST_F(FolderTest, ResponsesBelongToTheirCertificates) {
  const TestCertificate a = MakeTestCertificate(), b = MakeTestCertificate();
  Put("a.crt", a.cert);
  Put("a.key", a.key);
  Put("a.ocsp", MakeTestOcsp(a.cert, a.cert));
  Put("b.pem", b.cert + b.key);
  Put("b.pem.ocsp", MakeTestOcsp(b.cert, b.cert));
  Put("c.ocsp", "nobody's");
  const CertificateSet set = LoadFolder();
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  ASSERT_EQ(set.credentials.size(), 2u);
  for (const auto& credential : set.credentials) {
    EXPECT_EQ(Info(*credential).ocsp, CertificateInfo::Ocsp::kGood);
  }
  EXPECT_EQ(set.notes, Names{Path("c.ocsp") + ": skipped"});
}

TEST_F(FolderTest, JunkIsSkippedAndNoted) {
  PutPair("a.crt", "a.key");
  Put("README", "hello");
  Put("lonely.crt", "whatever");
  Put("orphan.key", "whatever");
  Put("chain.pem", MakeTestCertificate().cert);
  Put("privkey1.pem", MakeTestKey(TestKey::kEcP256));
  Put(".hidden.pem", "whatever");
  Put(".hidden/tls.crt", "whatever");
  PutPair("sub/deeper/tls.crt", "sub/deeper/tls.key");
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  Link("nowhere", "dangling");
  const CertificateSet set = LoadFolder();
  EXPECT_TRUE(set.errors.empty()) << set.errors.front();
  EXPECT_EQ(Files(set, folder_), Names{"a.crt"});
  EXPECT_EQ(set.notes.size(), 8u);
  for (const std::string name : {"README", "lonely.crt", "orphan.key", "chain.pem", "privkey1.pem",
                                 "sub/deeper", "fifo", "dangling"}) {
    EXPECT_TRUE(Holds(set.notes, Path(name) + ": skipped")) << name;
  }
}

TEST_F(FolderTest, NotesAreBounded) {
  PutPair("a.crt", "a.key");
  for (int i = 0; i < 300; i++) Put("junk" + std::to_string(i), "x");
  const CertificateSet set = LoadFolder();
  EXPECT_EQ(set.credentials.size(), 1u);
  ASSERT_EQ(set.notes.size(), 101u);
  EXPECT_EQ(set.notes.back(), "and 200 more notes");
}

// Each bad file is beside a good certificate, which is loaded nevertheless.
TEST_F(FolderTest, BadFilesOfGoodNamesAreErrors) {
  const TestCertificate good = MakeTestCertificate();
  const struct {
    std::string cert, cert_text, key, key_text;
    std::string file, text;
  } rows[] = {
      {"tls.crt", good.cert, "", "", "tls.crt", "its key tls.key is missing"},
      {"fullchain.pem", good.cert, "", "", "fullchain.pem", "its key privkey.pem is missing"},
      {"fullchain.cer", good.cert, "", "", "fullchain.cer", "its key NAME.key is missing"},
      {"tls.crt", "", "tls.key", good.key, "tls.crt", "is empty"},
      {"tls.crt", good.cert.substr(0, 300), "tls.key", good.key, "tls.crt", "damaged"},
      {"tls.crt", good.cert, "tls.key", good.key.substr(0, 90), "tls.key", "damaged"},
      {"tls.crt", good.cert, "tls.key", MakeTestKey(TestKey::kEcP256), "tls.key",
       "does not belong to a certificate"},
      {"a.pem", "", "", "", "a.pem", "is empty"},
      {"a.pem", std::string((1 << 20) + 1, 'x'), "", "", "a.pem",
       "has 1048577 octets; at most 1048576 are allowed"},
      {"a.pem", good.cert + good.key.substr(0, 90), "", "", "a.pem", "damaged"},
  };
  for (const auto& row : rows) {
    std::filesystem::remove_all(Path("sub"));
    PutPair("good.crt", "good.key");
    Put("sub/" + row.cert, row.cert_text);
    if (!row.key.empty()) Put("sub/" + row.key, row.key_text);
    const CertificateSet set = LoadFolder();
    ExpectOneError(set, "sub/" + row.file, row.text);
    EXPECT_EQ(Files(set, folder_), Names{"good.crt"}) << row.text;
  }
}

TEST_F(FolderTest, NoFilesAtAll) {
  ExpectOneError(LoadFolder(), "", "no certificate");
  Put("README", "hello");
  ExpectOneError(LoadFolder(), "", "no certificate");
  const CertificateSource missing = {.folder = Path("none")}, file = {.folder = Path("README")};
  ExpectOneError(store_.LoadAll({&missing, 1}, 1), "none", "No such file");
  ExpectOneError(store_.LoadAll({&file, 1}, 1), "README", "Not a directory");
}

TEST_F(FolderTest, SpecialFiles) {
  PutPair("a.crt", "a.key");
  struct {
    std::string name, text;
    bool is_folder;
  } const rows[] = {
      {"b.pem", "is not a regular file", false},
      {"b.pem", "is a directory", true},
  };
  for (const auto& row : rows) {
    if (row.is_folder) {
      ASSERT_EQ(mkdir(Path(row.name).c_str(), 0700), 0);
    } else {
      ASSERT_EQ(mkfifo(Path(row.name).c_str(), 0600), 0);
    }
    ExpectOneError(LoadFolder(), row.name, row.text);
    std::filesystem::remove(Path(row.name));
  }
  Link("nowhere", "b.pem");
  ExpectOneError(LoadFolder(), "b.pem", "No such file");
}

TEST_F(FolderTest, LoopsOfLinks) {
  PutPair("a.crt", "a.key");
  for (const auto& [target, name] : {std::pair{"loop", "loop"}, {"tls.crt", "tls.crt"}}) {
    Link(target, name);
    ExpectOneError(LoadFolder(), name, "symbolic links form a loop");
    std::filesystem::remove(Path(name));
  }
  Link(".", "self");
  ExpectOneError(LoadFolder(), "self", "a link to its own folder");
}

TEST_F(FolderTest, EntriesAreBounded) {
  PutPair("a.crt", "a.key");
  PutPair("sub/b.crt", "sub/b.key");
  EXPECT_TRUE(ScanCertificateFolder(folder_, 5).errors.empty());
  const CertificateFolder found = ScanCertificateFolder(folder_, 4);
  ASSERT_EQ(found.errors.size(), 1u);
  EXPECT_EQ(found.errors[0].find(Path("sub") + ": too many files"), 0u) << found.errors[0];
  EXPECT_EQ(ScanCertificateFolder(folder_, 1).errors.size(), 1u);
}

}  // namespace
}  // namespace starling
